//go:build unix

package osdir

import (
	"errors"
	"io/fs"
	"os"
	"slices"
	"strings"
	"syscall"
)

// Make makes a directory, and the missing ones above it, each of mode 0700, and makes the names of
// all of them durable, up to the root of their file system, also of those that are there. One that
// may not be read is passed over. That is what B5 of package backend demands of OpenDir. When it
// fails it removes what it made; with unmake, which is never nil, so does who cannot use the directory.
func Make(path string) (unmake func(), err error) {
	var missing, made []string // the lowest, and the highest, first
	unmake = func() {
		for _, path := range slices.Backward(made) {
			_ = os.Remove(path) // another process may have put something there
		}
	}
	fi, err := os.Stat(path)
	for errors.Is(err, fs.ErrNotExist) && parent(path) != path {
		missing = append(missing, path)
		path = parent(path)
		fi, err = os.Stat(path)
	}
	switch {
	case err != nil:
		return unmake, err
	case !fi.IsDir():
		return unmake, &fs.PathError{Op: "mkdir", Path: path, Err: syscall.ENOTDIR}
	}
	if err := syncAbove(path); err != nil {
		return unmake, err
	}
	for _, path := range slices.Backward(missing) {
		here, err := makeOne(path)
		if here {
			made = append(made, path)
		}
		if err != nil {
			unmake()
			return unmake, err
		}
	}
	return unmake, nil
}

// parent is a path without its last element. It is not cleaned: what is above "link/.." is not what is
// above "link".
func parent(path string) string {
	path = strings.TrimRight(path, "/")
	switch i := strings.LastIndexByte(path, '/'); {
	case path == "":
		return "/"
	case i < 0:
		return "."
	default:
		return path[:max(i, 1)]
	}
}

// makeOne makes a directory in one that is there, and reports whether it did. That one is opened
// before: if it may not be read it cannot be synced, and nothing is made in it.
func makeOne(path string) (made bool, err error) {
	above, err := os.OpenFile(parent(path), syscall.O_DIRECTORY, 0)
	if err != nil {
		return false, err
	}
	defer above.Close()
	if err := os.Mkdir(path, 0o700); err != nil {
		// Somebody else was faster, or path is a link to nowhere.
		if _, statErr := os.Stat(path); statErr != nil {
			return false, err
		}
		return false, above.Sync()
	}
	if err := os.Chmod(path, 0o700); err != nil { // whatever the umask took
		return true, err
	}
	return true, errors.Join(syncDir(path), above.Sync())
}

// syncAbove makes durable the names of a directory and of all above it, up to the root of
// their file system. They may be there because of a process that died before it synced
// them, or of a mkdir -p, which syncs nothing; a power failure would then take away the
// log with everything in it. It goes up by "..": path may be a link.
func syncAbove(path string) error {
	at, err := openPlace(path)
	if err != nil {
		return err
	}
	for {
		above, err := at.above()
		if errors.Is(err, fs.ErrPermission) {
			return at.close() // nobody lets us look further up
		}
		if err != nil {
			return errors.Join(err, at.close())
		}
		top := device(above.info) != device(at.info) || os.SameFile(above.info, at.info)
		if err := at.close(); err != nil || top {
			return errors.Join(err, above.close())
		}
		// What may not be read was made by somebody else. There may be more above it.
		if err := above.sync(); err != nil && !errors.Is(err, fs.ErrPermission) {
			return errors.Join(err, above.close())
		}
		at = above
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
