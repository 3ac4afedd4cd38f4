//go:build unix

package posix

import (
	"errors"
	"fmt"
	"os"
	"runtime"

	"golang.org/x/sys/unix"

	"github.com/chronik-go/wal/core/backend"
	"github.com/chronik-go/wal/core/backend/osfile"
)

// errReplaced says that a name led to two files in a row.
var errReplaced = errors.New("the file was replaced while it was being opened")

// safeOpen are the flags of every open of a file: no link is followed, a FIFO
// without a peer does not block, a child process does not inherit it.
const safeOpen = unix.O_NOFOLLOW | unix.O_NONBLOCK | unix.O_CLOEXEC

// dirHandle is a directory's descriptor. Each method is one system call, or a few,
// relative to it.
type dirHandle struct {
	f      *os.File
	fd     int
	syncer *osfile.Syncer
}

func openDirHandle(path string) (*dirHandle, error) {
	f, err := os.OpenFile(path, unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return nil, err
	}
	syncer, err := osfile.New(f)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &dirHandle{f: f, fd: int(f.Fd()), syncer: syncer}, nil
}

func (h *dirHandle) close() error {
	h.syncer.Close()
	return h.f.Close()
}

// sync fails for good once it failed.
func (h *dirHandle) sync() error {
	return h.syncer.SyncContent(func() error {
		return retry(func() error { return unix.Fsync(h.fd) })
	})
}

// names reads through a descriptor of its own: the position in the directory
// belongs to the descriptor, and List may run concurrently.
func (h *dirHandle) names() ([]string, error) {
	fd, err := openat(h.fd, ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(fd), h.f.Name())
	defer f.Close()
	return f.Readdirnames(-1)
}

func (h *dirHandle) rename(oldname, newname string) error {
	return retry(func() error { return unix.Renameat(h.fd, oldname, h.fd, newname) })
}

func (h *dirHandle) remove(name string) error {
	return retry(func() error { return unix.Unlinkat(h.fd, name, 0) })
}

// createFile makes an empty file of mode 0600.
func (h *dirHandle) createFile(name string) (*os.File, error) {
	fd, err := openat(h.fd, name, unix.O_RDWR|unix.O_CREAT|unix.O_EXCL|safeOpen, 0o600)
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(fd), name)
	if err := forceMode(f); err != nil {
		_ = f.Close()
		return nil, errors.Join(err, h.remove(name))
	}
	return f, nil
}

// forceMode undoes a umask that took away the owner's own bits. It syncs the
// change, which fdatasync leaves out: after a power failure the owner could not
// open the log.
func forceMode(f *os.File) error {
	st, err := f.Stat()
	if err != nil || st.Mode().Perm() == 0o600 {
		return err
	}
	if err := f.Chmod(0o600); err != nil {
		return err
	}
	return f.Sync()
}

// openFile opens an existing regular file and refuses anything else.
func (h *dirHandle) openFile(name string, readOnly bool) (*os.File, error) {
	flags := unix.O_RDWR | safeOpen
	if readOnly {
		flags = unix.O_RDONLY | safeOpen
	}
	fd, err := openat(h.fd, name, flags, 0)
	if err != nil {
		// Systems differ in the error for a link (ELOOP, EMLINK), a socket and a
		// directory; what the name is decides.
		var st unix.Stat_t
		if unix.Fstatat(h.fd, name, &st, unix.AT_SYMLINK_NOFOLLOW) == nil && st.Mode&unix.S_IFMT != unix.S_IFREG {
			return nil, fmt.Errorf("%w (%w)", backend.ErrNotRegular, err)
		}
		return nil, err
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		_ = unix.Close(fd)
		return nil, err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		_ = unix.Close(fd)
		return nil, backend.ErrNotRegular
	}
	_ = unix.SetNonblock(fd, false) // it was for opening a FIFO only
	return os.NewFile(uintptr(fd), name), nil
}

// lock is flock on the directory itself: no file to leave behind, no write
// permission needed, gone with the last descriptor.
func (h *dirHandle) lock(bool) error {
	err := retry(func() error { return unix.Flock(h.fd, unix.LOCK_EX|unix.LOCK_NB) })
	if errors.Is(err, unix.EWOULDBLOCK) {
		return fmt.Errorf("%w%s", backend.ErrLocked, lockHolder(h.fd))
	}
	return err
}

func openat(dirfd int, name string, flags int, mode uint32) (fd int, err error) {
	err = retry(func() error {
		fd, err = unix.Openat(dirfd, name, flags, mode)
		return err
	})
	return fd, err
}

// maxRetries bounds how often in a row a call may be interrupted, or say "try again". A regular
// file says it rarely if ever; one that says it for ever must not hang the log.
const maxRetries = 1000

// retry repeats a call that a signal interrupted; the Go runtime sends itself many.
func retry(call func() error) error {
	for range maxRetries {
		if err := call(); !errors.Is(err, unix.EINTR) {
			return err
		}
		runtime.Gosched()
	}
	return call()
}
