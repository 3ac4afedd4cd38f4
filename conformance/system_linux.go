package conformance

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// mountSmall mounts a small file system in memory.
func mountSmall(path string, size int64) error {
	return unix.Mount("none", path, "tmpfs", 0, fmt.Sprint("size=", size))
}

// unmount ends a mount also where it fails because something is still open.
func unmount(path string) error {
	err := unix.Unmount(path, 0)
	if errors.Is(err, unix.EBUSY) {
		err = errors.Join(err, unix.Unmount(path, unix.MNT_DETACH))
	}
	return err
}

// limitFileSize makes the process unable to write beyond a place in any file.
func limitFileSize(limit int64) (undo func() error, err error) {
	var old unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_FSIZE, &old); err != nil {
		return nil, err
	}
	undo = func() error { return unix.Setrlimit(unix.RLIMIT_FSIZE, &old) }
	return undo, unix.Setrlimit(unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: uint64(limit), Max: old.Max})
}

// openDescriptors counts what the process has open.
func openDescriptors() (n int, err error) {
	list, err := os.ReadDir("/proc/self/fd")
	return len(list), err
}

// virtualSize is how much of the process's address space is in use, bytes.
func virtualSize() (int64, error) {
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0, err
	}
	var pages int64
	_, err = fmt.Fscan(bytes.NewReader(text), &pages)
	return pages * int64(os.Getpagesize()), err
}

// mappings counts the mappings of the process, and the bytes of those that can be used.
func mappings() (n int, readable int64, err error) {
	text, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		return 0, 0, err
	}
	for line := range strings.Lines(string(text)) {
		var from, to uint64
		var mode string
		if _, err := fmt.Sscanf(line, "%x-%x %s", &from, &to, &mode); err != nil {
			return 0, 0, err
		}
		n++
		if !strings.HasPrefix(mode, "---") { // else the runtime may only have set it aside
			readable += int64(to - from)
		}
	}
	return n, readable, nil
}

// reservesAtOnce says why a directory's file system cannot reserve space without writing it, or without
// taking memory for it.
func reservesAtOnce(dir string) (err error) {
	var fs unix.Statfs_t
	if err := unix.Statfs(dir, &fs); err != nil {
		return err
	}
	if kind := uint32(fs.Type); kind == unix.TMPFS_MAGIC || kind == unix.RAMFS_MAGIC {
		return errors.New("a file system in memory")
	}
	f, err := os.CreateTemp(dir, "")
	if err != nil {
		return err
	}
	return errors.Join(unix.Fallocate(int(f.Fd()), 0, 0, block), f.Close(), os.Remove(f.Name()))
}

// reserved says whether a file takes the space of its size, whole.
func reserved(path string, size int64) error {
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return err
	}
	if st.Size != size || st.Blocks*512 < size {
		return fmt.Errorf("a file of %d bytes has %d, and takes %d", size, st.Size, st.Blocks*512)
	}
	return nil
}
