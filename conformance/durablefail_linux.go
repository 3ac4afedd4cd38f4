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
