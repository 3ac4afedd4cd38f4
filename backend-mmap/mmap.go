// Package mmap is the IO backend that writes through mapped memory: stores into a shared
// mapping of the segment, then msync of just the pages that were stored to.
//
// # Built on backend-posix
//
// Directories, names, locks and reads are those of package posix with buffered writes, and so
// are the assumptions about devices: the alignment is 512 bytes, and the kernel rewrites a
// whole page when a sector of it changes.
//
// # Space
//
// A store into a mapping has no way to say that the disk is full: the process gets a SIGBUS.
// So the space of a range is reserved for real before it is mapped. A file that is cut and enlarged
// again through another File stays mapped: the one that enlarges it has reserved its space by then.
//
// # Faults
//
// A store can fault all the same: the device fails, or another process cuts the file. Each one
// is made where the fault becomes an error that wraps ErrFault, and the file counts as failed
// from then on: nothing of it is synced any more.
//
// # Platforms
//
// Linux, macOS and FreeBSD. On 32-bit systems at most 64 MiB of a file are mapped for writing at a time.
package mmap

import (
	"errors"
	"fmt"
	"sync"

	posix "github.com/chronik-go/wal/backend-posix"
	"github.com/chronik-go/wal/core/backend"
)

// ErrFault is wrapped by the error of a write that faulted in mapped memory: the device failed,
// is full, or the file was cut by somebody else.
var ErrFault = errors.New("fault in the mapped memory of a file")

// Backend writes through mapped memory. It holds no state; all methods may be called
// concurrently.
type Backend struct{ files *posix.Backend }

var _ backend.Backend = (*Backend)(nil)

// New returns a Backend.
func New() *Backend {
	return &Backend{files: posix.New(posix.WithDirect(posix.DirectOff))}
}

// Name returns "mmap".
func (*Backend) Name() string { return "mmap" }

// OpenDir opens a directory as [backend.Backend] describes.
func (b *Backend) OpenDir(path string, o backend.DirOptions) (backend.Dir, error) {
	if err := b.Probe(); err != nil {
		return nil, err
	}
	d, err := b.files.OpenDir(path, o)
	if err != nil {
		return nil, err
	}
	base, ok := d.(posix.Dir)
	if !ok {
		return nil, fmt.Errorf("open %s: %T is no directory of package posix", path, d)
	}
	return &dir{Dir: base}, nil
}

// dir is a directory of package posix whose files are written through mappings.
type dir struct{ posix.Dir }

var _ backend.Dir = (*dir)(nil)

// String says how the directory is written, for a line in the log.
func (*dir) String() string { return "mmap" }

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

// Queue opens a queue as [backend.Dir] describes.
func (d *dir) Queue(o backend.QueueOptions) (backend.Queue, error) {
	// The directory refuses what it must, closed or read-only.
	if q, err := d.Dir.Queue(o); err != nil {
		return nil, err
	} else if err := q.Close(); err != nil {
		return nil, err
	}
	own := func(f backend.File) (posix.File, bool) {
		x, ok := f.(*file)
		return x, ok && x != nil && x.dir == d
	}
	limits := backend.Limits{Alignment: d.Alignment(), Depth: 1, PreferWritten: true}
	return posix.NewQueue(limits, own, carryOut), nil
}

// file is a file of package posix with the mappings that it is written through.
type file struct {
	posix.File
	dir *dir

	mu      sync.Mutex
	windows []*window // the one used last is the last
	closed  bool
}

var (
	_ backend.File       = (*file)(nil)
	_ backend.DataFinder = (*file)(nil)
)

// Resize sets the size. What is mapped is given up first: stores beyond a file's end fault.
func (f *file) Resize(size int64) error {
	f.forget()
	return f.File.Resize(size)
}

// Close closes the file and its mappings.
func (f *file) Close() error {
	f.mu.Lock()
	f.closed = true
	f.mu.Unlock()
	f.forget()
	return f.File.Close()
}
