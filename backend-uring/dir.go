package uring

import (
	"fmt"
	"sync"

	posix "github.com/chronik-go/wal/backend-posix"
	"github.com/chronik-go/wal/core/backend"
)

// dir is a directory of package posix, written past the page cache, with queues of this one.
type dir struct {
	posix.Dir
	backend *Backend

	mu     sync.Mutex
	queues []forgetter
}

var _ backend.Dir = (*dir)(nil)

// forgetter is a queue, as far as files are concerned.
type forgetter interface {
	// forget ends the registration of a file that is about to be closed.
	forget(f *file)
}

// file is a file of package posix that a ring may hold a registration of.
type file struct {
	posix.File
	dir *dir
}

var (
	_ backend.File       = (*file)(nil)
	_ backend.DataFinder = (*file)(nil)
)

func (d *dir) Create(name string, size int64) (backend.File, error) {
	return d.wrap(d.Dir.Create(name, size))
}

func (d *dir) Open(name string) (backend.File, error) { return d.wrap(d.Dir.Open(name)) }

func (d *dir) wrap(f backend.File, err error) (backend.File, error) {
	if err != nil {
		return nil, err
	}
	base, ok := f.(posix.File)
	if !ok {
		return nil, fmt.Errorf("%T is no file of package posix", f)
	}
	return &file{File: base, dir: d}, nil
}

// String says how the directory is written, for a line in the log.
func (d *dir) String() string {
	return "io_uring, direct writes"
}

// Close closes the file, after the rings of its directory have given it up: else it would
// stay open, and a removed one keep its space.
func (f *file) Close() error {
	f.dir.mu.Lock()
	for _, q := range f.dir.queues {
		q.forget(f)
	}
	f.dir.mu.Unlock()
	return f.File.Close()
}
