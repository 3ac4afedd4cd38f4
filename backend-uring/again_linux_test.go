package uring

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// A request that the kernel lacks memory for is sent again for about a second, ever more seldom; one
// that was interrupted at once; another one not at all.
func TestSendAgain(t *testing.T) {
	for _, errno := range []unix.Errno{unix.EAGAIN, unix.EBUSY} {
		whole, last := time.Duration(0), time.Duration(0)
		n := 0
		for {
			pause, again := pauseBefore(errno, n)
			if !again {
				break
			}
			require.Greater(t, pause, last)
			whole, last = whole+pause, pause
			n++
		}
		require.InDelta(t, time.Second, whole, float64(100*time.Millisecond))
		require.Less(t, n, 100)
	}
	pause, again := pauseBefore(unix.EINTR, maxInterrupted-1)
	require.True(t, again)
	require.Zero(t, pause)
	require.False(t, sendAgain(unix.EINTR, maxInterrupted))
	require.True(t, sendAgain(unix.EAGAIN, 0))
	for _, errno := range []unix.Errno{unix.EIO, unix.EINVAL, unix.ENOSPC, 0} {
		require.False(t, sendAgain(errno, 0), "%v", errno)
	}
}
