package conformance

import (
	"errors"
	"os/signal"
	"syscall"

	"golang.org/x/sys/unix"
)

// set sets the limits of this process.
func (l *limits) set() error {
	signal.Ignore(syscall.SIGXFSZ) // the write that is too large is to return EFBIG
	var errs []error
	for what, n := range map[int]uint64{unix.RLIMIT_FSIZE: l.FileSize, unix.RLIMIT_NOFILE: l.Files} {
		if n > 0 {
			errs = append(errs, unix.Setrlimit(what, &unix.Rlimit{Cur: n, Max: n}))
		}
	}
	return errors.Join(errs...)
}
