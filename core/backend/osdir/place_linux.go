package osdir

import (
	"errors"
	"io/fs"
	"os"
	"syscall"
)

// place is a directory by a descriptor that needs no permission to read. Going up by descriptors
// takes no path, which could become longer than the system allows.
type place struct {
	f    *os.File
	info fs.FileInfo
}

// oPath is O_PATH, which package syscall does not have. It is the same on all that Go runs on.
const oPath = 0x200000

// maxRetries bounds how often in a row a call may be interrupted.
const maxRetries = 1000

func openPlace(path string) (place, error) {
	f, err := os.OpenFile(path, oPath|syscall.O_DIRECTORY, 0)
	return newPlace(f, err)
}

func newPlace(f *os.File, err error) (place, error) {
	if err != nil {
		return place{}, err
	}
	info, err := f.Stat()
	if err != nil {
		return place{}, errors.Join(err, f.Close())
	}
	return place{f, info}, nil
}

func (p place) open(name string, flags int) (*os.File, error) {
	fd, err := syscall.Openat(int(p.f.Fd()), name, flags|syscall.O_DIRECTORY|syscall.O_CLOEXEC, 0)
	for i := 0; errors.Is(err, syscall.EINTR) && i < maxRetries; i++ {
		fd, err = syscall.Openat(int(p.f.Fd()), name, flags|syscall.O_DIRECTORY|syscall.O_CLOEXEC, 0)
	}
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: name + " of " + p.f.Name(), Err: err}
	}
	return os.NewFile(uintptr(fd), name), nil
}

func (p place) above() (place, error) {
	f, err := p.open("..", oPath)
	return newPlace(f, err)
}

func (p place) sync() error {
	f, err := p.open(".", syscall.O_RDONLY)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

func (p place) close() error { return p.f.Close() }
