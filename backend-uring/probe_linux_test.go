package uring

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// A ring that cannot be had is an error that names the likely cause, and is for auto to pass on.
func TestSetupErrorNamesTheCause(t *testing.T) {
	for _, x := range []struct {
		errno    unix.Errno
		disabled string // the sysctl
		want     string
	}{
		{unix.EPERM, "2", "io_uring_disabled is 2"},
		{unix.EPERM, "1", "io_uring_disabled is 1"},
		{unix.EPERM, "0", "seccomp"},
		{unix.EPERM, "", "seccomp"},
		{unix.ENOSYS, "", "older than 5.1"},
		{unix.ENOMEM, "0", "RLIMIT_MEMLOCK"},
		{unix.EMFILE, "0", "too many open files"},
		{unix.EINVAL, "0", "the kernel refuses it"},
	} {
		require.Contains(t, setupCause(x.errno, x.disabled), x.want)
		err := setupError(x.errno)
		require.ErrorIs(t, err, errors.ErrUnsupported)
		require.ErrorIs(t, err, x.errno)
	}
}
