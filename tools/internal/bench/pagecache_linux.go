package bench

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// dropPages has the kernel forget what it holds of a file, once that is on the device: it keeps
// pages that are not.
func dropPages(f *os.File) error {
	if err := f.Sync(); err != nil {
		return err
	}
	if err := unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED); err != nil {
		return fmt.Errorf("drop %s from the page cache: %w", f.Name(), err)
	}
	return nil
}
