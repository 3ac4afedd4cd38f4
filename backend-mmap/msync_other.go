//go:build unix && !linux

package mmap

// msyncLeavesCache says that msync leaves data in the device's cache: macOS says so of its
// own, FreeBSD says nothing.
const msyncLeavesCache = true
