package conformance

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/chronik-go/wal/core/backend"
)

func init() {
	lockInherited = hooks{
		lock: func(d *brokenDir) error {
			fd, err := unix.Open(d.path, unix.O_RDONLY|unix.O_DIRECTORY, 0) // without O_CLOEXEC
			if err != nil {
				return err
			}
			if err := unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB); err != nil {
				return errors.Join(fmt.Errorf("%w: %w", backend.ErrLocked, err), unix.Close(fd))
			}
			d.locked, d.lockFD = true, fd
			return nil
		},
		closeDir: func(d *brokenDir) (err error) {
			if d.locked {
				d.locked, err = false, unix.Close(d.lockFD)
			}
			return errors.Join(err, d.Dir.Close())
		},
	}
}
