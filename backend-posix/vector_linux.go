package posix

import (
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/chronik-go/wal/core/backend"
)

// maxVector is the kernel's limit (IOV_MAX) on the pieces of one system call.
const maxVector = 1024

// vector is the list of pieces for a vectored write.
type vector struct {
	iov []unix.Iovec
}

// write writes adjacent writes of one file, all of them unless there is an error,
// and returns how many bytes are written. With durable set those bytes are durable:
// RWF_DSYNC covers what its own call wrote, so each call carries it.
func (v *vector) write(f *file, ws []backend.Write, durable bool) (int64, error) {
	total := int64(0)
	for i := range ws {
		total += int64(len(ws[i].Data))
	}
	done, retries := int64(0), 0
	for done < total {
		n, err := v.writeOnce(f, ws, done, durable)
		switch {
		case n > 0:
			done += int64(n)
			retries = 0
		case err == nil:
			return done, fmt.Errorf("the kernel wrote nothing: %w", io.ErrShortWrite)
		case (errors.Is(err, unix.EINTR) || errors.Is(err, unix.EAGAIN)) && retries < maxRetries:
			retries++
			runtime.Gosched()
		default:
			return done, err
		}
	}
	return done, nil
}

// writeOnce writes some of what follows the first done bytes.
func (v *vector) writeOnce(f *file, ws []backend.Write, done int64, durable bool) (int, error) {
	off := ws[0].Offset + done
	v.fill(ws, done)
	defer clear(v.iov) // the memory may be unmapped before the next batch
	if f.direct != nil {
		flags := 0
		if durable {
			flags = unix.RWF_DSYNC
		}
		n, err := pwritev2(f.direct, v.iov, off, flags)
		if !errors.Is(err, unix.EINVAL) {
			return n, err
		}
		// A file size limit (RLIMIT_FSIZE) inside a sector cuts the write to a length
		// that cannot be written directly. The cache takes what fits, and then says
		// what the matter is.
	}
	n, err := pwritev2(f.buffered, v.iov, off, 0)
	if err == nil && durable {
		err = f.syncData()
	}
	if err != nil {
		return 0, err
	}
	return n, nil
}

// fill sets the pieces to what follows the first skip bytes.
func (v *vector) fill(ws []backend.Write, skip int64) {
	v.iov = v.iov[:0]
	for i := range ws {
		data := ws[i].Data
		if skip >= int64(len(data)) {
			skip -= int64(len(data))
			continue
		}
		data, skip = data[skip:], 0
		piece := unix.Iovec{Base: &data[0]}
		piece.SetLen(len(data))
		v.iov = append(v.iov, piece)
		if len(v.iov) == maxVector {
			return
		}
	}
}

// pwritev2 is the system call. The one in x/sys copies the pieces into a list of its
// own, on the heap if there are more than a few.
func pwritev2(f *os.File, iov []unix.Iovec, off int64, flags int) (int, error) {
	fd := int(f.Fd())
	var n uintptr
	var errno syscall.Errno
	if flags == 0 && len(iov) == 1 {
		// Every kernel and sandbox has pwrite; pwritev2 came with Linux 4.6.
		written, err := unix.Pwrite(fd, unsafe.Slice(iov[0].Base, int(iov[0].Len)), off)
		return max(written, 0), err
	}
	// The offset is split in two, whose halves the kernel joins; the second is not
	// looked at where a word holds it all. The pieces are kept alive by the
	// conversion standing in the argument list.
	const wordBits = 32 << (^uint(0) >> 63)
	n, _, errno = unix.Syscall6(unix.SYS_PWRITEV2, uintptr(fd), uintptr(unsafe.Pointer(&iov[0])), uintptr(len(iov)),
		uintptr(off), uintptr(uint64(off)>>(wordBits-1)>>1), uintptr(flags))
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}
