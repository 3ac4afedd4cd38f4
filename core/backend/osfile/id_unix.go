//go:build unix

package osfile

import (
	"os"
	"syscall"
)

// idOf is what tells an open file from all others that are open.
func idOf(f *os.File) (any, error) {
	fi, err := f.Stat()
	if err != nil {
		return nil, err
	}
	st := fi.Sys().(*syscall.Stat_t)
	return [2]uint64{uint64(st.Dev), uint64(st.Ino)}, nil
}
