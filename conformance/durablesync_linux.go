//go:build !386 && !arm

package conformance

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"

	"github.com/stretchr/testify/require"

	"github.com/chronik-go/wal/core/backend"

	"github.com/chronik-go/wal/conformance/internal/faultfs"
)

// syncKeepsNames: another Dir of the same directory syncs what one did, as a process does for one
// that died.
func (c *crashing) syncKeepsNames() {
	c.othersNames()
	c.movedNames()
	changes := map[string]struct {
		change func(d backend.Dir) error
		want   []string
	}{
		"create":  {func(d backend.Dir) error { c.handles = append(c.handles, c.create(d, "new", block)); return nil }, []string{"a", "b", "new"}},
		"rename":  {func(d backend.Dir) error { return d.Rename("a", "z") }, []string{"b", "z"}},
		"replace": {func(d backend.Dir) error { return d.Rename("a", "b") }, []string{"b"}},
		"remove":  {func(d backend.Dir) error { return d.Remove("a") }, []string{"b"}},
	}
	for _, other := range []string{"the same Dir", "another Dir"} {
		for name, x := range changes {
			d := c.dir(other, name)
			c.newFile(d, "a", 1)
			c.newFile(d, "b", 1)
			require.NoError(c, x.change(d))
			if other == "another Dir" {
				d = c.dir(other, name)
			}
			require.NoError(c, d.Sync())
		}
	}
	c.crash()
	for _, other := range []string{"the same Dir", "another Dir"} {
		for name, x := range changes {
			require.Equal(c, x.want, c.names(c.path(other, name)), "after a crash, %s, which %s synced", name, other)
		}
	}
}

// othersNames: what changed the names was not this backend, as after a process that died before it
// came to the sync.
func (c *crashing) othersNames() {
	in := func(name string) func(string) string {
		return func(file string) string { return c.path("others", name, file) }
	}
	changes := map[string]struct {
		change func(at func(string) string) error
		want   []string
	}{
		"create":  {func(at func(string) string) error { return os.WriteFile(at("new"), nil, 0o600) }, []string{"a", "b", "new"}},
		"rename":  {func(at func(string) string) error { return os.Rename(at("a"), at("z")) }, []string{"b", "z"}},
		"replace": {func(at func(string) string) error { return os.Rename(at("a"), at("b")) }, []string{"b"}},
		"remove":  {func(at func(string) string) error { return os.Remove(at("a")) }, []string{"b"}},
	}
	for name, x := range changes {
		at := in(name)
		require.NoError(c, os.MkdirAll(at(""), 0o700))
		require.NoError(c, errors.Join(os.WriteFile(at("a"), nil, 0o600), os.WriteFile(at("b"), nil, 0o600), c.syncAll(at(""))))
		require.NoError(c, x.change(at))
		d := c.openDir(at(""), backend.DirOptions{})
		c.handles = append(c.handles, d)
		require.NoError(c, d.Sync())
	}
	c.crash()
	for name, x := range changes {
		require.Equal(c, x.want, c.names(in(name)("")), "after a crash, %s, of another process, which a Dir synced", name)
	}
}

// movedNames: a Dir syncs its directory, not what is at its path by now.
func (c *crashing) movedNames() {
	moved := c.dir("was")
	require.NoError(c, os.Rename(c.path("was"), c.path("is")))
	c.dir("was") // a decoy
	c.dir("is")  // for its name
	c.handles = append(c.handles, c.create(moved, "new", block))
	require.NoError(c, moved.Sync())
	c.crash()
	require.FileExists(c, c.path("is", "new"), "synced by a Dir whose directory was renamed, with another at its path")
}

// syncAll makes a directory on the file system durable with its names and those above it, by no
// backend.
func (c *crashing) syncAll(path string) error {
	err := syncFile(path)
	for err == nil && filepath.Clean(path) != filepath.Clean(c.path()) {
		path = filepath.Dir(filepath.Clean(path))
		err = syncFile(path)
	}
	return err
}

