// Package osfile is what all that is open of one file of the operating system's has to know of
// each other: that a sync of it has failed. The kernel tells of a page that it could not write
// once, of two syncs at the same time perhaps one only, and calls the next sync a success; the
// page is lost to all.
package osfile

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"

	"github.com/chronik-go/wal/core/backend"
)

// Syncer syncs an open file, and keeps what became of it. All methods may be called concurrently.
// Its errors about a sync that failed wrap backend.ErrSync.
type Syncer struct {
	file   *file
	before int  // failures of the file before this was opened
	closed bool // guarded by open.mu, as is before
	own    atomic.Pointer[error]
}

// file is one file, however often it is open in this process.
type file struct {
	id any
	// syncs is held, shared, by each sync that is in progress.
	syncs  sync.RWMutex
	failed atomic.Pointer[error] // while somebody is open who was when a sync failed

	// Guarded by open.mu: how many are open, of those how many were when a sync failed last, and
	// how often one did.
	users, witnesses, failures int
}

// open are the files that are open: their numbers are not given to others.
var open struct {
	mu    sync.Mutex
	files map[any]*file
}

// New returns the Syncer of a file that is open, and stays so until Close.
func New(f *os.File) (*Syncer, error) {
	id, err := idOf(f)
	if err != nil {
		return nil, err
	}
	open.mu.Lock()
	defer open.mu.Unlock()
	x := open.files[id]
	if x == nil {
		if open.files == nil {
			open.files = map[any]*file{}
		}
		x = &file{id: id}
		open.files[id] = x
	}
	x.users++
	return &Syncer{file: x, before: x.failures}, nil
}

// Close is called before the file is closed. A second call does nothing.
func (s *Syncer) Close() {
	open.mu.Lock()
	defer open.mu.Unlock()
	if s.closed {
		return
	}
	s.closed = true
	x := s.file
	if s.before < x.failures {
		if x.witnesses--; x.witnesses == 0 {
			x.failed.Store(nil)
		}
	}
	if x.users--; x.users == 0 {
		delete(open.files, x.id)
	}
}

// Fail notes that a sync, or a write that was its own sync, has failed. It returns the error that
// says so.
func (s *Syncer) Fail(err error) error {
	err = fmt.Errorf("%w: %w", backend.ErrSync, err)
	s.own.CompareAndSwap(nil, &err)
	open.mu.Lock()
	defer open.mu.Unlock()
	if x := s.file; x.users > 0 {
		x.failures++
		x.witnesses = x.users
		x.failed.CompareAndSwap(nil, &err)
	}
	return err
}

// Failure returns the first error of a sync of the file, by whoever had it open, until all are
// closed that were open then; and nil else.
func (s *Syncer) Failure() error {
	if err := s.Own(); err != nil {
		return err
	}
	return load(&s.file.failed)
}

// Own returns the first error of a sync by this Syncer.
func (s *Syncer) Own() error { return load(&s.own) }

func load(p *atomic.Pointer[error]) error {
	if err := p.Load(); err != nil {
		return *err
	}
	return nil
}

// Settled returns Failure once the syncs that are in progress have ended: one of them may be told
// what others have lost too. A write that is its own sync asks for it. It waits for syncs of the
// whole file only, not for other such writes: those go around the cache, and the error of each is
// of its own range, and returned to it.
func (s *Syncer) Settled() error {
	s.settle()
	return s.Failure()
}

// Idle reports whether Settled need not wait.
func (s *Syncer) Idle() bool {
	idle := s.file.syncs.TryLock()
	if idle {
		s.file.syncs.Unlock()
	}
	return idle
}

func (s *Syncer) settle() {
	s.file.syncs.Lock()
	defer s.file.syncs.Unlock()
}

// Sync makes durable what was written to the file, by a function that does it. After a failure it
// fails, and asks for nothing.
func (s *Syncer) Sync(do func() error) error { return s.sync(do, s.Failure) }

// SyncContent makes durable what can be read from the file. It is Sync, but for the failures that
// others had.
func (s *Syncer) SyncContent(do func() error) error { return s.sync(do, s.Own) }

func (s *Syncer) sync(do, failure func() error) error {
	if err := failure(); err != nil {
		return err
	}
	if err := s.attempt(do); err != nil {
		return err
	}
	s.settle()
	return failure()
}

// attempt syncs while others may do so too.
func (s *Syncer) attempt(do func() error) error {
	s.file.syncs.RLock()
	defer s.file.syncs.RUnlock()
	err := do()
	if err == nil || errors.Is(err, backend.ErrClosed) {
		return err
	}
	return s.Fail(err)
}
