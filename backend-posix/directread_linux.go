package posix

import (
	"errors"
	"io"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// directReadSize is the size of a read, bytes, from which on it goes past the page cache.
// Such a read is one step of a scan: what was written directly is not in the cache, and
// filling that takes longer than the disk does (docs/performance.md).
const directReadSize = 512 << 10

// readDirect reads past the page cache if size, place and memory of the read allow it.
// done says how much it read; the rest is to be read through the cache.
func readDirect(f *os.File, p []byte, off int64) (done int, err error) {
	if f == nil || len(p) < directReadSize || off < 0 || (off|int64(len(p)))%directAlignment != 0 ||
		uintptr(unsafe.Pointer(&p[0]))%sectorSize != 0 { // the address is only looked at
		return 0, nil
	}
	for done < len(p) && done%directAlignment == 0 {
		var n int
		err := retry(func() (err error) {
			n, err = unix.Pread(int(f.Fd()), p[done:], off+int64(done))
			return err
		})
		switch {
		case errors.Is(err, unix.EINVAL):
			return done, nil
		case err != nil:
			return done, err
		case n == 0:
			return done, io.EOF
		}
		done += n
	}
	return done, nil
}