func syncFile(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// names are those in a directory.
func (c *crashing) names(path string) (names []string) {
	c.Helper()
	list, err := os.ReadDir(path)
	require.NoError(c, err)
	for _, e := range list {
		names = append(names, e.Name())
	}
	return names
}

func (c *crashing) syncKeepsContent() {
	c.othersContent()
	d := c.dir("d")
	q := c.newQueue(d)
	f := c.newFile(d, "written", 4)
	c.write(q, c.blockWrite(q, f, 1, false), c.blockWrite(q, f, 3, false))
	grown := c.newFile(d, "grown", 1)
	require.NoError(c, grown.Resize(3*block))
	cut := c.newFile(d, "cut", 4)
	c.write(q, c.blockWrite(q, cut, 0, false))
	require.NoError(c, cut.Resize(2*block))
	later := c.dir("d")
	for _, name := range []string{"written", "grown", "cut"} {
		require.NoError(c, c.openFile(later, name).Sync())
	}
	c.crash()
	c.demandBlocks("written by another File", []int{1, 3}, "d", "written")
	c.demandBlocks("written by another File, and cut", []int{0}, "d", "cut")
	for name, want := range map[string]int64{"written": 4 * block, "grown": 3 * block, "cut": 2 * block} {
		fi, err := os.Stat(c.path("d", name))
		require.NoError(c, err)
		require.Equal(c, want, fi.Size(), "size of %s after a crash", name)
	}
}

// othersContent: who wrote was not this backend, and made nothing durable but the name.
func (c *crashing) othersContent() {
	path := c.path("others", "f")
	require.NoError(c, os.MkdirAll(filepath.Dir(path), 0o700))
	require.NoError(c, errors.Join(os.WriteFile(path, nil, 0o600), c.syncAll(filepath.Dir(path))))
	content := append(filled(block, 0), filled(block, 1)...)
	require.NoError(c, os.WriteFile(path, content, 0o600))
	d := c.openDir(filepath.Dir(path), backend.DirOptions{})
	c.handles = append(c.handles, d)
	require.NoError(c, c.openFile(d, "f").Sync())
	c.crash()
	c.demandBlocks("written by another process", []int{0, 1}, "others", "f")
}

// syncShowsTheDevice: a process writes, its sync fails, and it ends. The cache still shows what it
// wrote, and the device does not hold it. A File of the backend is opened before or after.
func (c *crashing) syncShowsTheDevice() {
	const blocks = 9
	var want []byte
	for i := range blocks {
		want = append(want, filled(block, i)...)
	}
	for _, when := range []string{"before", "after"} {
		d := c.dir("d")
		require.NoError(c, c.newFile(d, "f", blocks).Sync())
		var f backend.File
		if when == "before" {
			f = c.openFile(d, "f")
		}
		other, err := os.OpenFile(c.path("d", "f"), os.O_RDWR, 0)
		require.NoError(c, err)
		for i := range blocks { // the failure takes some of the writes, not all
			_, err = other.WriteAt(filled(block, i), int64(i)*block)
			require.NoError(c, err)
		}
		c.nextSyncFails()
		require.ErrorIs(c, other.Sync(), syscall.EIO)
		require.NoError(c, c.fs.set(faultfs.Faults{}))
		require.NoError(c, other.Close())
		cached, err := os.ReadFile(c.path("d", "f"))
		require.NoError(c, err)
		c.same(want, cached, "the cache after a sync that failed")
		if when == "after" {
			f = c.openFile(d, "f")
		}
		synced := f.Sync()
		shown := c.content(f)
		c.crash()
		if synced == nil {
			held, err := os.ReadFile(c.path("d", "f"))
			require.NoError(c, err)
			c.same(held, shown, "read by a File opened %s another process failed to sync, after a Sync that succeeded", when)
		}
		require.NoError(c, os.RemoveAll(c.path("d")))
	}
}
