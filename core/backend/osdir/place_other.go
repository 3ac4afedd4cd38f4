//go:build unix && !linux

package osdir

import (
	"io/fs"
	"os"
)

// place is a directory by its path. Package syscall has no openat here.
type place struct {
	path string
	info fs.FileInfo
}

func openPlace(path string) (place, error) {
	info, err := os.Stat(path)
	return place{path, info}, err
}

func (p place) above() (place, error) { return openPlace(p.path + "/..") }

func (p place) sync() error { return syncDir(p.path) }

func (p place) close() error { return nil }
