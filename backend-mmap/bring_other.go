//go:build unix && !linux

package mmap

import "golang.org/x/sys/unix"

// bring has the pages read ahead. It is a hint, and may fail.
func bring(mem []byte) { _ = unix.Madvise(mem, unix.MADV_WILLNEED) }
