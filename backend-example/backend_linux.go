// Package example is an IO backend in less than 200 lines of code: plain writes through the
// page cache, each followed by fsync. It passes the conformance suite; docs/backends.md walks
// through it. It is for Linux and is not registered: it is there to be read and to start from.
package example

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"

	"github.com/chronik-go/wal/core/backend"
	"github.com/chronik-go/wal/core/backend/inline"
	"github.com/chronik-go/wal/core/backend/osdir"
	"github.com/chronik-go/wal/core/backend/osfile"
)

// Backend has no state: everything belongs to a Dir.
type Backend struct{}

// Name returns "example".
func (Backend) Name() string { return "example" }

// Probe returns nil: where this compiles, it runs.
func (Backend) Probe() error { return nil }

// OpenDir opens a directory as the contract says.
func (Backend) OpenDir(path string, o backend.DirOptions) (_ backend.Dir, err error) {
	unmake := func() {}
	if o.Create && !o.ReadOnly {
		if unmake, err = osdir.Make(path); err != nil {
			return nil, err
		}
	}
	defer func() {
		if err != nil {
			unmake()
		}
	}()
	self, err := os.OpenFile(path, unix.O_DIRECTORY, 0) // of a FIFO it would wait for somebody
	if err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(path)
	if err != nil {
		return nil, errors.Join(err, self.Close())
	}
	syncer, err := osfile.New(self)
	if err != nil {
		return nil, errors.Join(err, root.Close(), self.Close())
	}
	return &dir{root: root, self: self, syncer: syncer, readOnly: o.ReadOnly}, nil
}

// dir resolves names against a descriptor: its path may lead elsewhere by now.
type dir struct {
	root     *os.Root
	self     *os.File // the same directory, for Sync and the lock
	syncer   *osfile.Syncer
	readOnly bool
}

// allowed refuses bad names and, on a read-only Dir, changes.
func (d *dir) allowed(change bool, names ...string) error {
	if change && d.readOnly {
		return fmt.Errorf("opened read-only: %w", fs.ErrPermission)
	}
	return backend.CheckName(names...)
}

func (d *dir) Lock() error {
	err := control(d.self, func(fd int) error { return unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB) })
	if errors.Is(err, unix.EWOULDBLOCK) {
		return fmt.Errorf("%w: %w", backend.ErrLocked, err)
	}
	return err
}

// control uses a descriptor while no Close can take it away.
func control(f *os.File, use func(fd int) error) error {
	c, err := f.SyscallConn()
	if err == nil && c.Control(func(fd uintptr) { err = use(int(fd)) }) != nil {
		err = backend.ErrClosed
	}
	return err
}

func (d *dir) List() ([]string, error) {
	f, err := d.root.Open(".") // every call has a position of its own
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return f.Readdirnames(-1)
}

func (d *dir) Create(name string, size int64) (backend.File, error) {
	if err := d.allowed(true, name); err != nil {
		return nil, err
	}
	f, err := d.root.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	created, err := d.file(f)
	if err == nil {
		if err = errors.Join(f.Chmod(0o600), created.Resize(size)); err == nil {
			return created, nil
		}
		created.syncer.Close()
	}
	return nil, errors.Join(err, f.Close(), d.root.Remove(name))
}

func (d *dir) Open(name string) (backend.File, error) {
	if err := d.allowed(false, name); err != nil {
		return nil, err
	}
	if fi, err := d.root.Lstat(name); err != nil {
		return nil, err
	} else if !fi.Mode().IsRegular() {
		return nil, fmt.Errorf("%s: %w", name, backend.ErrNotRegular)
	}
	flags := os.O_RDWR
	if d.readOnly {
		flags = os.O_RDONLY
	}
	f, err := d.root.OpenFile(name, flags|unix.O_NONBLOCK, 0) // it may be a FIFO by now
	if err != nil {
		return nil, err
	}
	return d.file(f)
}

func (d *dir) Rename(oldname, newname string) error {
	if err := d.allowed(true, oldname, newname); err != nil {
		return err
	}
	return d.root.Rename(oldname, newname)
}

func (d *dir) Remove(name string) error {
	if err := d.allowed(true, name); err != nil {
		return err
	}
	return d.root.Remove(name)
}

// Sync fails for good once it failed, as that of a file.
func (d *dir) Sync() error { return d.syncer.SyncContent(d.self.Sync) }

func (d *dir) Queue(backend.QueueOptions) (backend.Queue, error) {
	_, err := d.self.Stat() // is it closed?
	if err = errors.Join(err, d.allowed(true)); err != nil {
		return nil, err
	}
	return inline.New(backend.Limits{Alignment: alignment}, carrier{d}), nil
}

func (d *dir) Close() error {
	d.syncer.Close()
	return errors.Join(d.root.Close(), d.self.Close())
}

// file is a File; its ReadAt is that of os.File.
type file struct {
	*os.File
	dir    *dir
	syncer *osfile.Syncer // fails for good, for all Files of the file, once a sync failed
}

func (d *dir) file(f *os.File) (*file, error) {
	syncer, err := osfile.New(f)
	return &file{File: f, dir: d, syncer: syncer}, err
}

// Size moves the position that no other call uses.
func (f *file) Size() (int64, error) { return f.Seek(0, io.SeekEnd) }

func (f *file) Resize(size int64) error {
	old, err := f.Size()
	if err = errors.Join(err, f.dir.allowed(true)); err != nil {
		return err
	}
	if size <= old {
		return f.Truncate(size)
	}
	if err = control(f.File, func(fd int) error { return unix.Fallocate(fd, 0, old, size-old) }); err != nil {
		err = errors.Join(err, f.Truncate(old))
	}
	return err
}

// Sync drops what the cache holds, too: pages that a failed write-back left there are wrong.
func (f *file) Sync() error {
	drop := func(fd int) error { return unix.Fadvise(fd, 0, 0, unix.FADV_DONTNEED) }
	return errors.Join(f.syncer.SyncContent(f.File.Sync), control(f.File, drop))
}

func (f *file) Close() error {
	f.syncer.Close()
	return f.File.Close()
}

// alignment is the size of a sector, which no device writes a part of.
const alignment = 512

// carrier writes the batches of a queue.
type carrier struct{ dir *dir }

// Check refuses a batch before anything of it is started.
func (c carrier) Check(b *backend.Batch) error {
	for i := range b.Writes {
		w := &b.Writes[i]
		f, ok := w.File.(*file)
		if !ok || f.dir != c.dir {
			return errors.New("the file is not of this directory")
		}
		var st unix.Stat_t // os.File.Stat would allocate
		if err := unix.Fstat(int(f.Fd()), &st); err != nil {
			return err
		}
		n := int64(len(w.Data))
		if n > 0 && (w.Offset < 0 || w.Offset > st.Size-n || w.Offset%alignment != 0 || n%alignment != 0) {
			return fmt.Errorf("%d bytes at %d of %d", n, w.Offset, st.Size)
		}
	}
	return nil
}

// CarryOut writes, and syncs what wants it, one write after the other.
func (c carrier) CarryOut(b *backend.Batch) {
	for i := range b.Writes {
		w := &b.Writes[i]
		f := w.File.(*file)
		_, w.Err = f.WriteAt(w.Data, w.Offset) // all of it, or an error
		if w.Sync && w.Err == nil {
			w.Err = f.syncer.Sync(f.File.Sync)
		}
	}
}
