//go:build !386 && !arm

package conformance

import (
	"os"
	"syscall"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/chronik-go/wal/core/backend"

	"github.com/chronik-go/wal/conformance/internal/faultfs"
)

// syncsTogether: of two syncs that are under way at the same time one is told what is lost, the
// other one that all is well. Whether the second is under way when the first one fails cannot be
// seen from outside: it is given time, and several tries.
func (c *crashing) syncsTogether() {
	for range 4 {
		for _, data := range []bool{false, true} {
			c.syncBesideFailure(data)
		}
	}
}

func (c *crashing) syncBesideFailure(data bool) {
	blocks := []int{0, 1, 2, 3, 4, 5, 6, 7, 8}
	d := c.dir("d")
	q, other := c.newQueue(d), c.newQueue(d)
	f := c.newFile(d, "f", 10)
	g := c.openFile(d, "f")
	for _, i := range blocks {
		c.write(q, c.blockWrite(q, f, i, false))
	}
	second := backend.Write{File: g, Sync: true}
	if data {
		second = c.blockWrite(other, g, 9, true)
	}
	require.NoError(c, c.fs.set(faultfs.Faults{Seed: 1, Rules: []faultfs.Rule{
		{Op: faultfs.OpSync, Count: 1, Stuck: true, Errno: syscall.EIO}, {Op: faultfs.OpSync, Lie: true}}}))
	failing := syncBeside(q, backend.Write{File: f, Sync: true})
	for deadline := time.Now().Add(patience); c.stuck() == 0; {
		require.True(c, time.Now().Before(deadline), "a sync reaches the file system")
	}
	succeeding := syncBeside(other, second)
	for range 100 {
		c.stuck()
	}
	require.NoError(c, c.fs.set(faultfs.Faults{Rules: []faultfs.Rule{{Op: faultfs.OpSync, Lie: true}}}))
	require.ErrorIs(c, <-failing, backend.ErrSync, "a sync that failed while another one was under way")
	err := <-succeeding
	require.NoError(c, c.fs.set(faultfs.Faults{}))
	c.crash()
	if err == nil {
		c.demandBlocks("a sync failed, one at the same time succeeded", blocks, "d", "f")
	}
	require.NoError(c, os.RemoveAll(c.path("d")))
}

// syncBeside carries out a write by a goroutine of its own.
func syncBeside(q backend.Queue, w backend.Write) <-chan error {
	done := make(chan error, 1)
	go func() {
		b := &backend.Batch{Writes: []backend.Write{w}}
		err := q.Submit(b)
		if err == nil {
			_, err = q.Wait()
		}
		if err == nil {
			err = b.Failed()
		}
		done <- err
	}()
	return done
}

// stuck is how many operations are stuck in the file system.
func (c *crashing) stuck() (n int) {
	c.Helper()
	require.NoError(c, c.fs.fs.Call("Server.Stuck", faultfs.No{}, &n))
	return n
}
