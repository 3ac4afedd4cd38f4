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
