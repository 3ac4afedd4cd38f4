package mmap

import "golang.org/x/sys/unix"

// bring maps the pages at once, reading what is not in the page cache: a fault for each would
// cost more. Linux before 5.14 does not know it; what it fails for faults when it is touched.
func bring(mem []byte) { _ = unix.Madvise(mem, unix.MADV_POPULATE_READ) }
