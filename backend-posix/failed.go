package posix

import (
	"sync"
	"sync/atomic"
)

// failures are the open files on which a sync has failed. What the kernel lost is lost to every
// other descriptor of the same file too, and it may have told this one only.
type failures struct {
	n     atomic.Int32 // how many: as long as nothing failed nobody has to look
	mu    sync.Mutex
	files map[*file]bool
}

var failed = failures{files: map[*file]bool{}}

// add takes in a file that has failed, until it is closed: then another file may be given its
// number.
func (x *failures) add(f *file) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if !f.released {
		x.files[f] = true
		x.n.Store(int32(len(x.files)))
	}
}

// remove is for a file that is about to be closed.
func (x *failures) remove(f *file) {
	x.mu.Lock()
	defer x.mu.Unlock()
	f.released = true
	delete(x.files, f)
	x.n.Store(int32(len(x.files)))
}

// of returns what became of the same file through another descriptor, nil if nothing is known.
func (x *failures) of(f *file) error {
	if x.n.Load() == 0 {
		return nil
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	for g := range x.files {
		if g.id == f.id {
			return *g.failed.Load()
		}
	}
	return nil
}
