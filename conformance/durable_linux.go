//go:build !386 && !arm

package conformance

import (
	"context"
	"os"
	"path/filepath"
	"slices"

	"github.com/stretchr/testify/require"

	"github.com/chronik-go/wal/core/backend"

	"github.com/chronik-go/wal/conformance/internal/faultfs"
)

// durables are what the checks of promises about durability do, and of space where the file system
// reserves none, by name.
var durables = map[string]func(*crashing){
	"OpenDirIsDurable":       (*crashing).openDirIsDurable,
	"SyncKeepsNames":         (*crashing).syncKeepsNames,
	"SyncKeepsContent":       (*crashing).syncKeepsContent,
	"SyncShowsTheDevice":     (*crashing).syncShowsTheDevice,
	"SyncedWritesAreDurable": (*crashing).syncedWrites,
	"SyncWithoutData":        (*crashing).syncWithoutData,
	"FailedSyncs":            (*crashing).failedSyncs,
	"SyncWithoutSpace":       (*crashing).syncWithoutSpace,
	"SyncsTogether":          (*crashing).syncsTogether,
	"SyncFailsForGood":       (*crashing).syncFailsForGood,
	"CreateReserves":         (*crashing).createReserves,
	"ResizeReserves":         (*crashing).resizeReserves,
	"CloseCarriesOut":        (*crashing).closeCarriesOut,
	"ReadAtFollowsReaderAt":  (*crashing).readErrors,
	"ReadOnlySync":           (*crashing).readOnlySync,
	"ListIsComplete":         (*crashing).listErrors,
}

func init() {
	for name, act := range durables {
		layers[name] = func(ctx context.Context, s *suite, k *hostTask, r *report) error {
			return onFaultFS(ctx, s, name, func(x *faulty) error {
				rec := newRecorder()
				rec.do(func() {
					t := s.newT(check{name: name}, rec)
					t.quiet = true
					act(&crashing{T: t, fs: x})
				})
				if err := rec.err(); err != nil {
					r.Violations = append(r.Violations, err.Error())
				}
				r.States, r.Distinct = k.States, k.States
				return nil
			})
		}
	}
}

// crashing is a backend on a file system that can lose all that was not synced.
type crashing struct {
	*T
	fs *faulty
	// handles are what has to be closed after a crash.
	handles []interface{ Close() error }
}

// path is where something is on the file system.
func (c *crashing) path(elements ...string) string {
	return filepath.Join(append([]string{c.fs.fs.dir}, elements...)...)
}

// dir opens a directory, which it makes.
func (c *crashing) dir(elements ...string) backend.Dir {
	c.Helper()
	d := c.openDir(c.path(elements...), backend.DirOptions{Create: true})
	c.handles = append(c.handles, d)
	return d
}

// newFile makes a file whose name is durable.
func (c *crashing) newFile(d backend.Dir, name string, blocks int64) backend.File {
	c.Helper()
	f := c.create(d, name, blocks*block)
	c.handles = append(c.handles, f)
	require.NoError(c, d.Sync())
	return f
}

// openFile opens a file that is there.
func (c *crashing) openFile(d backend.Dir, name string) backend.File {
	c.Helper()
	f := c.open(d, name)
	c.handles = append(c.handles, f)
	return f
}

func (c *crashing) newQueue(d backend.Dir) backend.Queue {
	c.Helper()
	return c.newQueueFor(d, backend.QueueOptions{Depth: 1})
}

func (c *crashing) newQueueFor(d backend.Dir, o backend.QueueOptions) backend.Queue {
	c.Helper()
	q, err := d.Queue(o)
	require.NoError(c, err)
	c.closing("Queue", q)
	c.handles = append(c.handles, q)
	return q
}

// blockWrite is a write of one block, whose bytes tell which.
func (c *crashing) blockWrite(q backend.Queue, f backend.File, i int, sync bool) backend.Write {
	c.Helper()
	b := c.buffer(q, block, i)
	return backend.Write{File: f, Offset: int64(i) * block, Data: b.Bytes[:block], Buffer: b, Sync: sync}
}

// crash takes away what was not synced. What was open is of no use any more, closing it no error.
func (c *crashing) crash() {
	c.Helper()
	require.NoError(c, c.fs.lose(faultfs.Crash{Loss: faultfs.Everything}, func() {
		for _, h := range slices.Backward(c.handles) {
			_ = h.Close()
		}
		c.handles = nil
	}))
}

// demandBlocks demands that blocks of a file are there.
func (c *crashing) demandBlocks(what string, blocks []int, elements ...string) {
	c.Helper()
	got, err := os.ReadFile(c.path(elements...))
	require.NoError(c, err, what)
	for _, i := range blocks {
		require.GreaterOrEqual(c, len(got), (i+1)*block, "%s: size", what)
		c.same(filled(block, i), got[i*block:(i+1)*block], "%s: block %d after a crash", what, i)
	}
}

