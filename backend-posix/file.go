package posix

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync/atomic"

	"github.com/chronik-go/wal/core/backend"
	"github.com/chronik-go/wal/core/backend/osfile"
)

// file is one open file: a buffered descriptor that reads, and, where the directory
// is written directly, a direct one that writes. The kernel drops the cached pages
// that a direct write covers before the write returns, so the two agree.
type file struct {
	guard
	dir      *dir
	path     string // its name when it was opened, for messages only
	buffered *os.File
	direct   *os.File // nil: writes go through buffered
	syncer   *osfile.Syncer

	// size is what this file was last known to measure. Each Submit compares with it, and
	// must not ask the kernel: on Linux since 6.13 (multigrain timestamps) a stat makes
	// the next write change the inode, which made a synced write of 4 KiB half slower
	// again, see docs/performance.md.
	size atomic.Int64
}

var _ backend.File = (*file)(nil)

func (f *file) wrap(op string, err error) error {
	return &fs.PathError{Op: op, Path: f.path, Err: err}
}

func (f *file) ReadAt(p []byte, off int64) (int, error) {
	if err := f.enter(); err != nil {
		return 0, f.wrap("read", err)
	}
	defer f.leave()
	n, err := readDirect(f.direct, p, off)
	if err != nil && !errors.Is(err, io.EOF) {
		err = f.wrap("read", err)
	}
	if err != nil || n == len(p) {
		return n, err
	}
	m, err := f.buffered.ReadAt(p[n:], off+int64(n))
	return n + m, err
}

func (f *file) Size() (int64, error) {
	if err := f.enter(); err != nil {
		return 0, f.wrap("size", err)
	}
	defer f.leave()
	size, err := f.measure()
	if err != nil {
		return 0, f.wrap("size", err)
	}
	return size, nil
}

// measure asks the kernel for the size, once entered.
func (f *file) measure() (int64, error) {
	size, err := fileSize(f.buffered)
	if err == nil {
		f.size.Store(size)
	}
	return size, err
}

func (f *file) Resize(size int64) error {
	if f.dir.readOnly {
		return f.wrap("resize", fmt.Errorf("opened read-only: %w", fs.ErrPermission))
	}
	if size < 0 {
		return f.wrap("resize", fmt.Errorf("size %d: %w", size, fs.ErrInvalid))
	}
	if err := f.enter(); err != nil {
		return f.wrap("resize", err)
	}
	defer f.leave()
	old, err := f.measure()
	if err != nil {
		return f.wrap("resize", err)
	}
	if size <= old {
		err = f.buffered.Truncate(size)
	} else if err = extend(f.buffered, f.syncData, old, size); err != nil {
		err = errors.Join(err, f.buffered.Truncate(old))
	}
	if err != nil {
		_, _ = f.measure()
		return f.wrap("resize", err)
	}
	f.size.Store(size)
	return nil
}

func (f *file) Sync() error {
	if err := f.enter(); err != nil {
		return f.wrap("sync", err)
	}
	defer f.leave()
	// Another File's failure is none of this one: nothing is claimed of what that one wrote,
	// and what is left of it will be read.
	if err := f.syncer.SyncContent(f.datasync); err != nil {
		return err
	}
	// Pages that failed to be written, in this process or an earlier one, are clean
	// in the cache and wrong: a reader would serve, and recovery would build on,
	// bytes that the next power failure takes away.
	if err := dropCache(f.buffered); err != nil {
		return f.wrap("drop cache", err)
	}
	return nil
}

// syncData makes everything written to the file durable, once entered. After it
// failed it fails for good: see the package comment.
func (f *file) syncData() error { return f.syncer.Sync(f.datasync) }

func (f *file) datasync() error {
	if err := datasync(f.buffered); err != nil {
		return f.wrap("sync", err)
	}
	return nil
}

func (f *file) Close() error {
	if err := f.close(f.release); err != nil {
		return f.wrap("close", err)
	}
	return nil
}

func (f *file) release() error {
	if f.syncer != nil {
		f.syncer.Close()
	}
	err := f.buffered.Close()
	if f.direct != nil {
		err = errors.Join(err, f.direct.Close())
	}
	return err
}
