package sim

import (
	"fmt"
	"io/fs"
	"path"
	"slices"
	"syscall"

	"github.com/chronik-go/wal/core/backend"
)

// The helpers of this file work on whole paths and ignore faults, permissions and the
// capacity. What they change is durable at once and leaves nothing unsynced in the
// directory or file they touch, but for writes in flight. They stand in the trace.

// edit changes the disk by fn, which gets the state to change, the true path of the
// directory and the name in it.
func (d *Disk) edit(p string, fn func(s *state, dir, name string) error) error {
	parent, name := path.Split(path.Clean("/" + p))
	info := OpInfo{Op: OpEdit, Dir: path.Clean(parent), Name: name}
	d.mu.Lock()
	defer d.mu.Unlock()
	at, err := d.st.resolve(parent)
	if err != nil {
		return failed(info, err)
	}
	info.Dir = at
	after := d.st.fork()
	after.n = d.st.n + 1
	if err := fn(after, at, name); err != nil {
		return failed(info, err)
	}
	if err := d.record(&op{OpInfo: info, after: after}); err != nil {
		return failed(info, err)
	}
	return nil
}

// put sets a durable entry.
func (s *state) put(dir string, e entry) {
	v := s.dir(dir)
	v.vol = with(v.vol, e)
	v.dur, v.pend = v.vol, nil
}

// settle makes a file durable as the cache shows it.
func (n *inode) settle() {
	n.dur = n.vol
	n.pend = slices.DeleteFunc(n.pend, func(p pending) bool { return p.done != 0 })
}

// regular returns the file of that name for changing.
func (s *state) regular(dir, name string) (*inode, error) {
	e, ok := s.lookup(dir, name)
	switch {
	case !ok:
		return nil, fs.ErrNotExist
	case e.kind != kindFile:
		return nil, backend.ErrNotRegular
	}
	return s.inode(e.ino), nil
}

// setAll makes b the content of the file.
func (n *inode) setAll(s *state, b []byte) {
	if s.flat {
		n.flat = slices.Clone(b)
		return
	}
	n.vol = content{size: int64(len(b))}
	n.vol.write(s.tok, 0, makeSectors(b), nil)
	n.settle()
}

// bytes returns the file's content, in memory of its own.
func (n *inode) bytes(s *state) []byte {
	if s.flat {
		return slices.Clone(n.flat)
	}
	b := make([]byte, n.vol.size)
	n.vol.readAt(b, 0)
	return b
}

// Files returns the names in a directory, sorted; none if there is no such directory.
func (d *Disk) Files(dir string) []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	at, err := d.st.resolve(dir)
	if err != nil {
		return nil
	}
	return d.st.names(at)
}

// ReadFile returns what a reader sees of a file. It works on a crashed disk too.
func (d *Disk) ReadFile(p string) ([]byte, error) {
	dir, name := path.Split(path.Clean("/" + p))
	info := OpInfo{Op: OpRead, Dir: dir, Name: name}
	d.mu.Lock()
	defer d.mu.Unlock()
	at, err := d.st.resolve(dir)
	if err != nil {
		return nil, failed(info, err)
	}
	n, err := d.st.regular(at, name)
	if err != nil {
		return nil, failed(info, err)
	}
	return n.bytes(d.st), nil
}

// WriteFile makes b the durable content of a file, which it makes if it is missing. An
// open File of it sees the new content. To bring back an older version of a file, give
// it what ReadFile returned then.
func (d *Disk) WriteFile(p string, b []byte) error {
	return d.edit(p, func(s *state, dir, name string) error {
		if err := checkName(name); err != nil {
			return err
		}
		if _, ok := s.lookup(dir, name); !ok {
			s.inodes = append(s.inodes, &inode{own: s.tok})
			s.put(dir, entry{name: name, ino: len(s.inodes) - 1})
		}
		n, err := s.regular(dir, name)
		if err == nil {
			n.setAll(s, b)
		}
		return err
	})
}

// Edit replaces a file's content by what fn makes of it. fn may change its argument.
func (d *Disk) Edit(p string, fn func([]byte) []byte) error {
	return d.edit(p, func(s *state, dir, name string) error {
		n, err := s.regular(dir, name)
		if err == nil {
			n.setAll(s, fn(n.bytes(s)))
		}
		return err
	})
}

// patch changes the bytes from off to off+n in place, by fn. It costs only the sectors
// they lie in.
func (d *Disk) patch(p string, off, n int64, fn func(b []byte)) error {
	return d.edit(p, func(s *state, dir, name string) error {
		f, err := s.regular(dir, name)
		if err != nil {
			return err
		}
		if off < 0 || n < 0 || off > f.size()-n {
			return fmt.Errorf("bytes %d, +%d of %d: %w", off, n, f.size(), syscall.EINVAL)
		}
		if s.flat {
			fn(f.flat[off : off+n])
			return nil
		}
		start := off / SectorSize * SectorSize
		b := make([]byte, min(sectorsUp(off+n), f.vol.size)-start)
		f.vol.readAt(b, start)
		fn(b[off-start:][:n])
		f.vol.write(s.tok, start/SectorSize, makeSectors(b), nil)
		f.settle()
		return nil
	})
}

// FlipBit inverts one bit, 0 to 7, of the byte at off.
func (d *Disk) FlipBit(p string, off int64, bit int) error {
	return d.patch(p, off, 1, func(b []byte) { b[0] ^= 1 << (bit & 7) })
}

// Overwrite puts b at off, within the file's size.
func (d *Disk) Overwrite(p string, off int64, b []byte) error {
	return d.patch(p, off, int64(len(b)), func(to []byte) { copy(to, b) })
}

// Zero overwrites n bytes from off on with zeros.
func (d *Disk) Zero(p string, off, n int64) error {
	return d.patch(p, off, n, func(b []byte) { clear(b) })
}

// Misdirect copies n bytes from one offset of the file to another, as a device does
// that writes a block to the wrong place.
func (d *Disk) Misdirect(p string, from, to, n int64) error {
	b, err := d.ReadFile(p)
	if err != nil {
		return err
	}
	if from < 0 || n < 0 || from > int64(len(b))-n {
		return failed(OpInfo{Op: OpEdit, Name: p}, syscall.EINVAL)
	}
	return d.Overwrite(p, to, b[from:from+n])
}

// Truncate sets a file's size; what is new reads as zeros.
func (d *Disk) Truncate(p string, size int64) error {
	return d.edit(p, func(s *state, dir, name string) error {
		n, err := s.regular(dir, name)
		switch {
		case err != nil:
			return err
		case size < 0 || size > d.maxSize():
			return syscall.EINVAL
		case s.flat:
			mem := make([]byte, size)
			copy(mem, n.flat)
			n.flat = mem
			return nil
		}
		n.vol.resize(s.tok, size)
		n.settle()
		return nil
	})
}
