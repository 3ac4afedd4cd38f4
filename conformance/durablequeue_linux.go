//go:build !386 && !arm

package conformance

import (
	"fmt"
	"os"
	"syscall"

	"github.com/stretchr/testify/require"

	"github.com/chronik-go/wal/core/backend"

	"github.com/chronik-go/wal/conformance/internal/faultfs"
)

// closeCarriesOut: what is in flight at Close is synced too.
func (c *crashing) closeCarriesOut() {
	for name, o := range map[string]backend.QueueOptions{
		"one queue": {Depth: 4}, "one of many queues": {Depth: 4, Many: true},
	} {
		d := c.dir("d")
		q := c.newQueueFor(d, o)
		deep := min(q.Limits().Depth, o.Depth)
		f, g := c.newFile(d, "f", int64(deep)), c.newFile(d, "g", int64(deep))
		var all []int
		for i := range deep {
			all = append(all, i)
			c.submit(q, c.blockWrite(q, f, i, true), c.blockWrite(q, g, i, true))
		}
		require.NoError(c, q.Close())
		c.crash()
		c.demandBlocks(name+": in flight at Close", all, "d", "f")
		c.demandBlocks(name+": in flight at Close", all, "d", "g")
		require.NoError(c, os.RemoveAll(c.path("d")))
	}
}

// syncedFiles: a batch is of more files than a backend may have room to remember.
func (c *crashing) syncedFiles() {
	const files = 64
	d := c.dir("files")
	q := c.newQueue(d)
	var writes []backend.Write
	for i := range files {
		writes = append(writes, c.blockWrite(q, c.newFile(d, fmt.Sprint(i), 2), i%2, true))
	}
	c.write(q, writes...)
	c.crash()
	for i := range files {
		c.demandBlocks(fmt.Sprintf("file %d, synced with those of many others", i), []int{i % 2}, "files", fmt.Sprint(i))
	}
	require.NoError(c, os.RemoveAll(c.path("files")))
}

// syncedBesideFailure: the sync of one file fails, those of others in the batch are carried out or
// reported. The order of the syncs is the backend's.
func (c *crashing) syncedBesideFailure() {
	const files = 4
	for failing := range files {
		d := c.dir("beside")
		q := c.newQueue(d)
		var writes []backend.Write
		for i := range files {
			writes = append(writes, c.blockWrite(q, c.newFile(d, fmt.Sprint(i), files), i, true))
		}
		require.NoError(c, c.fs.set(faultfs.Faults{Seed: 1, Rules: []faultfs.Rule{
			{Op: faultfs.OpSync, After: failing, Count: 1, Errno: syscall.EIO}}}))
		c.submit(q, writes...)
		b := c.waitBatch(q)
		require.NoError(c, c.fs.set(faultfs.Faults{}))
		require.Error(c, b.Failed(), "a batch of which one sync failed")
		c.crash()
		for i := range files {
			if b.Err == nil && b.Writes[i].Err == nil {
				c.demandBlocks("synced in a batch in which the sync of another file failed", []int{i}, "beside", fmt.Sprint(i))
			}
		}
		require.NoError(c, os.RemoveAll(c.path("beside")))
	}
}

// syncedManyTimes: of many syncs none is left out. A crash would show the last one alone: each sync
// makes up for those before it.
func (c *crashing) syncedManyTimes() {
	const blocks = 2000
	d := c.dir("many")
	q := c.newQueue(d)
	f := c.newFile(d, "f", blocks)
	b := c.buffer(q, block, 0)
	for i := range blocks {
		at := int64(i) * block
		fill(b.Bytes[:block], i)
		c.write(q, backend.Write{File: f, Offset: at, Data: b.Bytes[:block], Buffer: b, Sync: true})
		var left []byte
		require.NoError(c, c.fs.fs.Call("Server.Durable", faultfs.Part{Path: []string{"many", "f"}, Off: at, Size: block}, &left))
		c.same(b.Bytes[:block], left, "what a crash leaves of synced write %d to one file", i)
	}
	c.crash()
	require.NoError(c, os.RemoveAll(c.path("many")))
}
