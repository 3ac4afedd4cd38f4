//go:build !linux

package bench

import (
	"errors"
	"fmt"
	"os"
)

func dropPages(f *os.File) error {
	return fmt.Errorf("drop %s from the page cache: %w on this system", f.Name(), errors.ErrUnsupported)
}
