package wal_test

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	wal "github.com/chronik-go/wal/core"
	"github.com/chronik-go/wal/core/backend/sim"
)

// aLittle is a move limit that a few truncated segments exceed.
var aLittle = wal.WithMoveLimit(20 << 10)

// slowRecord is a record with everything that moving has to keep.
func slowRecord(offset int64) wal.Record {
	return wal.Record{
		Timestamp: time.Unix(1000-offset, offset).Local(),
		Key:       fmt.Appendf(nil, "key %d", offset), Value: []byte{},
		Headers: []wal.Header{{Key: "a", Value: []byte{byte(offset)}}, {Key: "a"}},
	}
}

func appendSlow(t *testing.T, p *wal.Partition, n int) {
	t.Helper()
	for range n {
		_, err := p.Append(bg, slowRecord(p.NextOffset()))
		require.NoError(t, err)
	}
}

func requireSlow(t *testing.T, p *wal.Partition, first, next int64) {
	t.Helper()
	require.Equal(t, first, p.FirstOffset())
	require.Equal(t, next, p.NextOffset())
	for r, err := range p.Read(bg, first) {
		require.NoError(t, err)
		want := slowRecord(first)
		want.Offset = first
		require.Equal(t, want, r)
		first++
	}
	require.Equal(t, next, first)
}

// churn writes to a partition and truncates it, so that segments fill with garbage.
func churn(t *testing.T, p *wal.Partition, n int) {
	t.Helper()
	appendValues(t, p, n)
	require.NoError(t, p.TruncateBefore(bg, p.NextOffset()))
	synctest.Wait()
}

// A partition that lags does not hold back what is truncated behind it: what it has in
// the oldest segment is written again. Nobody notices, whenever a crash comes.
func TestMoveLaggingPartition(t *testing.T) {
	for _, mode := range []wal.FsyncMode{wal.FsyncAlways, wal.FsyncPeriodic} {
		t.Run(mode.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				disk := newDisk(t, sim.Options{})
				opts := []wal.Option{small, aLittle, wal.WithFsyncMode(mode)}
				m := open(t, disk, opts...)
				slow, other, busy := partition(t, m, "slow", 0), partition(t, m, "slow", 1), partition(t, m, "busy", 0)
				for range 3 {
					appendSlow(t, slow, 4)
					appendSlow(t, other, 3)
					appendValues(t, busy, 5)
				}
				require.NoError(t, slow.TruncateBefore(bg, 2))
				require.NoError(t, m.Sync(bg))
				start := disk.Ops()
				for range 4 {
					churn(t, busy, 60)
					requireSlow(t, slow, 2, 12)
					requireSlow(t, other, 0, 9)
				}
				require.Positive(t, m.Stats().MovedBytes)
				require.Greater(t, segments(t, m)[0].Number, uint64(4))
				require.Less(t, len(segments(t, m)), 9)
				for c := disk.Trace().At(start); c.Next(); {
					if c.Point()%every != 0 {
						continue
					}
					for _, image := range []sim.Image{{Mode: sim.DropAll}, {Mode: sim.Random, Seed: uint64(c.Point())}} {
						after := open(t, c.Image(image), opts...)
						requireSlow(t, lookup(t, after, "slow", 0), 2, 12)
						requireSlow(t, lookup(t, after, "slow", 1), 0, 9)
						require.NoError(t, after.Close())
					}
				}
				appendSlow(t, slow, 5)
				require.NoError(t, m.Close())
				m = open(t, disk, opts...)
				requireSlow(t, lookup(t, m, "slow", 0), 2, 17)
				for range 3 { // what was moved moves again
					churn(t, lookup(t, m, "busy", 0), 60)
				}
				requireSlow(t, lookup(t, m, "slow", 0), 2, 17)
				requireSlow(t, lookup(t, m, "slow", 1), 0, 9)
				requireDroppedInOrder(t, disk.Trace())
			})
		})
	}
}

// Without a limit nothing moves; a lagging partition then holds all that came after it.
func TestMoveLimitZeroMovesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := newDisk(t, sim.Options{})
		m := open(t, disk, small, wal.WithMoveLimit(0))
		appendSlow(t, partition(t, m, "slow", 0), 1)
		for range 4 {
			churn(t, partition(t, m, "busy", 0), 60)
		}
		require.Zero(t, m.Stats().MovedBytes)
		require.Zero(t, m.Stats().Dropped)
		require.EqualValues(t, 1, segments(t, m)[0].Number)
	})
}

