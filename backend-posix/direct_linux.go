package posix

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// probeDirect makes a trial write to a file without a name, the way the queue will
// write, and returns nil if that works. What a file system announces is not enough:
// some take O_DIRECT and refuse the write.
func probeDirect(h *dirHandle) error {
	fd, err := openat(h.fd, ".", unix.O_TMPFILE|unix.O_RDWR|unix.O_DIRECT|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return unsupported("O_TMPFILE with O_DIRECT", err)
	}
	f := os.NewFile(uintptr(fd), "direct write probe")
	defer f.Close()
	var st unix.Statx_t
	err = unix.Statx(fd, "", unix.AT_EMPTY_PATH, unix.STATX_DIOALIGN, &st)
	if err == nil && st.Mask&unix.STATX_DIOALIGN != 0 {
		if a := st.Dio_offset_align; a == 0 || a > directAlignment || st.Dio_mem_align > sectorSize {
			return unsupported("direct writes", fmt.Errorf("the device wants an alignment of %d bytes, %d in memory",
				a, st.Dio_mem_align))
		}
	}
	page, err := mapPages(directAlignment)
	if err != nil {
		return err
	}
	defer func() { _ = unmapPages(page) }()
	err = retry(func() error {
		_, err := unix.Pwritev2(fd, [][]byte{page}, 0, unix.RWF_DSYNC)
		return err
	})
	if err != nil && !spaceError(err) { // a full disk says nothing about direct writes
		return unsupported("a direct write with RWF_DSYNC", err)
	}
	return nil
}

func unsupported(what string, err error) error {
	return fmt.Errorf("%s: %w: %w", what, errors.ErrUnsupported, err)
}

// openDirect opens the file that is already open a second time, for direct writes.
func (h *dirHandle) openDirect(name string, buffered *os.File) (*os.File, error) {
	fd, err := openat(h.fd, name, unix.O_RDWR|unix.O_DIRECT|safeOpen, 0)
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ELOOP) {
		return nil, fmt.Errorf("%w: %w", errReplaced, err)
	}
	if err != nil {
		return nil, err
	}
	var a, b unix.Stat_t
	err = errors.Join(unix.Fstat(int(buffered.Fd()), &a), unix.Fstat(fd, &b))
	if err == nil && (a.Dev != b.Dev || a.Ino != b.Ino) {
		err = errReplaced
	}
	if err != nil {
		_ = unix.Close(fd)
		return nil, err
	}
	_ = unix.SetNonblock(fd, false) // it was for opening a FIFO only
	return os.NewFile(uintptr(fd), name), nil
}

// Refused tells lack of space for a write from that for pages in the cache, which its sync is told
// of: then there is space to write once more.
func (f *file) Refused(err error, left []byte, offset int64) bool {
	if !spaceError(err) || errors.Is(err, unix.EFBIG) || f.direct == nil {
		return spaceError(err)
	}
	err = retry(func() error {
		_, err := unix.Pwrite(int(f.direct.Fd()), left[:min(len(left), directAlignment)], offset)
		return err
	})
	return spaceError(err)
}
