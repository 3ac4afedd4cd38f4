//go:build unix

package mmap

import (
	"fmt"
	"io"
	"math"
	"os"

	"golang.org/x/sys/unix"

	"github.com/chronik-go/wal/core/backend"
)

var _ backend.Viewer = (*file)(nil)

// View shows a part of the file as it is in the page cache, which it is brought to if need be.
// An error of a fault while look runs wraps ErrFault. Like a read that fails, it does not make
// the file a failed one.
func (f *file) View(offset int64, n int, look func(data []byte)) error {
	if n == 0 { // there is nothing to map
		return f.viewNothing(offset, look)
	}
	mem, err := f.mapView(offset, n)
	if err != nil {
		return fmt.Errorf("view %s at offset %d, %d bytes: %w", f.Path(), offset, n, err)
	}
	defer func() { _ = unix.Munmap(mem) }() // fails only for what was never mapped
	if err := guarded(mem, func() { look(mem[len(mem)-n:]) }); err != nil {
		return fmt.Errorf("view %s at offset %d, %d bytes: %w", f.Path(), offset, n, err)
	}
	return nil
}

func (f *file) viewNothing(offset int64, look func([]byte)) error {
	if _, err := f.ReadAt(nil, offset); err != nil {
		return err
	}
	look(nil)
	return nil
}

// mapView maps whole pages, of which the last n bytes are asked for.
func (f *file) mapView(offset int64, n int) ([]byte, error) {
	if offset < 0 || n < 0 || offset > math.MaxInt64-int64(n) {
		return nil, os.ErrInvalid
	}
	if err := f.Use(); err != nil {
		return nil, err
	}
	defer f.Done() // a mapping outlives its descriptor
	size, err := f.Size()
	switch {
	case err != nil:
		return nil, err
	case offset+int64(n) > size:
		return nil, io.EOF
	}
	from := offset / int64(os.Getpagesize()) * int64(os.Getpagesize())
	fd, _ := f.Descriptors()
	mem, err := unix.Mmap(fd, from, int(offset-from)+n, unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return nil, err
	}
	bring(mem)
	return mem, nil
}