// Moved records of several batches, cut by truncations and with gaps between them, are
// found by offset and by time, before and after a recovery from footers alone.
func TestMovePiecesOfAPartition(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := newDisk(t, sim.Options{})
		m := open(t, disk, small, aLittle)
		p, busy := partition(t, m, "p", 0), partition(t, m, "busy", 0)
		appendAt(t, p, 3, 4)                       // 3..6
		require.NoError(t, p.TruncateAfter(bg, 5)) // 3..5
		appendAt(t, p, 6, 2)                       // 6, 7 of another extent
		appendAt(t, p, 20, 1)
		require.NoError(t, p.TruncateBefore(bg, 4))
		want := []int64{4, 5, 6, 7, 20}
		check := func(m *wal.Manager) {
			p := lookup(t, m, "p", 0)
			require.Equal(t, want, offsets(t, p, p.FirstOffset()))
			for i, o := range want {
				require.Equal(t, want[i:], offsets(t, p, o))
			}
			var replayed []int64
			for e, err := range m.Replay(bg) {
				require.NoError(t, err)
				if e.Topic == "p" {
					replayed = append(replayed, e.Offset)
				}
			}
			require.ElementsMatch(t, want, replayed)
		}
		for range 5 {
			churn(t, busy, 60)
			check(m)
			check(open(t, crash(t, disk)))
			require.NoError(t, m.Close())
			m = open(t, disk, small, aLittle)
			check(m)
			p, busy = lookup(t, m, "p", 0), lookup(t, m, "busy", 0)
			o := p.NextOffset()
			appendAt(t, p, o, 1)
			want = append(want, o)
		}
		require.Greater(t, segments(t, m)[0].Number, uint64(4))
	})
}

// Truncations while records are moved: neither do truncated records come back, nor do
// others go.
func TestTruncateWhileMoving(t *testing.T) {
	for stop := range 12 {
		synctest.Test(t, func(t *testing.T) {
			disk := newDisk(t, sim.Options{})
			m := open(t, disk, small, aLittle)
			slow, cut, busy := partition(t, m, "slow", 0), partition(t, m, "cut", 0), partition(t, m, "busy", 0)
			appendSlow(t, slow, 6)
			appendSlow(t, cut, 6)
			for i := range 4 { // stop the mover somewhere
				if i == 3 {
					disk.Stall()
					disk.Complete(stop)
				}
				done := run(func() error { appendAndTruncate(busy, 60); return nil })
				synctest.Wait()
				if i == 3 {
					before := run(func() error { return slow.TruncateBefore(bg, 3) })
					after := run(func() error { return cut.TruncateAfter(bg, 2) })
					synctest.Wait()
					disk.Resume()
					require.NoError(t, <-before)
					require.NoError(t, <-after)
				}
				require.NoError(t, <-done)
				synctest.Wait()
			}
			appendSlow(t, cut, 2)
			check := func(m *wal.Manager) {
				requireSlow(t, lookup(t, m, "slow", 0), 3, 6)
				requireSlow(t, lookup(t, m, "cut", 0), 0, 5)
			}
			check(m)
			for range 3 {
				churn(t, busy, 60)
				check(m)
			}
			check(open(t, crash(t, disk)))
			require.NoError(t, m.Close())
			check(open(t, disk))
		})
	}
}

