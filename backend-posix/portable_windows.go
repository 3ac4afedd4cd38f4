package posix

import (
	"errors"
	"fmt"
	"syscall"

	"golang.org/x/sys/windows"
)

// portable gives an error the name that the contract knows it by.
func portable(err error) error {
	if errors.Is(err, windows.ERROR_DISK_FULL) || errors.Is(err, windows.ERROR_HANDLE_DISK_FULL) {
		return fmt.Errorf("%w: %w", syscall.ENOSPC, err)
	}
	return err
}
