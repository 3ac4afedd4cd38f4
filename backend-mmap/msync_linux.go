package mmap

// msyncLeavesCache says that msync leaves data in the device's cache. Linux flushes it, as
// fsync of the range.
const msyncLeavesCache = false
