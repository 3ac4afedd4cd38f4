//go:build linux

package loopfs

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// ErrHeld is returned by DropCaches where something keeps pages of the device in memory.
var ErrHeld = errors.New("pages stay in the cache of the device")

// How often, and how far apart, DropCaches asks for pages to go that somebody holds. Reclaim holds
// one for microseconds, and longer where it has to wait for a processor.
const (
	dropTries = 1000
	dropPause = 2 * time.Millisecond
)

// DropCaches makes the kernel forget what it has of the device in memory, for a file system that
// is not mounted: the next one is then made of what the device holds by now, and of nothing else.
// It returns an error that wraps ErrHeld if pages stay for about two seconds. Before Linux 6.5
// nothing tells what is left, and it may have been a page of another state.
func (fs *FS) DropCaches() error {
	pause := time.NewTicker(dropPause)
	defer pause.Stop()
	return fs.drop(func() { <-pause.C })
}

// drop drops until nothing is left: BLKFLSBUF passes over a page that somebody holds, such as
// reclaim, and says nothing. wait comes between two tries.
func (fs *FS) drop(wait func()) error {
	for try := 1; ; try++ {
		if _, _, errno := unix.Syscall(unix.SYS_IOCTL, fs.loop.Fd(), unix.BLKFLSBUF, 0); errno != 0 {
			return fmt.Errorf("flush buffers of %s: %w", fs.device, errno)
		}
		left, err := fs.cached()
		switch {
		case errors.Is(err, unix.ENOSYS), err == nil && left == 0:
			return nil
		case err != nil:
			return fmt.Errorf("cachestat of %s: %w", fs.device, err)
		case try == dropTries:
			return fmt.Errorf("%s: %w: %d after %d tries; what the file system is mounted on would be part of one state and part of another: find out who uses the device",
				fs.device, ErrHeld, left, try)
		case try == 1:
			fs.Held++
		}
		wait()
	}
}

// cached is how many pages of the device are in memory.
func (fs *FS) cached() (pages uint64, err error) {
	var whole unix.CachestatRange // from 0; a length of 0 is up to the end
	var stat unix.Cachestat_t
	err = unix.Cachestat(uint(fs.loop.Fd()), &whole, &stat, 0)
	return stat.Cache, err
}
