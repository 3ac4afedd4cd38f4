//go:build !386 && !arm

package conformance

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"

	"github.com/stretchr/testify/require"

	"github.com/chronik-go/wal/core/backend"

	"github.com/chronik-go/wal/conformance/internal/faultfs"
)

// dirSyncErrors: a name far above is made durable as the nearest one, and where that fails OpenDir does.
func (c *crashing) dirSyncErrors() {
	levels := strings.Split("1/2/3/4/5/6/7/8/9/10", "/")
	require.NoError(c, os.MkdirAll(c.path(levels...), 0o700))
	open := func() error {
		d, err := c.Backend.OpenDir(c.path(levels...), backend.DirOptions{Create: true})
		if err == nil {
			err = d.Close()
		}
		return err
	}
	for after := range levels {
		before := c.fs.hits
		require.NoError(c, c.fs.set(faultfs.Faults{Rules: []faultfs.Rule{
			{Op: faultfs.OpSyncDir, After: after, Count: 1, Errno: syscall.EIO}}}))
		err := open()
		require.NoError(c, c.fs.set(faultfs.Faults{}))
		if after == 0 || c.fs.hits > before { // it may need no more syncs than have succeeded
			require.ErrorIs(c, err, syscall.EIO, "OpenDir, of whose syncs of directories number %d failed", after)
		}
	}
	require.NoError(c, open())
	c.crash()
	require.DirExists(c, c.path(levels...), "others had made all of it")
}

// readErrors: what cannot be read is neither zeros nor the end of the file.
func (c *crashing) readErrors() {
	d := c.dir("d")
	f := c.newFile(d, "f", 4)
	c.put(c.newQueue(d), f, filled(4*block, 1))
	require.NoError(c, f.Sync())
	c.crash() // and with it the cache
	f = c.openFile(c.dir("d"), "f")
	require.NoError(c, c.fs.set(faultfs.Faults{Rules: []faultfs.Rule{{Op: faultfs.OpRead, Errno: syscall.EIO}}}))
	defer func() { require.NoError(c, c.fs.set(faultfs.Faults{})) }()
	for _, at := range []int64{0, block, 3*block + 512} {
		p := make([]byte, 512)
		n, err := f.ReadAt(p, at)
		require.Less(c, n, len(p), "bytes read of a file that cannot be read")
		require.ErrorIs(c, err, syscall.EIO, "ReadAt at %d of a file that cannot be read", at)
		require.False(c, errors.Is(err, io.EOF), "the end of a file that cannot be read: %v", err)
		if v, ok := f.(backend.Viewer); ok {
			err = v.View(at, len(p), func(data []byte) { copy(p, data) })
			require.Error(c, err, "View at %d of a file that cannot be read", at)
		}
	}
}

// readOnlySync: what a read-only Dir and a File of it sync is durable as by any other.
func (c *crashing) readOnlySync() {
	d := c.dir("d")
	require.NoError(c, c.newFile(d, "f", 2).Sync())
	require.NoError(c, os.WriteFile(c.path("d", "f"), append(filled(block, 0), filled(block, 1)...), 0o600))
	require.NoError(c, os.WriteFile(c.path("d", "g"), nil, 0o600))
	ro := c.openDir(c.path("d"), backend.DirOptions{ReadOnly: true})
	c.handles = append(c.handles, ro)
	require.NoError(c, c.openFile(ro, "f").Sync())
	require.NoError(c, ro.Sync())
	c.crash()
	c.demandBlocks("synced by a File of a read-only Dir", []int{0, 1}, "d", "f")
	require.FileExists(c, c.path("d", "g"), "synced by a read-only Dir")
}

// listErrors: a list that could not be read to its end is none.
func (c *crashing) listErrors() {
	const names = 200
	d := c.dir("d")
	for i := range names {
		require.NoError(c, os.WriteFile(c.path("d", fmt.Sprint("a-long-name-", i)), nil, 0o600))
	}
	for _, after := range []int{0, 2, 150} {
		before := c.fs.hits
		require.NoError(c, c.fs.set(faultfs.Faults{Rules: []faultfs.Rule{{Op: faultfs.OpList, After: after, Errno: syscall.EIO}}}))
		list, err := d.List()
		require.NoError(c, c.fs.set(faultfs.Faults{}))
		require.Greater(c, c.fs.hits, before, "a List that reads the directory")
		require.ErrorIs(c, err, syscall.EIO, "List of a directory that cannot be read behind %d names gives %d", after, len(list))
	}
	list := c.list(d)
	require.Len(c, list, names)
}