// A truncation that gets its place in the log between the reading of records and the
// writing of their copy makes the copy stale: it must not be written, for it would bring
// back what was truncated, over what came instead.
func TestTruncationOvertakesMove(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := newDisk(t, sim.Options{})
		m := open(t, disk, small, aLittle, wal.WithBufferSize(32<<10))
		slow, cut, busy := partition(t, m, "slow", 0), partition(t, m, "cut", 0), partition(t, m, "busy", 0)
		appendSlow(t, slow, 6)
		appendSlow(t, cut, 6)
		gate := make(chan struct{})
		var held atomic.Bool
		disk.BeforeOp(func(o sim.OpInfo) {
			if o.Op == sim.OpRead && strings.HasSuffix(o.Name, "01.wal") && held.CompareAndSwap(false, true) {
				<-gate // the mover is about to read
			}
		})
		appendAndTruncate(busy, 60)
		appendAndTruncate(busy, 60)
		synctest.Wait()
		require.True(t, held.Load(), "something is moved")

		disk.Stall()
		full := make(chan struct{})
		for range 12 { // the write buffer is full, and the row grows
			go func() {
				must(busy.AppendAsync(bg, big(4000, 'x')))
				full <- struct{}{}
			}()
		}
		synctest.Wait()
		cutDone := run(func() error { return cut.TruncateAfter(bg, 2) })
		synctest.Wait()
		newDone := run(func() error { _, err := cut.Append(bg, record("new"), record("new"), record("new")); return err })
		synctest.Wait()
		firstDone := run(func() error { return slow.TruncateBefore(bg, 3) })
		synctest.Wait()
		close(gate) // it reads what is there, and stands behind them
		synctest.Wait()
		disk.Resume()
		for range 12 {
			<-full
		}
		require.NoError(t, <-cutDone)
		require.NoError(t, <-newDone)
		require.NoError(t, <-firstDone)
		check := func(m *wal.Manager) {
			t.Helper()
			requireSlow(t, lookup(t, m, "slow", 0), 3, 6)
			all := collect(t, m)["cut/0"]
			require.Equal(t, map[int64]string{0: "", 1: "", 2: "", 3: "new", 4: "new", 5: "new"}, all)
		}
		synctest.Wait()
		check(m)
		for range 3 {
			require.NoError(t, busy.TruncateBefore(bg, busy.NextOffset()))
			churn(t, busy, 60)
			check(m)
		}
		require.Positive(t, m.Stats().MovedBytes)
		check(open(t, crash(t, disk)))
		require.NoError(t, m.Close())
		check(open(t, disk))
	})
}

func appendAndTruncate(p *wal.Partition, n int) {
	for range n {
		must(p.Append(bg, valueAt(0)))
	}
	if err := p.TruncateBefore(bg, p.NextOffset()); err != nil {
		panic(err)
	}
}

// A record that is larger than a segment moves too, and a Replay under way meets each
// record just once although it is moved meanwhile.
func TestMoveLargeRecordsUnderReplay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := newDisk(t, sim.Options{})
		m := open(t, disk, small, aLittle)
		p, busy := partition(t, m, "p", 0), partition(t, m, "busy", 0)
		_, err := p.Append(bg, big(300<<10, 'x'), big(100, 'y'))
		require.NoError(t, err)
		appendValues(t, busy, 30)
		seen := map[string]int{}
		n := 0
		for e, err := range m.Replay(bg) {
			require.NoError(t, err)
			seen[fmt.Sprintf("%s %d", e.Topic, e.Offset)]++
			if n++; n%5 == 1 {
				require.NoError(t, busy.TruncateBefore(bg, min(busy.NextOffset(), int64(n)/2)))
				for range 3 {
					appendValues(t, busy, 40)
					synctest.Wait()
				}
			}
			if n > 40 {
				break
			}
		}
		require.Equal(t, 1, seen["p 0"])
		require.Equal(t, 1, seen["p 1"])
		for what, n := range seen {
			require.Equal(t, 1, n, what)
		}
		for range 4 {
			churn(t, busy, 60)
		}
		require.Positive(t, m.Stats().MovedBytes)
		require.Equal(t, []int64{0, 1}, offsets(t, p, 0))
	})
}

// A partition that was cut inside a declared gap, and is idle since, holds nothing back: its
// records are moved like others, and the gap stays.
func TestMoveBelowAGap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := newDisk(t, sim.Options{})
		m := open(t, disk, small, aLittle)
		idle, busy := partition(t, m, "idle", 0), partition(t, m, "busy", 0)
		appendValues(t, idle, 3)
		ack, err := idle.AppendAt(bg, 10, record("x"))
		require.NoError(t, err)
		require.NoError(t, ack.Wait(bg))
		require.NoError(t, idle.TruncateAfter(bg, 6))
		for range 400 {
			must(busy.Append(bg, big(400, 'x')))
			require.NoError(t, busy.TruncateBefore(bg, busy.NextOffset()))
		}
		synctest.Wait()
		require.Positive(t, m.Stats().MovedBytes)
		require.Less(t, len(must(m.Segments())), 10)
		for _, m := range []*wal.Manager{m, open(t, crash(t, disk))} {
			p := lookup(t, m, "idle", 0)
			require.EqualValues(t, 7, p.NextOffset())
			require.Equal(t, []int64{0, 1, 2}, offsets(t, p, 0))
		}
		must(idle.Append(bg, record("y")))
		require.Equal(t, []int64{0, 1, 2, 7}, offsets(t, lookup(t, open(t, crash(t, disk)), "idle", 0), 0))
	})
}
