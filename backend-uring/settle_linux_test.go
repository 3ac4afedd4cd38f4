//go:build !386 && !arm

package uring

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	posix "github.com/chronik-go/wal/backend-posix"
	"github.com/chronik-go/wal/core/backend"
)

// A write waits for a sync of its file that is in progress, and fails with it. The queues that
// share its ring do not.
func TestOthersDoNotWaitForASync(t *testing.T) {
	d, err := New(WithDirect(posix.DirectOn)).OpenDir(t.TempDir(), backend.DirOptions{})
	require.NoError(t, err)
	open := func(name string) (backend.File, backend.Queue, *backend.Buffer) {
		f, err := d.Create(name, 1<<16)
		require.NoError(t, err)
		q, err := d.Queue(backend.QueueOptions{Depth: 2, Many: true})
		require.NoError(t, err)
		buf, err := q.Buffer(4096)
		require.NoError(t, err)
		return f, q, buf
	}
	f, slow, slowBuf := open("f")
	g, quick, quickBuf := open("g")
	begun, release := make(chan struct{}), make(chan struct{})
	failing, written := make(chan error, 1), make(chan error, 2)
	go func() {
		failing <- f.(*file).Syncer().Sync(func() error { close(begun); <-release; return assert.AnError })
	}()
	<-begun
	write := func(q backend.Queue, f backend.File, buf *backend.Buffer) error {
		b := &backend.Batch{Writes: []backend.Write{{File: f, Data: buf.Bytes[:4096], Buffer: buf, Sync: true}}}
		if err := q.Submit(b); err != nil {
			return err
		}
		if _, err := q.Wait(); err != nil {
			return err
		}
		return b.Failed()
	}
	go func() { written <- write(slow, f, slowBuf) }()
	others := make(chan error, 1)
	go func() {
		var err error
		for i := 0; i < 200 && err == nil; i++ { // by then the first write has completed
			err = write(quick, g, quickBuf)
		}
		others <- err
	}()
	select {
	case err := <-others:
		assert.NoError(t, err)
	case <-time.After(time.Minute):
		assert.Fail(t, "a queue waits for the sync of another one's file")
	}
	assert.Empty(t, written, "reported while its file is being synced")
	close(release)
	require.ErrorIs(t, <-failing, assert.AnError)
	require.ErrorIs(t, <-written, backend.ErrSync)
	for _, c := range []interface{ Close() error }{slow, quick, f, g, d} {
		require.NoError(t, c.Close())
	}
}