func (c *crashing) openDirIsDurable() {
	c.dirSyncErrors()
	c.dir("a", "b", "c")
	c.dir("known")
	require.NoError(c, os.MkdirAll(c.path("x", "y", "z"), 0o700))
	c.dir("x", "y", "z")
	require.NoError(c, os.MkdirAll(c.path("p", "q"), 0o700))
	c.dir("p", "q", "r", "s")
	require.NoError(c, os.MkdirAll(c.path("u", "v", "w"), 0o700))
	link := filepath.Join(c.TempDir(), "link") // on another file system, which has links
	require.NoError(c, os.Symlink(c.path("u", "v"), link))
	c.handles = append(c.handles, c.openDir(filepath.Join(link, "w"), backend.DirOptions{Create: true}))
	c.crash()
	require.DirExists(c, c.path("a", "b", "c"), "the backend made all of it")
	require.DirExists(c, c.path("x", "y", "z"), "others had made all of it")
	require.DirExists(c, c.path("p", "q", "r", "s"), "others had made what is above")
	require.DirExists(c, c.path("u", "v", "w"), "others had made all of it, and the path leads through a link")
}

func (c *crashing) syncedWrites() {
	c.syncedAmongOthers()
	c.syncedFiles()
	c.syncedBesideFailure()
	c.syncedManyTimes()
	for name, o := range map[string]backend.QueueOptions{
		"one queue": {Depth: 4}, "one of many queues": {Depth: 4, Many: true},
	} {
		c.syncedNeighbours(name, o)
		c.syncedInFlight(name, o)
	}
}

// syncedAmongOthers: those beside a synced write are of another file, or of another place.
func (c *crashing) syncedAmongOthers() {
	d := c.dir("d")
	q := c.newQueue(d)
	f, g := c.newFile(d, "f", 8), c.newFile(d, "g", 8)
	c.write(q,
		c.blockWrite(q, f, 0, true), c.blockWrite(q, g, 1, false), c.blockWrite(q, f, 2, true),
		c.blockWrite(q, g, 3, true), c.blockWrite(q, f, 5, true), c.blockWrite(q, f, 7, true))
	c.write(q, c.blockWrite(q, f, 6, true))
	c.write(q, c.blockWrite(q, g, 0, true), c.blockWrite(q, g, 7, true))
	c.crash()
	c.demandBlocks("synced writes of one batch", []int{0, 2, 5, 7}, "d", "f")
	c.demandBlocks("a synced write later", []int{6}, "d", "f")
	c.demandBlocks("a synced write between those to another file", []int{3}, "d", "g")
	c.demandBlocks("two synced writes", []int{0, 7}, "d", "g")
}

// syncedNeighbours: writes that continue each other may be carried out as one, which is synced if
// any of them is to be. Each pair has a file: the sync of one must not help the other.
func (c *crashing) syncedNeighbours(name string, o backend.QueueOptions) {
	d := c.dir("neighbours")
	q := c.newQueueFor(d, o)
	f, g, h := c.newFile(d, "f", 4), c.newFile(d, "g", 4), c.newFile(d, "h", 4)
	c.write(q, c.blockWrite(q, f, 1, false), c.blockWrite(q, f, 2, true))
	c.write(q, c.blockWrite(q, g, 1, true), c.blockWrite(q, g, 2, false))
	c.write(q, c.blockWrite(q, h, 1, false), c.blockWrite(q, h, 2, true), c.blockWrite(q, h, 3, false))
	c.crash()
	c.demandBlocks(name+": synced behind a write that is not", []int{2}, "neighbours", "f")
	c.demandBlocks(name+": synced before a write that is not", []int{1}, "neighbours", "g")
	c.demandBlocks(name+": synced between writes that are not", []int{2}, "neighbours", "h")
	require.NoError(c, os.RemoveAll(c.path("neighbours")))
}

// syncedInFlight: as many batches as there may be are on their way at once.
func (c *crashing) syncedInFlight(name string, o backend.QueueOptions) {
	d := c.dir("flight")
	q := c.newQueueFor(d, o)
	deep := min(q.Limits().Depth, o.Depth)
	f, g := c.newFile(d, "f", int64(deep)), c.newFile(d, "g", int64(deep))
	var even, odd []int
	for i := range deep {
		if i%2 == 0 {
			even = append(even, i)
			c.submit(q, c.blockWrite(q, f, i, true))
		} else {
			odd = append(odd, i)
			c.submit(q, c.blockWrite(q, g, i, true))
		}
	}
	c.waitAll(q, deep)
	c.crash()
	c.demandBlocks(name+": one of several batches in flight", even, "flight", "f")
	c.demandBlocks(name+": one of several batches in flight", odd, "flight", "g")
	require.NoError(c, os.RemoveAll(c.path("flight")))
}

// syncWithoutData: what one queue wrote is synced by another.
func (c *crashing) syncWithoutData() {
	d, later := c.dir("d"), c.dir("d")
	q := c.newQueue(d)
	f, g := c.newFile(d, "f", 4), c.newFile(d, "g", 4)
	c.write(q, c.blockWrite(q, f, 0, false), c.blockWrite(q, f, 2, false))
	c.write(q, backend.Write{File: f, Sync: true})
	c.write(q, c.blockWrite(q, g, 1, false), c.blockWrite(q, g, 3, false))
	c.write(c.newQueue(later), backend.Write{File: c.openFile(later, "g"), Sync: true})
	c.crash()
	c.demandBlocks("synced without data", []int{0, 2}, "d", "f")
	c.demandBlocks("synced without data by another queue", []int{1, 3}, "d", "g")
}
