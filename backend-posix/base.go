package posix

import (
	"errors"
	"fmt"
	"math"
	"unsafe"

	"github.com/chronik-go/wal/core/backend"
	"github.com/chronik-go/wal/core/backend/osfile"
)

// Dir is what OpenDir returns, for backends that are built on this one: they take its names,
// locks and files, and write in another way. All methods may be called concurrently.
type Dir interface {
	backend.Dir
	// Direct reports whether files are written past the page cache.
	Direct() bool
	// Alignment is what offsets and lengths of writes are multiples of, bytes.
	Alignment() int
}

// File is what Create and Open of a Dir return.
type File interface {
	backend.File
	backend.DataFinder
	// Use keeps the descriptors open until Done is called, once for each nil result. Its
	// error wraps backend.ErrClosed.
	Use() error
	Done()
	// Descriptors are those to write with through the page cache and past it; the latter is
	// -1 where the Dir is not direct. They are valid between Use and Done.
	Descriptors() (buffered, direct int)
	// Syncer knows of the syncs of the file that failed. It is to be told of others.
	Syncer() *osfile.Syncer
	// SyncData makes the file's data durable as Sync does, but leaves the page cache alone.
	SyncData() error
	// Reserve takes real blocks for a range of the file, which keeps what it holds.
	Reserve(offset, n int64) error
	// Refused says whether an error of a direct write that is its own sync is lack of space for the
	// write, given what is left of it: then no sync has failed.
	Refused(err error, left []byte, offset int64) bool
	// CheckWrite refuses a write that is not aligned, or outside the file. The file need not
	// be in use.
	CheckWrite(w *backend.Write) error
	// Path is the name that the file was opened by, for messages.
	Path() string
}

var (
	_ Dir  = (*dir)(nil)
	_ File = (*file)(nil)
)

func (d *dir) Direct() bool   { return d.direct }
func (d *dir) Alignment() int { return d.alignment }

func (f *file) Use() error             { return f.enter() }
func (f *file) Done()                  { f.leave() }
func (f *file) Path() string           { return f.path }
func (f *file) Syncer() *osfile.Syncer { return f.syncer }

func (f *file) SyncData() error {
	if err := f.enter(); err != nil {
		return f.wrap("sync", err)
	}
	defer f.leave()
	return f.syncData()
}

func (f *file) Reserve(offset, n int64) error {
	if err := f.enter(); err != nil {
		return f.wrap("reserve", err)
	}
	defer f.leave()
	// A system that cannot reserve got its zeros when the file was made.
	if err := reserve(f.buffered, offset, n); err != nil && !errors.Is(err, errors.ErrUnsupported) {
		return f.wrap("reserve", err)
	}
	return nil
}

func (f *file) Descriptors() (buffered, direct int) {
	if f.direct == nil {
		return int(f.buffered.Fd()), -1
	}
	return int(f.buffered.Fd()), int(f.direct.Fd())
}

func (f *file) CheckWrite(w *backend.Write) error {
	n, align := int64(len(w.Data)), int64(f.dir.alignment)
	size := f.size.Load()
	if w.Offset > size-n { // another of its descriptors may have made it longer
		var err error
		if size, err = f.Size(); err != nil {
			return err
		}
	}
	switch {
	case w.Offset < 0 || w.Offset > math.MaxInt64-n || w.Offset+n > size:
		return fmt.Errorf("%d bytes at offset %d are outside the file's %d bytes", n, w.Offset, size)
	case w.Offset%align != 0 || n%align != 0:
		return fmt.Errorf("%d bytes at offset %d are not aligned to %d", n, w.Offset, align)
	}
	// A buffer begins at a page. The device reads memory at an alignment of its own, and
	// the kernel's error for less would come after the fact.
	if n > 0 && uintptr(unsafe.Pointer(&w.Data[0]))%uintptr(align) != 0 {
		return fmt.Errorf("the data does not begin at a multiple of %d in its buffer", align)
	}
	return nil
}
