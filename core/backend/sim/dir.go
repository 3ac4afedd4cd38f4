package sim

import (
	"fmt"
	"io/fs"
	"syscall"

	"github.com/chronik-go/wal/core/backend"
)

// dir is an open directory.
type dir struct {
	d    *Disk
	path string
	ro   bool

	// Under the Disk's lock:
	closed bool
	locked bool
	files  int // Files and Queues open
}

var _ backend.Dir = (*dir)(nil)

// maxName is the longest name in bytes, as on most file systems.
const maxName = 255

func checkName(name string) error {
	if len(name) > maxName {
		return syscall.ENAMETOOLONG
	}
	return backend.CheckName(name)
}

// begin starts an operation on the directory, as Disk.begin does.
func (v *dir) begin(i OpInfo, write bool) error {
	i.Dir = v.path
	if err := v.d.begin(i); err != nil {
		return err
	}
	var err error
	switch {
	case v.closed:
		err = backend.ErrClosed
	case write && v.ro:
		err = fs.ErrPermission
	}
	if err != nil {
		v.d.mu.Unlock()
		return failed(i, err)
	}
	return nil
}

func (v *dir) Lock() error {
	i := OpInfo{Op: OpLock}
	if err := v.begin(i, false); err != nil {
		return err
	}
	defer v.d.mu.Unlock()
	if by := v.d.locks[v.path]; by != nil && by != v {
		return failed(OpInfo{Op: OpLock, Dir: v.path}, backend.ErrLocked)
	}
	if v.d.locks == nil {
		v.d.locks = map[string]*dir{}
	}
	v.d.locks[v.path], v.locked = v, true
	return nil
}

func (v *dir) List() ([]string, error) {
	if err := v.begin(OpInfo{Op: OpList}, false); err != nil {
		return nil, err
	}
	defer v.d.mu.Unlock()
	return v.d.st.names(v.path), nil
}

func (s *state) names(dir string) []string {
	var names []string
	if i, ok := s.byPath[dir]; ok {
		for _, e := range s.dirs[i].vol {
			names = append(names, e.name)
		}
	}
	return names
}

func (v *dir) Create(name string, size int64) (backend.File, error) {
	i := OpInfo{Op: OpCreate, Dir: v.path, Name: name, Len: size}
	if err := checkName(name); err != nil {
		return nil, failed(i, err)
	}
	if err := v.begin(i, true); err != nil {
		return nil, err
	}
	d := v.d
	defer d.mu.Unlock()
	if _, ok := d.st.lookup(v.path, name); ok {
		return nil, failed(i, fs.ErrExist)
	}
	if err := d.reserve(0, size); err != nil {
		return nil, failed(i, err)
	}
	if err := d.change(&op{OpInfo: i}); err != nil {
		return nil, failed(i, err)
	}
	return v.file(len(d.st.inodes)-1, name), nil
}

func (v *dir) Open(name string) (backend.File, error) {
	i := OpInfo{Op: OpOpen, Dir: v.path, Name: name}
	if err := checkName(name); err != nil {
		return nil, failed(i, err)
	}
	if err := v.begin(i, false); err != nil {
		return nil, err
	}
	defer v.d.mu.Unlock()
	e, ok := v.d.st.lookup(v.path, name)
	switch {
	case !ok:
		return nil, failed(i, fs.ErrNotExist)
	case e.kind != kindFile:
		return nil, failed(i, backend.ErrNotRegular)
	}
	return v.file(e.ino, name), nil
}

// file returns an open File of an inode.
func (v *dir) file(ino int, name string) *file {
	d := v.d
	o := d.open[ino]
	if o == nil {
		o = &openInode{ino: ino, name: name, linked: true}
		if d.open == nil {
			d.open = map[int]*openInode{}
		}
		d.open[ino] = o
	}
	o.count++
	d.handles++
	v.files++
	return &file{d: d, dir: v, o: o}
}

func (v *dir) Rename(oldname, newname string) error {
	i := OpInfo{Op: OpRename, Dir: v.path, Name: oldname, NewName: newname}
	for _, name := range []string{oldname, newname} {
		if err := checkName(name); err != nil {
			return failed(i, err)
		}
	}
	if err := v.begin(i, true); err != nil {
		return err
	}
	d := v.d
	defer d.mu.Unlock()
	from, ok := d.st.lookup(v.path, oldname)
	to, replaced := d.st.lookup(v.path, newname)
	switch {
	case !ok:
		return failed(i, fs.ErrNotExist)
	case from.kind == kindDir || replaced && to.kind == kindDir:
		return failed(i, syscall.EISDIR)
	case oldname == newname:
		return nil
	}
	if err := d.change(&op{OpInfo: i}); err != nil {
		return failed(i, err)
	}
	if replaced && to.kind == kindFile {
		d.unlink(to.ino)
	}
	if from.kind == kindFile && d.open[from.ino] != nil {
		d.open[from.ino].name = newname
	}
	return nil
}

func (v *dir) Remove(name string) error {
	i := OpInfo{Op: OpRemove, Dir: v.path, Name: name}
	if err := checkName(name); err != nil {
		return failed(i, err)
	}
	if err := v.begin(i, true); err != nil {
		return err
	}
	d := v.d
	defer d.mu.Unlock()
	e, ok := d.st.lookup(v.path, name)
	switch {
	case !ok:
		return failed(i, fs.ErrNotExist)
	case e.kind == kindDir:
		return failed(i, syscall.EISDIR)
	}
	if err := d.change(&op{OpInfo: i}); err != nil {
		return failed(i, err)
	}
	if e.kind == kindFile {
		d.unlink(e.ino)
	}
	return nil
}

func (v *dir) Sync() error {
	i := OpInfo{Op: OpDirSync, Dir: v.path}
	if err := v.begin(i, false); err != nil {
		return err
	}
	d := v.d
	defer d.mu.Unlock()
	durable, gate, err := d.syncOutcome(i)
	if err == nil && d.readOnly && len(d.st.dir(v.path).pend) > 0 {
		durable, err = false, syscall.EROFS
	}
	i.Failed = err != nil
	if rec := d.record(&op{OpInfo: i, durable: durable, gate: gate}); rec != nil {
		err = rec
	}
	if err != nil {
		return failed(i, err)
	}
	return nil
}

func (v *dir) Close() error {
	d := v.d
	d.mu.Lock()
	defer d.mu.Unlock()
	i := OpInfo{Op: OpOpenDir, Dir: v.path}
	if v.closed {
		return failed(i, backend.ErrClosed)
	}
	v.closed = true
	d.handles--
	if v.locked {
		delete(d.locks, v.path)
	}
	if err := d.alive(); err != nil {
		return failed(i, err)
	}
	if v.files > 0 {
		return d.offend(failed(i, fmt.Errorf("%d files and queues still open: %w", v.files, ErrContract)))
	}
	return nil
}
