package sim

import (
	"io"
	"io/fs"
	"syscall"

	"github.com/chronik-go/wal/core/backend"
)

// file is an open file.
type file struct {
	d      *Disk
	dir    *dir
	o      *openInode // what it points to is under the Disk's lock
	closed bool       // under the Disk's lock
}

var (
	_ backend.File       = (*file)(nil)
	_ backend.DataFinder = (*file)(nil)
	_ backend.Viewer     = (*file)(nil)
)

// info describes an operation on the file. The Disk's lock is held.
func (f *file) info(o Op) OpInfo { return OpInfo{Op: o, Dir: f.dir.path, Name: f.o.name} }

// begin starts an operation on the file, as Disk.begin does.
func (f *file) begin(o Op, off, n int64) (OpInfo, error) {
	f.d.mu.Lock()
	i := f.info(o)
	f.d.mu.Unlock()
	i.Offset, i.Len = off, n
	if err := f.d.begin(i); err != nil {
		return i, err
	}
	if f.closed {
		f.d.mu.Unlock()
		return i, failed(i, backend.ErrClosed)
	}
	return i, nil
}

func (f *file) ReadAt(b []byte, off int64) (int, error) {
	i, err := f.begin(OpRead, off, int64(len(b)))
	if err != nil {
		return 0, err
	}
	d := f.d
	defer d.mu.Unlock()
	if off < 0 {
		return 0, failed(i, syscall.EINVAL)
	}
	if flt := d.fault(i); flt != nil {
		n := 0
		if flt.Short {
			n = d.st.readAt(f.o.ino, b[:len(b)/2], off)
		}
		return n, failed(i, flt.err())
	}
	n := d.st.readAt(f.o.ino, b, off)
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}

// View shows a copy. To faults and hooks it is an OpRead.
func (f *file) View(off int64, n int, look func(data []byte)) error {
	if n < 0 {
		return failed(f.info(OpRead), syscall.EINVAL)
	}
	size, err := f.Size()
	if err != nil {
		return err
	}
	b := make([]byte, min(int64(n), size+1)) // one byte more is too many already
	if _, err := f.ReadAt(b, off); err != nil {
		return err
	}
	f.d.views.Add(1)
	look(b)
	return nil
}

// Views is how many times a file was looked at.
func (d *Disk) Views() int { return int(d.views.Load()) }

// readAt reads from the cache up to the end of the file.
func (s *state) readAt(ino int, b []byte, off int64) int {
	n := s.inodes[ino]
	b = b[:max(0, min(int64(len(b)), n.size()-off))]
	if s.flat {
		return copy(b, n.flat[min(off, int64(len(n.flat))):])
	}
	n.vol.readAt(b, off)
	return len(b)
}

// NextData skips sectors of zeros. To faults and hooks it is an OpRead without length.
func (f *file) NextData(off int64) (int64, error) {
	i, err := f.begin(OpRead, off, 0)
	if err != nil {
		return 0, err
	}
	d := f.d
	defer d.mu.Unlock()
	if off < 0 {
		return 0, failed(i, syscall.EINVAL)
	}
	if flt := d.fault(i); flt != nil {
		return 0, failed(i, flt.err())
	}
	n := d.st.inodes[f.o.ino]
	if d.st.flat {
		return off, nil
	}
	return max(off, n.vol.nextData(off)), nil
}

func (f *file) Size() (int64, error) {
	if _, err := f.begin(OpSize, 0, 0); err != nil {
		return 0, err
	}
	defer f.d.mu.Unlock()
	return f.d.st.inodes[f.o.ino].size(), nil
}

func (f *file) Resize(size int64) error {
	i, err := f.begin(OpResize, 0, size)
	if err != nil {
		return err
	}
	d := f.d
	defer d.mu.Unlock()
	if f.dir.ro {
		return failed(i, fs.ErrPermission)
	}
	if err := d.reserve(d.st.inodes[f.o.ino].size(), size); err != nil {
		return failed(i, err)
	}
	if err := d.change(&op{OpInfo: i, ino: f.o.ino}); err != nil {
		return failed(i, err)
	}
	return nil
}

func (f *file) Sync() error {
	i, err := f.begin(OpFileSync, 0, 0)
	if err != nil {
		return err
	}
	d := f.d
	defer d.mu.Unlock()
	durable, gate, err := d.syncOutcome(i)
	if err == nil && d.readOnly && d.st.inodes[f.o.ino].dirty() {
		durable, err = false, syscall.EROFS
	}
	i.Failed = err != nil
	if rec := d.record(&op{OpInfo: i, ino: f.o.ino, durable: durable, gate: gate}); rec != nil {
		err = rec
	}
	if err != nil {
		return failed(i, err)
	}
	return nil
}

// dirty reports whether a sync of the file has something to do.
func (n *inode) dirty() bool {
	for i := range n.pend {
		if !n.pend[i].lost {
			return true
		}
	}
	return false
}

func (f *file) Close() error {
	d := f.d
	d.mu.Lock()
	defer d.mu.Unlock()
	if f.closed {
		return failed(f.info(OpOpen), backend.ErrClosed)
	}
	f.closed = true
	d.handles--
	f.dir.files--
	if err := d.alive(); err != nil {
		return failed(f.info(OpOpen), err)
	}
	if f.o.count--; f.o.count == 0 {
		delete(d.open, f.o.ino)
		if !f.o.linked {
			d.free(f.o.ino)
		}
	}
	return nil
}
