//go:build unix

package osdir

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// Make makes a directory, and the missing ones above it, each of mode 0700, and makes the names of
// all of them durable, up to the root of their file system, also of those that are there. One that
// may not be read is passed over. That is what B5 of package backend demands of OpenDir.
func Make(path string) error {
	fi, err := os.Stat(path)
	if err == nil {
		if !fi.IsDir() {
			return &fs.PathError{Op: "mkdir", Path: path, Err: syscall.ENOTDIR}
		}
		return syncAbove(path)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	path = filepath.Clean(path)
	parent := filepath.Dir(path)
	if err := Make(parent); err != nil {
		return err
	}
	if err := os.Mkdir(path, 0o700); err != nil {
		// Somebody else was faster, or path is a link to nowhere.
		if _, statErr := os.Stat(path); statErr != nil {
			return err
		}
		return syncDir(parent)
	}
	if err := os.Chmod(path, 0o700); err != nil { // whatever the umask took
		return err
	}
	return errors.Join(syncDir(path), syncDir(parent))
}

// syncAbove makes durable the names of a directory and of all above it, up to the root of
// their file system. They may be there because of a process that died before it synced
// them, or of a mkdir -p, which syncs nothing; a power failure would then take away the
// log with everything in it. "..": path may be a link.
func syncAbove(path string) error {
	below, err := os.Stat(path)
	if err != nil {
		return err
	}
	for {
		path += "/.."
		at, err := os.Stat(path)
		switch {
		case errors.Is(err, fs.ErrPermission):
			return nil // nobody lets us look further up
		case err != nil:
			return err
		case device(at) != device(below), os.SameFile(at, below):
			return nil
		}
		// What may not be read was made by somebody else. There may be more above it.
		if err := syncDir(path); err != nil && !errors.Is(err, fs.ErrPermission) {
			return err
		}
		below = at
	}
}

// device is the file system that a file is on.
func device(fi fs.FileInfo) uint64 { return uint64(fi.Sys().(*syscall.Stat_t).Dev) }

func syncDir(path string) error {
	f, err := os.OpenFile(path, syscall.O_DIRECTORY, 0)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
