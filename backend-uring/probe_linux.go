package uring

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// disabledPath is the sysctl that can forbid io_uring.
const disabledPath = "/proc/sys/kernel/io_uring_disabled"

// Probe makes a ring and sends a request through it. Where that does not work the error wraps
// errors.ErrUnsupported and names the likely cause.
func (b *Backend) Probe() error {
	r, err := newRing(2, b.without|ofOneThread)
	if err != nil {
		return err
	}
	r.put(sqe{opcode: 0, fd: -1, userData: 7}) // a no-op
	err = r.enter(true)
	if c, ok := r.next(); err == nil && (!ok || c.userData != 7 || c.res != 0) {
		err = fmt.Errorf("a request that does nothing completed with %+v: %w", c, errors.ErrUnsupported)
	}
	return errors.Join(err, r.close())
}

// setupError names the likely cause of an io_uring_setup that failed.
func setupError(errno unix.Errno) error {
	return fmt.Errorf("io_uring cannot be used: %s (%w): %w", setupCause(errno, readSysctl(disabledPath)), errno, errors.ErrUnsupported)
}

func readSysctl(path string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(text))
}

func setupCause(errno unix.Errno, disabled string) string {
	switch {
	case errno == unix.EPERM && disabled == "2":
		return "the sysctl kernel.io_uring_disabled is 2: it is off for all"
	case errno == unix.EPERM && disabled == "1":
		return "the sysctl kernel.io_uring_disabled is 1: it is off for all but its group and root"
	case errno == unix.EPERM:
		return "a seccomp filter forbids it, as the default profiles of container runtimes do: allow io_uring_setup, " +
			"io_uring_enter and io_uring_register"
	case errno == unix.ENOSYS:
		return "the kernel is older than 5.1 or built without it, or a seccomp filter hides it"
	case errno == unix.ENOMEM:
		return "there is not enough memory that may be locked: raise RLIMIT_MEMLOCK"
	case errno == unix.EMFILE || errno == unix.ENFILE:
		return "there are too many open files"
	}
	return "the kernel refuses it"
}
