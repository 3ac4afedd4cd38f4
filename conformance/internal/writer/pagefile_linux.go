package writer

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// newFile makes a file in memory that has no name: it is gone with the last process that has it
// open, however that ends. Until then others open it by the descriptor of this one.
func newFile() (f *os.File, path string, err error) {
	fd, err := unix.MemfdCreate("acks", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, "", fmt.Errorf("a file in memory: %w", err)
	}
	return os.NewFile(uintptr(fd), "acks"), fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), fd), nil
}

func removeFile(string) error { return nil }
