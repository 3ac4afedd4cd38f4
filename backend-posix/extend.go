package posix

import (
	"errors"
	"os"
	"syscall"
)

// extend grows a file from one size to another, reading as zeros and with space
// reserved, so that no later write inside the size meets a full disk. sync syncs the file.
func extend(f *os.File, sync func() error, from, to int64) error {
	if from == to {
		return nil
	}
	err := reserve(f, from, to-from)
	if !errors.Is(err, errors.ErrUnsupported) {
		return err
	}
	if err := writeZeros(f, from, to); err != nil {
		return err
	}
	// A network file system may tell only here that there is no space.
	return sync()
}

// writeZeros takes space the way every file system understands.
func writeZeros(f *os.File, from, to int64) error {
	zeros := make([]byte, min(1<<20, to-from))
	for off := from; off < to; {
		n, err := f.WriteAt(zeros[:min(int64(len(zeros)), to-off)], off)
		if err != nil {
			return portable(err)
		}
		off += int64(n)
	}
	return nil
}

// spaceError says whether a write failed because there was no room for it. Such a
// write leaves what was written before as it was.
func spaceError(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) || errors.Is(err, syscall.EFBIG)
}
