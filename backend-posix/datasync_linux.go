package posix

import (
	"os"

	"golang.org/x/sys/unix"
)

// reserve takes real blocks for a range of the file and sets its size. The blocks
// read as zeros until written.
func reserve(f *os.File, off, size int64) error {
	return retry(func() error { return unix.Fallocate(int(f.Fd()), 0, off, size) })
}

// datasync makes the data of the file durable with the metadata it takes to read
// it back, the size included.
func datasync(f *os.File) error {
	return retry(func() error { return unix.Fdatasync(int(f.Fd())) })
}

// dropCache makes later reads come from the device. The kernel keeps what is
// locked or mapped at this moment; nothing here maps a file.
func dropCache(f *os.File) error {
	return retry(func() error { return unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED) })
}
