package wal_test

import (
	"fmt"
	"iter"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	wal "github.com/chronik-go/wal/core"
	"github.com/chronik-go/wal/core/backend/sim"
)

// small makes segments that hold some twenty small appends.
var small = wal.WithSegmentSize(16 << 10)

// Segments whose records are all truncated go, in order; their files are used again, as
// other segments, up to the limit.
func TestTruncateBeforeDropsSegments(t *testing.T) {
	for _, limit := range []int{0, 1, 2, 100} {
		t.Run(fmt.Sprint(limit), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				disk := newDisk(t, sim.Options{})
				var dropped, recycled recorder[string]
				m := open(t, disk, small, wal.WithRecycleLimit(limit), wal.WithHooks(wal.Hooks{
					Dropped: func(segment string, again bool) {
						dropped.add(segment)
						if again {
							recycled.add(segment)
						}
					},
				}))
				p := partition(t, m, "t", 0)
				appendValues(t, p, 200)
				synctest.Wait()
				list := segments(t, m)
				keep := list[6]
				from := keep.Partitions[0].From
				require.NoError(t, p.TruncateBefore(bg, from))
				synctest.Wait()
				require.Equal(t, keep.Name, segments(t, m)[0].Name)
				require.Len(t, dropped.all(), 6)
				for i, name := range dropped.all() {
					require.Equal(t, list[i].Name, name)
				}
				require.EqualValues(t, 6, m.Stats().Dropped)
				require.Len(t, recycled.all(), min(limit, 6))
				require.NotContains(t, names(disk, ".wal"), list[5].Name)
				require.Contains(t, names(disk, ".wal"), keep.Name)
				requireValues(t, p, from, 200)
				require.ErrorIs(t, readError(p, from-1), wal.ErrOffsetOutOfRange)

				appendValues(t, p, 200)
				require.EqualValues(t, min(limit, 6), m.Stats().Recycled)
				requireDroppedInOrder(t, disk.Trace())
				epochs := map[uint64]bool{}
				for _, name := range names(disk, ".wal") {
					epochs[header(t, disk, name).Epoch] = true
				}
				require.Len(t, epochs, len(names(disk, ".wal")), "each its own epoch")
				after := crash(t, disk)
				require.NoError(t, m.Close())
				requireValues(t, lookup(t, open(t, disk), "t", 0), from, 400)
				requireValues(t, lookup(t, open(t, after), "t", 0), from, 400)
			})
		})
	}
}

// requireDroppedInOrder demands that segments go from the oldest on, each durably before
// the next: else a crash could leave a hole in their row. Also that nothing is written
// to a file used again before its new name is durable.
func requireDroppedInOrder(t *testing.T, trace *sim.Trace) {
	t.Helper()
	last, open := "", false
	renamed := map[string]bool{}
	for i := range trace.Len() {
		o := trace.Op(i)
		gone := (o.Op == sim.OpRemove || o.Op == sim.OpRename) && len(o.Name) == 24 && strings.HasSuffix(o.Name, ".wal")
		switch {
		case gone:
			require.False(t, open, "%v before the one before was durable", o)
			require.Greater(t, o.Name, last)
			last, open = o.Name, true
			renamed[o.NewName] = true
		case o.Op == sim.OpDirSync:
			open = false
			clear(renamed)
		case renamed[o.Name]:
			t.Errorf("%v before its new name is durable", o)
		}
	}
}

// A file that is used again holds frames of its earlier life behind the log's end. A
// crash does not bring them back, wherever it comes.
func TestRecycledFramesStayDead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := newDisk(t, sim.Options{})
		m := open(t, disk, small)
		p := partition(t, m, "t", 0)
		for range 3 {
			appendValues(t, p, 60)
			require.NoError(t, p.TruncateBefore(bg, p.NextOffset()-1))
			synctest.Wait()
		}
		require.Positive(t, m.Stats().Recycled)
		start := disk.Ops()
		for range 30 {
			appendValues(t, p, 1)
			disk.Mark(p.NextOffset())
		}
		trace := disk.Trace()
		for c := trace.At(start); c.Next(); {
			acked := int64(180)
			for _, mark := range c.Marks() {
				acked = mark.Value.(int64)
			}
			for _, mode := range []sim.Mode{sim.DropAll, sim.KeepAll} {
				image := c.Image(sim.Image{Mode: mode})
				again := open(t, image, small)
				after := lookup(t, again, "t", 0)
				require.GreaterOrEqual(t, after.NextOffset(), acked)
				require.LessOrEqual(t, after.NextOffset(), acked+1)
				requireValues(t, after, after.FirstOffset(), after.NextOffset())
				require.NoError(t, again.Close())
			}
		}
	})
}

