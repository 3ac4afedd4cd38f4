package posix

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/chronik-go/wal/core/backend"
	"github.com/chronik-go/wal/core/backend/osfile"
)

// dir is one open directory. Everything in it is reached through the directory's
// descriptor, never through its path: the data directory may be renamed while open.
type dir struct {
	guard
	h         *dirHandle
	path      string // as given to OpenDir, for messages only
	readOnly  bool
	direct    bool
	noDirect  error // why direct is false, if that was not chosen
	alignment int
}

var _ backend.Dir = (*dir)(nil)

// String says how the directory is written, for a line in the log.
func (d *dir) String() string {
	switch {
	case d.readOnly:
		return "posix, read-only"
	case d.direct:
		return "posix, direct writes"
	case d.noDirect != nil:
		return fmt.Sprintf("posix, buffered writes (no direct ones: %v)", d.noDirect)
	}
	return "posix, buffered writes"
}

// pathError wraps err with the operation and the full name, and keeps its cause.
func (d *dir) pathError(op, name string, err error) error {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		err = pe.Err // the inner one holds a name relative to the descriptor
	}
	return &fs.PathError{Op: op, Path: filepath.Join(d.path, name), Err: err}
}

// checkName refuses what is not one plain element, here or elsewhere.
func checkName(name string) error {
	if err := backend.CheckName(name); err != nil {
		return err
	}
	if !filepath.IsLocal(name) { // a device of Windows
		return fmt.Errorf("%q: %w", name, backend.ErrName)
	}
	return nil
}

// begin enters the directory for an operation on names. Every nil result is paired
// with a leave.
func (d *dir) begin(op string, changes bool, names ...string) error {
	for _, n := range names {
		if err := checkName(n); err != nil {
			return fmt.Errorf("%s: %w", op, err)
		}
	}
	if changes && d.readOnly {
		return d.pathError(op, strings.Join(names, " "), fmt.Errorf("opened read-only: %w", fs.ErrPermission))
	}
	if err := d.enter(); err != nil {
		return d.pathError(op, strings.Join(names, " "), err)
	}
	return nil
}

func (d *dir) Lock() error {
	if err := d.begin("lock", false); err != nil {
		return err
	}
	defer d.leave()
	if err := d.h.lock(d.readOnly); err != nil {
		return d.pathError("lock", "", err)
	}
	return nil
}

func (d *dir) List() ([]string, error) {
	if err := d.begin("list", false); err != nil {
		return nil, err
	}
	defer d.leave()
	names, err := d.h.names()
	if err != nil {
		return nil, d.pathError("list", "", err)
	}
	return names, nil
}

func (d *dir) Create(name string, size int64) (backend.File, error) {
	if err := d.begin("create", true, name); err != nil {
		return nil, err
	}
	defer d.leave()
	if size < 0 {
		return nil, d.pathError("create", name, fmt.Errorf("size %d: %w", size, fs.ErrInvalid))
	}
	f, err := d.create(name, size)
	if err != nil {
		return nil, d.pathError("create", name, err)
	}
	return f, nil
}

func (d *dir) create(name string, size int64) (*file, error) {
	buffered, err := d.h.createFile(name)
	if err != nil {
		return nil, err
	}
	f, err := d.newFile(name, buffered)
	if err == nil {
		err = extend(buffered, f.datasync, 0, size)
		f.size.Store(size)
	}
	if err == nil && d.direct {
		f.direct, err = d.h.openDirect(name, buffered)
	}
	if err != nil {
		_ = f.release()
		return nil, errors.Join(err, d.h.remove(name))
	}
	return f, nil
}

func (d *dir) Open(name string) (backend.File, error) {
	if err := d.begin("open", false, name); err != nil {
		return nil, err
	}
	defer d.leave()
	f, err := d.open(name)
	// Another goroutine may put a new file in this one's place between the two
	// opens of a direct file; the new one is then as right as the old one was.
	for range 8 {
		if !errors.Is(err, errReplaced) {
			break
		}
		f, err = d.open(name)
	}
	if err != nil {
		return nil, d.pathError("open", name, err)
	}
	return f, nil
}

func (d *dir) open(name string) (*file, error) {
	buffered, err := d.h.openFile(name, d.readOnly)
	if err != nil {
		return nil, err
	}
	f, err := d.newFile(name, buffered)
	if err == nil && d.direct {
		f.direct, err = d.h.openDirect(name, buffered)
	}
	if err != nil {
		_ = f.release()
		return nil, err
	}
	return f, nil
}

// newFile makes the file of a descriptor; it is to be released also if there is an error.
func (d *dir) newFile(name string, buffered *os.File) (f *file, err error) {
	f = &file{dir: d, path: filepath.Join(d.path, name), buffered: buffered}
	f.syncer, err = osfile.New(buffered)
	return f, err
}

func (d *dir) Rename(oldname, newname string) error {
	if err := d.begin("rename", true, oldname, newname); err != nil {
		return err
	}
	defer d.leave()
	if err := d.h.rename(oldname, newname); err != nil {
		return d.pathError("rename to "+newname, oldname, err)
	}
	return nil
}

func (d *dir) Remove(name string) error {
	if err := d.begin("remove", true, name); err != nil {
		return err
	}
	defer d.leave()
	if err := d.h.remove(name); err != nil {
		return d.pathError("remove", name, err)
	}
	return nil
}

func (d *dir) Sync() error {
	if err := d.begin("sync", false); err != nil {
		return err
	}
	defer d.leave()
	if err := d.h.sync(); err != nil {
		return d.pathError("sync", "", err)
	}
	return nil
}

func (d *dir) Queue(backend.QueueOptions) (backend.Queue, error) {
	if err := d.begin("queue", true); err != nil {
		return nil, err
	}
	defer d.leave()
	return newQueue(d), nil
}

func (d *dir) Close() error {
	if err := d.close(d.h.close); err != nil {
		return d.pathError("close", "", err)
	}
	return nil
}
