//go:build !linux

package posix

import (
	"errors"
	"fmt"
	"os"
)

func probeDirect(*dirHandle) error {
	return fmt.Errorf("direct writes are for Linux: %w", errors.ErrUnsupported)
}

func (*dirHandle) openDirect(string, *os.File) (*os.File, error) { return nil, probeDirect(nil) }

// Refused has no direct writes to tell about.
func (*file) Refused(err error, _ []byte, _ int64) bool { return spaceError(err) }
