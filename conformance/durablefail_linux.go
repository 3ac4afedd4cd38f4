//go:build !386 && !arm

package conformance

import (
	"os"
	"syscall"

	"github.com/stretchr/testify/require"

	"github.com/chronik-go/wal/core/backend"

	"github.com/chronik-go/wal/conformance/internal/faultfs"
)

// failedSyncs: the kernel forgets what it could not sync, and calls the next sync a success, through
// whichever descriptor.
func (c *crashing) failedSyncs() {
	writes := map[string]func(q backend.Queue, f backend.File) error{
		"write without data": func(q backend.Queue, f backend.File) error {
			c.submit(q, backend.Write{File: f, Sync: true})
			return c.waitBatch(q).Failed()
		},
		"write": func(q backend.Queue, f backend.File) error {
			c.submit(q, c.blockWrite(q, f, 9, true))
			return c.waitBatch(q).Failed()
		},
	}
	for first, fail := range writes {
		for second, sync := range writes {
			for _, through := range []string{"the same File", "a File opened before", "a File opened after", "a File of another Dir"} {
				c.failedSync(through, first, second, fail, sync)
			}
		}
		c.failedSync("the same File", first, "File.Sync", fail, func(_ backend.Queue, f backend.File) error { return f.Sync() })
	}
	c.failedWitness()
}

// nextSyncFails has the file system lose some of what the next sync is for.
func (c *crashing) nextSyncFails() {
	c.Helper()
	require.NoError(c, c.fs.set(faultfs.Faults{Seed: 1, Rules: []faultfs.Rule{{Op: faultfs.OpSync, Count: 1, Errno: syscall.EIO}}}))
}

// failedSync lets a sync fail, syncs again, and looks whether that was done if it succeeded.
func (c *crashing) failedSync(through, first, second string, fail, sync func(q backend.Queue, f backend.File) error) {
	blocks := []int{0, 1, 2, 3, 4, 5, 6, 7, 8}
	d := c.dir("d")
	q, f := c.newQueue(d), c.newFile(d, "f", 10)
	otherQueue, other := q, f
	if through == "a File opened before" {
		other = c.openFile(d, "f")
	}
	for _, i := range blocks {
		c.write(q, c.blockWrite(q, f, i, false))
	}
	c.nextSyncFails()
	require.Error(c, fail(q, f), "a %s whose sync fails", first)
	switch through {
	case "a File opened after":
		other = c.openFile(d, "f")
	case "a File of another Dir":
		d = c.dir("d")
		otherQueue, other = c.newQueue(d), c.openFile(d, "f")
	}
	err := sync(otherQueue, other)
	require.NoError(c, c.fs.set(faultfs.Faults{}))
	c.crash()
	if err == nil {
		c.demandBlocks("a "+first+" failed, a "+second+" behind it through "+through+" succeeded", blocks, "d", "f")
	}
	require.NoError(c, os.RemoveAll(c.path("d")))
}

// failedWitness lets a sync fail through one File, which is then closed. What another one wrote is
// lost all the same.
func (c *crashing) failedWitness() {
	blocks := []int{0, 1, 2, 3, 4, 5, 6, 7, 8}
	d := c.dir("d")
	q, f := c.newQueue(d), c.newFile(d, "f", 10)
	other := c.openFile(d, "f")
	for _, i := range blocks {
		c.write(q, c.blockWrite(q, f, i, false))
	}
	c.nextSyncFails()
	c.submit(q, backend.Write{File: other, Sync: true})
	require.Error(c, c.waitBatch(q).Failed())
	require.NoError(c, other.Close())
	c.submit(q, backend.Write{File: f, Sync: true})
	err := c.waitBatch(q).Failed()
	require.NoError(c, c.fs.set(faultfs.Faults{}))
	c.crash()
	if err == nil {
		c.demandBlocks("a sync failed through a File that was closed, one through the File that wrote succeeded", blocks, "d", "f")
	}
	require.NoError(c, os.RemoveAll(c.path("d")))
}

// syncWithoutSpace: a sync that finds no space has failed, and is told from a write that was refused.
func (c *crashing) syncWithoutSpace() {
	d := c.dir("d")
	q := c.newQueue(d)
	for _, errno := range []syscall.Errno{syscall.ENOSPC, syscall.EDQUOT} {
		for name, data := range map[string]bool{"a sync without data": false, "a write": true} {
			f := c.newFile(d, "f", 10)
			w := backend.Write{File: f, Sync: true}
			if data {
				w = c.blockWrite(q, f, 9, true)
			}
			c.write(q, c.blockWrite(q, f, 0, false))
			require.NoError(c, c.fs.set(faultfs.Faults{Rules: []faultfs.Rule{{Op: faultfs.OpSync, Count: 1, Errno: errno}}}))
			c.submit(q, w)
			err := c.waitBatch(q).Failed()
			require.NoError(c, c.fs.set(faultfs.Faults{}))
			require.ErrorIs(c, err, backend.ErrSync, "%s whose sync returns %v", name, errno)
			require.ErrorIs(c, err, errno, name)
			c.submit(q, w)
			require.ErrorIs(c, c.waitBatch(q).Failed(), backend.ErrSync, "%s behind a sync that failed", name)
			require.NoError(c, d.Remove("f"))
			require.NoError(c, f.Close())
		}
	}
}

// syncFailsForGood: names that a sync lost are not durable by the next one.
func (c *crashing) syncFailsForGood() {
	d := c.dir("d")
	c.handles = append(c.handles, c.create(d, "f", block))
	require.NoError(c, c.fs.set(faultfs.Faults{Rules: []faultfs.Rule{{Op: faultfs.OpSyncDir, Count: 1, Errno: syscall.EIO}}}))
	require.ErrorIs(c, d.Sync(), syscall.EIO)
	require.NoError(c, c.fs.set(faultfs.Faults{}))
	require.Error(c, d.Sync(), "a second Sync of a Dir, whose first one failed")
}
