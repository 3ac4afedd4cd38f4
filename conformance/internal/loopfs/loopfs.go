//go:build linux

// Package loopfs makes real file systems on loop devices, to crash them. It needs root, and
// is best used in a mount namespace of its own.
package loopfs

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// FS is a mounted file system. Not for concurrent use.
type FS struct {
	// Dir is where it is mounted.
	Dir string
	// Held is how many times DropCaches had to try again: somebody held a page.
	Held int

	kind    string
	options string
	device  string
	loop    *os.File
	mounted bool
}

// Options say what file system to make.
type Options struct {
	// Kind is ext4 or xfs.
	Kind string
	// Size is that of the device, bytes.
	Size int64
	// Mount are its mount options.
	Mount string
	// Direct makes the loop device pass the page cache of the file it stands on.
	Direct bool
}

// Make makes a file system in a new file below dir and mounts it there.
func Make(dir string, o Options) (_ *FS, err error) {
	image := filepath.Join(dir, o.Kind+".img")
	f, err := os.OpenFile(image, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(f.Truncate(o.Size), f.Close()); err != nil {
		return nil, err
	}
	return On(image, dir, o)
}

// On makes a file system in an existing file and mounts it below dir.
func On(image, dir string, o Options) (_ *FS, err error) {
	if err := format(image, o); err != nil {
		return nil, err
	}
	fs := &FS{Dir: filepath.Join(dir, "mnt"), kind: o.Kind, options: o.Mount}
	if err := os.MkdirAll(fs.Dir, 0o700); err != nil {
		return nil, err
	}
	if fs.loop, fs.device, err = attach(image, o.Direct); err != nil {
		return nil, err
	}
	if err := fs.Mount(); err != nil {
		return nil, errors.Join(err, fs.Close())
	}
	return fs, nil
}

func format(image string, o Options) error {
	args := map[string][]string{
		// Without lazy initialisation and discards, nothing goes on behind the back of a test.
		"ext4": {"-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=0,nodiscard", image},
		"xfs":  {"-q", "-f", "-K", image},
	}[o.Kind]
	if args == nil {
		return fmt.Errorf("no such file system: %q", o.Kind)
	}
	if out, err := exec.Command("mkfs."+o.Kind, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("mkfs.%s: %w: %s", o.Kind, err, out)
	}
	return nil
}

// attach attaches a file to a free loop device, which goes when it is used no more.
func attach(image string, direct bool) (*os.File, string, error) {
	ctl, err := os.OpenFile("/dev/loop-control", os.O_RDWR, 0)
	if err != nil {
		return nil, "", err
	}
	defer ctl.Close()
	back, err := os.OpenFile(image, os.O_RDWR, 0)
	if err != nil {
		return nil, "", err
	}
	defer back.Close()
	for range 100 { // another process may take a free one first
		n, err := unix.IoctlRetInt(int(ctl.Fd()), unix.LOOP_CTL_GET_FREE)
		if err != nil {
			return nil, "", err
		}
		device := fmt.Sprintf("/dev/loop%d", n)
		if err := unix.Mknod(device, unix.S_IFBLK|0o600, int(unix.Mkdev(7, uint32(n)))); err != nil && !errors.Is(err, unix.EEXIST) {
			return nil, "", err
		}
		f, err := os.OpenFile(device, os.O_RDWR, 0)
		if err != nil {
			return nil, "", err
		}
		c := unix.LoopConfig{Fd: uint32(back.Fd())}
		c.Info.Flags = unix.LO_FLAGS_AUTOCLEAR
		if direct {
			c.Info.Flags |= unix.LO_FLAGS_DIRECT_IO
		}
		if err = unix.IoctlLoopConfigure(int(f.Fd()), &c); err == nil {
			return f, device, nil
		}
		_ = f.Close()
		if !errors.Is(err, unix.EBUSY) {
			return nil, "", err
		}
	}
	return nil, "", errors.New("no free loop device")
}

// Mount mounts the file system again.
func (fs *FS) Mount() error {
	if err := unix.Mount(fs.device, fs.Dir, fs.kind, 0, fs.options); err != nil {
		return fmt.Errorf("mount %s: %w", fs.device, err)
	}
	fs.mounted = true
	return nil
}

// Unmount unmounts it. A process that was killed a moment ago may still hold files: io_uring
// gives them up late.
func (fs *FS) Unmount() error {
	if !fs.mounted {
		return nil
	}
	again := time.NewTicker(200 * time.Microsecond)
	defer again.Stop()
	deadline := time.Now().Add(10 * time.Second)
	for ; ; <-again.C {
		err := unix.Unmount(fs.Dir, 0)
		if err == nil {
			fs.mounted = false
			return nil
		}
		if !errors.Is(err, unix.EBUSY) || time.Now().After(deadline) {
			return fmt.Errorf("unmount %s: %w", fs.Dir, err)
		}
	}
}

// The ioctl by which ext4 and xfs shut down, and its argument that writes nothing any more,
// not even what is in the journal's memory (linux/fs/ext4/ext4.h, linux/fs/xfs/xfs_fs.h).
const (
	ioctlShutdown   = 0x8004587d
	shutdownNoFlush = 2
)

// Shutdown makes the file system fail as a power failure does: what is not on the device by
// now is lost.
func (fs *FS) Shutdown() error {
	fd, err := unix.Open(fs.Dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(fd) }() // of a directory: there is nothing to lose
	if err := unix.IoctlSetPointerInt(fd, ioctlShutdown, shutdownNoFlush); err != nil {
		return fmt.Errorf("shut down %s: %w", fs.kind, err)
	}
	return nil
}

// Close unmounts the file system and gives its device back.
func (fs *FS) Close() error {
	err := fs.Unmount()
	if err != nil {
		err = errors.Join(err, unix.Unmount(fs.Dir, unix.MNT_DETACH))
	}
	return errors.Join(err, fs.loop.Close())
}
