package uring

import (
	"sync"
	"unsafe"
)

// fileSlots is how many files of a queue can be registered at once. A log writes to one or
// two.
const fileSlots = 16

// fileTable registers files with a ring, so that the kernel need not look them up for each
// write. Its methods may be called concurrently.
type fileTable struct {
	mu    sync.Mutex
	ring  *ring // nil if it takes none, or is closed
	slots [fileSlots]*file
	// named: of the slots, those in requests that the kernel has not taken. It looks a slot up
	// only then, so they keep their file.
	named [fileSlots]bool
	next  int // the slot to be given up next
}

// init makes the ring's table of files. A ring that takes none goes without.
func (t *fileTable) init(r *ring, without Feature) {
	if without&RegisteredFiles != 0 {
		return
	}
	var fds [fileSlots]int32
	for i := range fds {
		fds[i] = -1
	}
	if err := r.register(registerFiles, unsafe.Pointer(&fds), fileSlots); err != nil {
		return
	}
	t.ring = r
	r.has |= RegisteredFiles
}

// slot returns the slot of a file's descriptor, registering it if need be; -1 if it cannot. The
// slot keeps the file until taken.
func (t *fileTable) slot(f *file, fd int) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ring == nil {
		return -1
	}
	for i, g := range t.slots {
		if g == f {
			t.named[i] = true
			return i
		}
	}
	for n := range fileSlots {
		i := (t.next + n) % fileSlots
		if t.named[i] {
			continue
		}
		if t.set(i, int32(fd)) != nil {
			return -1
		}
		t.slots[i], t.named[i] = f, true
		t.next = (i + 1) % fileSlots
		return i
	}
	return -1
}

// taken tells that the kernel has taken all requests.
func (t *fileTable) taken() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.named = [fileSlots]bool{}
}

// set puts a descriptor, or -1 for none, into a slot. Requests in flight keep the file that
// was there before.
func (t *fileTable) set(slot int, fd int32) error {
	arg := filesUpdate{offset: uint32(slot), fds: uint64(uintptr(unsafe.Pointer(&fd)))}
	return t.ring.register(registerFilesUpdate, unsafe.Pointer(&arg), 1)
}

// forget takes a file out of the table.
func (t *fileTable) forget(f *file) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i, g := range t.slots {
		if g == f && t.ring != nil {
			_ = t.set(i, -1) // of a slot that is in use: it cannot fail
			t.slots[i] = nil
		}
	}
}

// close takes all files out.
func (t *fileTable) close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i, g := range t.slots {
		if g != nil && t.ring != nil {
			_ = t.set(i, -1) // as in forget
		}
	}
	t.ring, t.slots = nil, [fileSlots]*file{}
}
