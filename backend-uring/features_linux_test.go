package uring

import (
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	posix "github.com/chronik-go/wal/backend-posix"
	"github.com/chronik-go/wal/conformance"
	"github.com/chronik-go/wal/core/backend"
)

// features are all there are.
var features = map[string]Feature{
	"RegisteredBuffers": RegisteredBuffers, "RegisteredFiles": RegisteredFiles, "CoopTaskrun": CoopTaskrun,
	"SubmitAll": SubmitAll, "SingleIssuer": SingleIssuer, "DeferTaskrun": DeferTaskrun,
	"RegisteredRing": RegisteredRing, "PlainWrite": PlainWrite,
}

const allFeatures = RegisteredBuffers | RegisteredFiles | CoopTaskrun | SubmitAll | SingleIssuer | DeferTaskrun |
	RegisteredRing | PlainWrite

// A kernel that lacks a feature, or all of them, is as good: what a queue promises holds. Those
// left out here change a flag, and no code; see TestRingFeatures.
func TestWithoutFeatures(t *testing.T) {
	for name, f := range map[string]Feature{
		"all": allFeatures, "buffers": RegisteredBuffers, "files": RegisteredFiles, "plain writes": PlainWrite,
	} {
		t.Run(name, func(t *testing.T) {
			var opts []conformance.Option
			for _, group := range []string{"Backend", "Dir", "File", "Errors", "Log"} {
				opts = append(opts, conformance.Skip(group, "has nothing to do with a ring's features"))
			}
			require.NoError(t, conformance.Check(func() (backend.Backend, error) {
				return New(WithDirect(posix.DirectOn), Without(f)), nil
			}, opts...))
		})
	}
}

// A ring has what it is to have on this kernel, and none of what it is to do without.
func TestRingFeatures(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	whole, err := newRing(4, 0)
	require.NoError(t, err)
	has := whole.has
	require.NoError(t, whole.close())
	for name, f := range features {
		r, err := newRing(4, f)
		require.NoError(t, err, name)
		require.Zero(t, r.has&f, name)
		if f == SingleIssuer {
			f |= DeferTaskrun
		}
		require.Equal(t, has&^f, r.has, name)
		r.put(sqe{fd: -1, userData: 7}) // a no-op
		require.NoError(t, r.enter(true), name)
		c, ok := r.next()
		require.True(t, ok, name)
		require.Equal(t, uint64(7), c.userData, name)
		require.NoError(t, r.close(), name)
	}
}

// The ring of many queues uses what is there for the ring of one thread, the others' do not.
func TestWhoseRingIsOfOneThread(t *testing.T) {
	b := New(WithDirect(posix.DirectOn))
	dir, err := b.OpenDir(t.TempDir(), backend.DirOptions{})
	require.NoError(t, err)
	for _, many := range []bool{false, true} {
		q, err := dir.Queue(backend.QueueOptions{Depth: 1, Many: many})
		require.NoError(t, err)
		var r *ring
		switch c := q.(*queue).carrier.(type) {
		case *solo:
			r = c.engine.ring
		case *seat:
			r = c.hub.engine.ring
		}
		if many {
			require.NotZero(t, r.has&SingleIssuer, "every kernel that runs the tests has it")
		} else {
			require.Zero(t, r.has&ofOneThread)
		}
		require.NoError(t, q.Close())
	}
	require.NoError(t, dir.Close())
}