// A reader keeps the files that it reads, also those of segments that are dropped under
// it; they go when it is done, still in order.
func TestReadersHoldDroppedSegments(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := newDisk(t, sim.Options{})
		m := open(t, disk, small, wal.WithRecycleLimit(0))
		p := partition(t, m, "t", 0)
		appendValues(t, p, 200)
		all := len(names(disk, ".wal"))

		next, stop := iter.Pull2(m.Replay(bg))
		e, err, ok := next()
		require.True(t, ok)
		require.NoError(t, err)
		require.Equal(t, "value 0", string(e.Value))
		require.NoError(t, p.TruncateBefore(bg, 200))
		appendValues(t, p, 1)
		synctest.Wait()
		require.GreaterOrEqual(t, len(names(disk, ".wal")), all, "all are held")
		require.LessOrEqual(t, len(segments(t, m)), 2, "and are no part of the log any more")
		require.Zero(t, m.Stats().Dropped)
		stop()
		synctest.Wait()
		require.LessOrEqual(t, len(names(disk, ".wal")), 2)
		requireDroppedInOrder(t, disk.Trace())

		read, end := iter.Pull2(p.Read(bg, 200))
		defer end()
		r, err, ok := read()
		require.True(t, ok && err == nil)
		require.EqualValues(t, 200, r.Offset)
		appendValues(t, p, 200)
		held := segments(t, m)[0].Name
		require.NoError(t, p.TruncateBefore(bg, 390))
		synctest.Wait()
		require.Contains(t, names(disk, ".wal"), held)
		_, err, ok = read()
		require.True(t, ok)
		require.ErrorIs(t, err, wal.ErrOffsetOutOfRange, "truncated while it was read")
		end()
		synctest.Wait()
		require.NotContains(t, names(disk, ".wal"), held)
	})
}

// The log forgets no partition: one that is idle keeps its next offset though all its
// records and segments are gone, whenever the crash comes.
func TestIdlePartitionsOutliveTheirSegments(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const idle = 40
		disk := newDisk(t, sim.Options{})
		m := open(t, disk, small)
		for i := range idle {
			p := partition(t, m, "idle", int32(i))
			appendValues(t, p, i%3+1)
			require.NoError(t, p.TruncateBefore(bg, int64(i%3+1)))
		}
		check := func(disk *sim.Disk) {
			m := open(t, disk, small)
			for i := range idle {
				p := lookup(t, m, "idle", int32(i))
				require.EqualValues(t, i%3+1, p.NextOffset())
				require.EqualValues(t, i%3+1, p.FirstOffset())
			}
			require.NoError(t, m.Close())
		}
		busy := partition(t, m, "busy", 0)
		for round := range 5 {
			start := disk.Ops()
			appendValues(t, busy, 70)
			require.NoError(t, busy.TruncateBefore(bg, busy.NextOffset()-5))
			synctest.Wait()
			if round == 4 {
				for c := disk.Trace().At(start); c.Next(); {
					if c.Point()%every != 0 {
						continue
					}
					check(c.Image(sim.Image{Mode: sim.DropAll}))
				}
			}
		}
		require.Greater(t, segments(t, m)[0].Number, uint64(8))
		check(crash(t, disk))
		require.NoError(t, m.Close())
		check(disk)
	})
}

// A declaration that was in a write that failed is none: the partition must be declared
// elsewhere before the segment with its true one goes.
func TestIdlePartitionIsDeclaredThoughAWriteFailed(t *testing.T) {
	for _, fault := range []sim.Fault{
		{Op: sim.OpWrite, Name: anySegment, Err: errNoSpace},
		{Op: sim.OpWrite, Landed: true, Name: anySegment, Err: errNoSpace},
	} {
		synctest.Test(t, func(t *testing.T) {
			disk := newDisk(t, sim.Options{})
			m := open(t, disk, small)
			idle, busy := partition(t, m, "idle", 0), partition(t, m, "busy", 0)
			appendValues(t, idle, 7)
			require.NoError(t, idle.TruncateBefore(bg, 7))
			for len(segments(t, m)) < 2 {
				appendValues(t, busy, 1)
			}
			anchor := partition(t, m, "anchor", 0) // holds the second segment
			appendValues(t, anchor, 1)
			synctest.Wait() // the first segment is sealed: the next write is the append's
			disk.Inject(fault)
			_, err := idle.Append(bg, record("x"))
			require.ErrorIs(t, err, wal.ErrNoSpace)
			for len(segments(t, m)) < 6 {
				appendValues(t, busy, 1)
			}
			require.NoError(t, busy.TruncateBefore(bg, busy.NextOffset()-1))
			synctest.Wait()
			require.EqualValues(t, 2, segments(t, m)[0].Number)
			after := open(t, crash(t, disk))
			require.EqualValues(t, 7, lookup(t, after, "idle", 0).NextOffset())
			requireValues(t, lookup(t, after, "anchor", 0), 0, 1)
		})
	}
}

// What a truncation of the suffix cut off stays away, also after appending again.
func TestTruncateAfterThenAppend(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := newDisk(t, sim.Options{})
		m := open(t, disk, small)
		p := partition(t, m, "t", 0)
		appendValues(t, p, 100)
		for _, at := range []int64{99, 98, 60, 59, 5, 0, -1} {
			require.NoError(t, p.TruncateAfter(bg, at))
			require.Equal(t, at+1, p.NextOffset())
			requireValues(t, p, 0, at+1)
			for range 3 {
				_, err := p.Append(bg, record("again %d", at))
				require.NoError(t, err)
			}
			want := collect(t, m)
			require.Len(t, want["t/0"], int(at)+4)
			require.Equal(t, fmt.Sprintf("again %d", at), want["t/0"][at+1])
			require.Equal(t, want, collect(t, open(t, crash(t, disk))))
			require.NoError(t, m.Close())
			m = open(t, disk, small)
			require.Equal(t, want, collect(t, m))
			p = lookup(t, m, "t", 0)
			require.NoError(t, p.TruncateAfter(bg, at))
			requireValues(t, p, 0, at+1)
			m2 := must(m.Partition("u", 0))
			appendValues(t, m2, 10)
		}
	})
}

// header reads a segment's header.
func header(t *testing.T, disk *sim.Disk, name string) formatHeader {
	t.Helper()
	data, err := disk.ReadFile(dataDir + "/" + name)
	require.NoError(t, err)
	return mustHeader(t, data)
}
