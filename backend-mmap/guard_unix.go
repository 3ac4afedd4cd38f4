//go:build unix

package mmap

import (
	"fmt"
	"runtime/debug"
	"syscall"
	"unsafe"
)

// guarded runs a function that touches mapped memory. A fault in that memory becomes an error:
// the Go runtime turns it into a panic of this goroutine where that was asked for, and else ends
// the process.
func guarded(mem []byte, touch func()) (err error) {
	before := debug.SetPanicOnFault(true)
	defer debug.SetPanicOnFault(before)
	defer func() {
		r := recover()
		if r == nil {
			return
		}
		fault, ok := r.(interface{ Addr() uintptr })
		if !ok || !contains(mem, fault.Addr()) {
			panic(r) // a mistake elsewhere
		}
		err = fmt.Errorf("%w at address %#x: look for device errors in the kernel's log, or for who writes to what is only shown: %w", ErrFault, fault.Addr(), syscall.EIO)
	}()
	touch()
	return nil
}

// contains reports whether an address is one of the memory's.
func contains(mem []byte, address uintptr) bool {
	// Only compared, never made a pointer again; what is mapped does not move.
	begin := uintptr(unsafe.Pointer(unsafe.SliceData(mem)))
	return begin <= address && address-begin < uintptr(len(mem))
}
