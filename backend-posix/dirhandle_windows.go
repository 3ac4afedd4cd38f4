package posix

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"sync"

	"golang.org/x/sys/windows"

	"github.com/chronik-go/wal/core/backend"
)

// lockName is the file that stands for the lock while it is held.
const lockName = ".chronik-lock"

// errReplaced is for systems that open a file twice; this one does not.
var errReplaced = errors.New("the file was replaced while it was being opened")

// dirHandle is a directory's handle. os.Root resolves names against it, so that the
// directory may be renamed, and opens files such that they may be renamed and
// removed while open.
type dirHandle struct {
	root   *os.Root
	path   string
	mu     sync.Mutex
	held   windows.Handle // the lock file, 0 without
	failed error          // of the first sync that failed
}

func openDirHandle(path string) (*dirHandle, error) {
	root, err := os.OpenRoot(path)
	if err != nil {
		return nil, err
	}
	return &dirHandle{root: root, path: path}, nil
}

func (h *dirHandle) close() error {
	err := h.root.Close()
	if h.held != 0 {
		err = errors.Join(err, windows.CloseHandle(h.held))
	}
	return err
}

// sync fails for good once it failed.
func (h *dirHandle) sync() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.failed == nil {
		if err := h.flush(); err != nil {
			h.failed = fmt.Errorf("%w: %w", backend.ErrSync, err)
		}
	}
	return h.failed
}

// flush flushes the directory's own handle, which takes one that may write.
func (h *dirHandle) flush() error {
	name, err := windows.UTF16PtrFromString(h.path)
	if err != nil {
		return err
	}
	d, err := windows.CreateFile(name, windows.GENERIC_WRITE,
		windows.FILE_SHARE_READ|windows.FILE_SHARE_WRITE|windows.FILE_SHARE_DELETE, nil,
		windows.OPEN_EXISTING, windows.FILE_FLAG_BACKUP_SEMANTICS, 0)
	if err != nil {
		return err
	}
	return errors.Join(windows.FlushFileBuffers(d), windows.CloseHandle(d))
}

func (h *dirHandle) names() ([]string, error) {
	d, err := h.root.Open(".")
	if err != nil {
		return nil, err
	}
	defer d.Close()
	names, err := d.Readdirnames(-1)
	return slices.DeleteFunc(names, func(n string) bool { return n == lockName }), err
}

func (h *dirHandle) rename(oldname, newname string) error { return h.root.Rename(oldname, newname) }

func (h *dirHandle) remove(name string) error { return h.root.Remove(name) }

func (h *dirHandle) createFile(name string) (*os.File, error) {
	return h.root.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
}

// openFile opens an existing regular file and refuses anything else. Also where it
// is only read it asks for a handle that may write: without one there is no flush.
func (h *dirHandle) openFile(name string, readOnly bool) (*os.File, error) {
	fi, err := h.root.Lstat(name)
	if err != nil {
		return nil, err
	}
	if !fi.Mode().IsRegular() {
		return nil, backend.ErrNotRegular
	}
	f, err := h.root.OpenFile(name, os.O_RDWR, 0)
	if readOnly && errors.Is(err, fs.ErrPermission) {
		return h.root.Open(name)
	}
	return f, err
}

// lock holds a file that nobody else can open and that Windows deletes with the
// handle, also when the process is killed.
func (h *dirHandle) lock(readOnly bool) error {
	if readOnly {
		return fmt.Errorf("the lock is a file, and the directory was opened read-only: %w", fs.ErrPermission)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.held != 0 {
		return nil
	}
	name, err := windows.UTF16PtrFromString(h.path + `\` + lockName)
	if err != nil {
		return err
	}
	held, err := windows.CreateFile(name, windows.GENERIC_READ|windows.DELETE, 0, nil, windows.OPEN_ALWAYS,
		windows.FILE_ATTRIBUTE_HIDDEN|windows.FILE_FLAG_DELETE_ON_CLOSE, 0)
	if errors.Is(err, windows.ERROR_SHARING_VIOLATION) || errors.Is(err, windows.ERROR_ACCESS_DENIED) {
		return fmt.Errorf("%w (%w)", backend.ErrLocked, err)
	}
	if err != nil {
		return err
	}
	h.held = held
	return nil
}
