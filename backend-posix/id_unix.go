//go:build unix

package posix

import (
	"os"

	"golang.org/x/sys/unix"
)

// idOf is what tells an open file from all others that are open.
func idOf(f *os.File) (fileID, error) {
	var st unix.Stat_t
	err := unix.Fstat(int(f.Fd()), &st)
	return fileID{uint64(st.Dev), uint64(st.Ino)}, err
}
