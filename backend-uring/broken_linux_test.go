package uring

import (
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	posix "github.com/chronik-go/wal/backend-posix"
	wal "github.com/chronik-go/wal/core"
	"github.com/chronik-go/wal/core/backend"
)

// breakRings puts something else in the place of the descriptors of all rings of the process. It
// finds them by the kernel: a ring that is shared may be closing its own already. mend puts them back.
func breakRings(t *testing.T) (mend func()) {
	t.Helper()
	const open = "/proc/self/fd"
	list, err := os.ReadDir(open)
	require.NoError(t, err)
	null, err := os.Open(os.DevNull)
	require.NoError(t, err)
	rings := map[int]int{} // descriptors, and those that keep the ring
	for _, e := range list {
		if what, _ := os.Readlink(filepath.Join(open, e.Name())); !strings.Contains(what, "io_uring") {
			continue
		}
		fd, err := strconv.Atoi(e.Name())
		require.NoError(t, err)
		rings[fd], err = unix.Dup(fd)
		require.NoError(t, err)
		require.NoError(t, unix.Dup3(int(null.Fd()), fd, unix.O_CLOEXEC))
	}
	require.NoError(t, null.Close())
	require.NotEmpty(t, rings)
	t.Cleanup(func() {
		for _, saved := range rings {
			require.NoError(t, unix.Close(saved))
		}
	})
	return func() {
		for fd, saved := range rings {
			require.NoError(t, unix.Dup3(saved, fd, unix.O_CLOEXEC))
		}
	}
}

// withoutRegisteredRing is a backend whose rings go by their descriptors, so that they can break.
func withoutRegisteredRing() *Backend {
	return New(WithDirect(posix.DirectOn), Without(RegisteredRing))
}

func engineOf(q backend.Queue) *engine {
	switch c := q.(*queue).carrier.(type) {
	case *solo:
		return c.engine
	case *seat:
		return c.hub.engine
	}
	return nil
}

// bench is a file, and queues to write it by.
type bench struct {
	dir  backend.Dir
	file backend.File
}

func newBench(t *testing.T, size int64) *bench {
	t.Helper()
	d, err := withoutRegisteredRing().OpenDir(t.TempDir(), backend.DirOptions{})
	require.NoError(t, err)
	f, err := d.Create("f", size)
	require.NoError(t, err)
	return &bench{dir: d, file: f}
}

func (b *bench) queue(t *testing.T, many bool) (backend.Queue, *backend.Buffer) {
	t.Helper()
	q, err := b.dir.Queue(backend.QueueOptions{Depth: 2, Many: many})
	require.NoError(t, err)
	buf, err := q.Buffer(pushBytes)
	require.NoError(t, err)
	return q, buf
}

func (b *bench) batch(buf *backend.Buffer, n int) *backend.Batch {
	return &backend.Batch{Writes: []backend.Write{{File: b.file, Data: buf.Bytes[:n], Buffer: buf, Sync: true}}}
}

// A queue whose ring broke says so and does nothing more, keeps the memory that the kernel may
// read, and lets its files be closed.
func TestBrokenRing(t *testing.T) {
	for name, many := range map[string]bool{"its own": false, "shared": true} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, pushBytes)
			q, buf := b.queue(t, many)
			r := engineOf(q).ring
			mend := breakRings(t)
			require.NoError(t, q.Submit(b.batch(buf, 4096)))
			_, err := q.Wait()
			require.ErrorContains(t, err, "io_uring_enter")
			pending := r.pending
			require.NotZero(t, pending)
			if !many { // the other one has given its ring back by now
				mend()
			}
			buf.Bytes[0] = 2
			require.NoError(t, q.Submit(b.batch(buf, pushBytes)))
			_, err = q.Wait()
			require.ErrorContains(t, err, "io_uring_enter")
			require.Equal(t, pending, r.pending, "a ring that broke is used again")
			require.ErrorContains(t, q.Close(), "io_uring_enter")

			q.Release(buf)
			require.Equal(t, byte(2), buf.Bytes[0], "memory that the kernel may still read is gone")
			_, err = q.Buffer(1)
			require.ErrorIs(t, err, backend.ErrClosed)
			require.NoError(t, b.file.Close())
			require.NoError(t, b.dir.Close())
		})
	}
}

// A log whose ring breaks fails, and can be closed.
func TestCloseAfterBrokenRing(t *testing.T) {
	for name, layout := range map[string]wal.Layout{"shared": wal.LayoutShared, "dedicated": wal.LayoutDedicated} {
		t.Run(name, func(t *testing.T) {
			ctx := t.Context()
			m, err := wal.Open(t.TempDir(), wal.WithBackend(withoutRegisteredRing()), wal.WithLayout(layout))
			require.NoError(t, err)
			_, err = m.Append(ctx, "t", 0, wal.Record{Value: []byte("x")})
			require.NoError(t, err)
			breakRings(t)
			_, err = m.Append(ctx, "t", 0, wal.Record{Value: []byte("y")})
			require.ErrorContains(t, err, "io_uring_enter")
			closed := make(chan error, 1)
			go func() { closed <- m.Close() }()
			select {
			case err := <-closed:
				require.Error(t, err)
			case <-time.After(time.Minute):
				require.Fail(t, "Close hangs")
			}
		})
	}
}

// A ring that breaks is of no concern to queues that are opened later.
func TestBrokenHubIsReplaced(t *testing.T) {
	b := newBench(t, 4096)
	write := func(q backend.Queue, buf *backend.Buffer) error {
		x := b.batch(buf, 4096)
		require.NoError(t, q.Submit(x))
		_, err := q.Wait()
		if err == nil {
			err = x.Failed()
		}
		return err
	}
	first, buf := b.queue(t, true)
	breakRings(t)
	require.Error(t, write(first, buf))

	second, buf := b.queue(t, true)
	require.NoError(t, write(second, buf))
	require.Error(t, first.Close())
	third, buf := b.queue(t, true)
	require.Same(t, engineOf(second), engineOf(third), "a queue that leaves another ring takes this one along")
	require.NoError(t, write(third, buf))
	require.NoError(t, second.Close())
	require.NoError(t, third.Close())
	require.NoError(t, b.file.Close())
	require.NoError(t, b.dir.Close())
}

// A kernel that lacks memory is given time, and not for ever.
func TestRingWaitsForMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, err := newRing(4, ofOneThread)
		require.NoError(t, err)
		r.put(sqe{fd: -1, userData: 7}) // a no-op
		var waited time.Duration
		done := make(chan error)
		go func() {
			runtime.LockOSThread() // and its thread ends with it: the filter is for good
			if err := refuseEnter(unix.EAGAIN); err != nil {
				done <- err
				return
			}
			start := time.Now()
			err := r.enter(true)
			waited = time.Since(start)
			done <- err
		}()
		require.ErrorIs(t, <-done, unix.EAGAIN)
		require.Greater(t, waited, time.Second/2)
		require.Less(t, waited, 2*time.Second)

		require.NoError(t, r.enter(true))
		c, ok := r.next()
		require.True(t, ok, "the request is lost")
		require.Equal(t, uint64(7), c.userData)
		require.NoError(t, r.close())
	})
}

// refuseEnter has io_uring_enter fail on this thread.
func refuseEnter(errno unix.Errno) error {
	filter := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS}, // the number of the system call
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jf: 1, K: unix.SYS_IO_URING_ENTER},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ERRNO | uint32(errno)},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW},
	}
	prog := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	return unix.Prctl(unix.PR_SET_SECCOMP, unix.SECCOMP_MODE_FILTER, uintptr(unsafe.Pointer(&prog)), 0, 0)
}
