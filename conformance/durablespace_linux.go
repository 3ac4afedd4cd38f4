//go:build !386 && !arm

package conformance

import (
	"errors"
	"syscall"

	"github.com/stretchr/testify/require"

	"github.com/chronik-go/wal/core/backend"

	"github.com/chronik-go/wal/conformance/internal/faultfs"
)

// noFallocate is a file system that cannot reserve.
var noFallocate = faultfs.Rule{Op: faultfs.OpAllocate, Errno: syscall.EOPNOTSUPP}

// reservesNothing makes the file system one that cannot reserve, with no space left if it is full.
func (c *crashing) reservesNothing(full bool) {
	c.Helper()
	f := faultfs.Faults{Rules: []faultfs.Rule{noFallocate}}
	if full {
		f.Rules = append(f.Rules, faultfs.Rule{Op: faultfs.OpGrow, Errno: syscall.ENOSPC})
	}
	require.NoError(c, c.fs.set(f))
}

// refused says whether a backend does without a file system that cannot reserve.
func (c *crashing) refused(err error) bool {
	c.Helper()
	if err == nil || errors.Is(err, errors.ErrUnsupported) {
		return err != nil
	}
	c.demandNoSpace(err, "a file on a file system without fallocate")
	return true
}

// fullWrites writes every block of a file while the file system has no space left, and takes away
// what was not synced.
func (c *crashing) fullWrites(d backend.Dir, f backend.File, blocks int) {
	c.Helper()
	c.reservesNothing(true)
	q := c.newQueue(d)
	var all []int
	for i := range blocks {
		all = append(all, i)
		c.write(q, c.blockWrite(q, f, i, i%2 == 0))
	}
	require.NoError(c, f.Sync())
	c.crash()
	c.demandBlocks("written on a full file system without fallocate", all, "d", "f")
}

func (c *crashing) createReserves() {
	const blocks = 64
	d := c.dir("d")
	c.reservesNothing(false)
	f, err := d.Create("f", blocks*block)
	if c.refused(err) {
		require.Empty(c, c.list(d), "a file that could not be reserved")
		return
	}
	c.handles = append(c.handles, f)
	c.zeros(c.content(f), "a new file")
	require.NoError(c, d.Sync())
	c.fullWrites(d, f, blocks)
}

func (c *crashing) resizeReserves() {
	const blocks = 64
	d := c.dir("d")
	f := c.newFile(d, "f", 1)
	c.put(c.newQueue(d), f, filled(block, 1))
	c.reservesNothing(false)
	if c.refused(f.Resize(blocks * block)) {
		c.same(filled(block, 1), c.content(f), "a file that could not grow")
		return
	}
	want := append(filled(block, 1), make([]byte, (blocks-1)*block)...)
	c.same(want, c.content(f), "a file that grew")
	c.reservesNothing(true)
	c.demandNoSpace(f.Resize(2*blocks*block), "a file that is to grow on a full file system without fallocate")
	c.same(want, c.content(f), "a file that could not grow")
	c.fullWrites(d, f, blocks)
}
