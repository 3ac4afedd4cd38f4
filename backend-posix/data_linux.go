package posix

import (
	"errors"
	"fmt"
	"io/fs"

	"golang.org/x/sys/unix"

	"github.com/chronik-go/wal/core/backend"
)

var _ backend.DataFinder = (*file)(nil)

// NextData asks the file system for the next extent that was written: reserved space
// is a hole to it. Where it cannot tell, it says that everything is data.
func (f *file) NextData(offset int64) (int64, error) {
	if offset < 0 {
		return 0, f.wrap("seek", fmt.Errorf("offset %d: %w", offset, fs.ErrInvalid))
	}
	if err := f.enter(); err != nil {
		return 0, f.wrap("seek", err)
	}
	defer f.leave()
	next, err := unix.Seek(int(f.buffered.Fd()), offset, unix.SEEK_DATA)
	if errors.Is(err, unix.ENXIO) { // nothing but a hole up to the end
		size, err := fileSize(f.buffered)
		return max(size, offset), err
	}
	if err != nil {
		return 0, f.wrap("seek", err)
	}
	return next, nil
}
