//go:build linux

package conformance

import (
	"errors"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

func init() {
	viewUnguarded = func(f *brokenFile, off int64, n int, look func([]byte)) (err error) {
		file, err := os.Open(filepath.Join(f.dir.path, "f"))
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, file.Close()) }()
		mem, err := unix.Mmap(int(file.Fd()), off, n, unix.PROT_READ, unix.MAP_SHARED)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, unix.Munmap(mem)) }()
		look(mem)
		return nil
	}
}
