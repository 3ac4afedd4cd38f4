package wal_test

import (
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	wal "github.com/chronik-go/wal/core"
	"github.com/chronik-go/wal/core/backend/sim"
)

// Acknowledged after the write, durable after the interval, counted from the first record
// that is not: that is what a power failure can take.
func TestPeriodic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const interval = time.Second
		disk := newDisk(t, sim.Options{})
		m := open(t, disk, wal.WithFsyncMode(wal.FsyncPeriodic), wal.WithSyncInterval(interval))
		p := partition(t, m, "t", 0)
		for round := range int64(5) {
			start := round * 20
			appendValues(t, p, 10)
			require.Equal(t, start, p.DurableOffset())
			require.Equal(t, start+10, p.NextOffset())
			requireValues(t, p, 0, start+10)
			after := lookupOrNone(t, open(t, crash(t, disk)), "t", 0)
			require.Equal(t, start, after, "without a sync a power failure takes it all")
			time.Sleep(interval / 2)
			appendValues(t, p, 10)
			synctest.Wait()
			require.Equal(t, start, p.DurableOffset())
			time.Sleep(interval / 2)
			synctest.Wait()
			require.Equal(t, start+20, p.DurableOffset())
			require.Equal(t, start+20, m.Partitions()[0].DurableOffset)
			requireValues(t, lookup(t, open(t, crash(t, disk)), "t", 0), 0, start+20)
		}
		syncs := m.Stats().Syncs
		require.EqualValues(t, 5, syncs)
		time.Sleep(time.Hour / 2)
		require.Equal(t, syncs, m.Stats().Syncs, "there is nothing to sync")
	})
}

// lookupOrNone returns a partition's next offset, 0 if it does not exist.
func lookupOrNone(t tester, m *wal.Manager, topic string, id int32) int64 {
	t.Helper()
	p, err := m.Lookup(topic, id)
	if err != nil {
		require.ErrorIs(t, err, wal.ErrNoPartition)
		return 0
	}
	return p.NextOffset()
}

// Sync makes everything acknowledged before it durable, of all partitions; it waits for
// no interval.
func TestPeriodicSync(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := newDisk(t, sim.Options{Depth: 4})
		m := open(t, disk, wal.WithFsyncMode(wal.FsyncPeriodic), wal.WithSyncInterval(time.Hour), small)
		p, q := partition(t, m, "t", 0), partition(t, m, "t", 1)
		start := time.Now()
		for _, sync := range []func() error{
			func() error { return m.Sync(bg) }, func() error { return p.Sync(bg) }, func() error { return q.Sync(bg) },
			func() error { return p.TruncateBefore(bg, p.NextOffset()-1) },
			func() error { return q.TruncateAfter(bg, q.NextOffset()-1) },
		} {
			appendValues(t, p, 30)
			appendValues(t, q, 30)
			require.Less(t, q.DurableOffset(), q.NextOffset())
			require.NoError(t, sync())
			require.Equal(t, p.NextOffset(), p.DurableOffset())
			require.Equal(t, q.NextOffset(), q.DurableOffset())
			after := open(t, crash(t, disk))
			requireValues(t, lookup(t, after, "t", 0), p.FirstOffset(), p.NextOffset())
			requireValues(t, lookup(t, after, "t", 1), 0, q.NextOffset())
		}
		require.Zero(t, time.Since(start))
		require.NoError(t, m.Close())
		require.ErrorIs(t, m.Sync(bg), wal.ErrClosed)
	})
}

// Close syncs, rotation syncs: no segment is left behind with records that are not durable.
func TestPeriodicRotationSyncs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := newDisk(t, sim.Options{})
		m := open(t, disk, wal.WithFsyncMode(wal.FsyncPeriodic), wal.WithSyncInterval(time.Hour), small)
		p := partition(t, m, "t", 0)
		for p.NextOffset() < 100 {
			appendValues(t, p, 1)
			list := segments(t, m)
			if n := len(list); n > 1 {
				require.GreaterOrEqual(t, p.DurableOffset(), list[n-1].Partitions[0].From)
			}
		}
		require.Less(t, p.DurableOffset(), p.NextOffset())
		require.NoError(t, m.Close())
		requireValues(t, lookup(t, open(t, crash(t, disk)), "t", 0), 0, 100)
	})
}

// Records that take the place of truncated ones are not durable because those were.
func TestPeriodicTruncateAfter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := newDisk(t, sim.Options{})
		m := open(t, disk, wal.WithFsyncMode(wal.FsyncPeriodic), wal.WithSyncInterval(time.Hour))
		p := partition(t, m, "t", 0)
		appendValues(t, p, 10)
		require.NoError(t, p.Sync(bg))
		disk.Stall()
		cut := run(func() error { return p.TruncateAfter(bg, 4) })
		synctest.Wait()
		ack, err := p.AppendAsync(bg, record("new"), record("new"), record("new"))
		require.NoError(t, err)
		synctest.Wait()
		disk.Complete(1) // the truncation is written
		synctest.Wait()
		disk.Complete(1) // as are the records
		synctest.Wait()
		if p.NextOffset() == 8 {
			require.LessOrEqual(t, p.DurableOffset(), int64(5))
		}
		disk.Resume()
		require.NoError(t, <-cut)
		require.NoError(t, ack.Wait(bg))
		require.EqualValues(t, 8, p.NextOffset())
	})
}

// With a truncation still on its way a second one that finds nothing to do is not durable
// before the first.
func TestPeriodicTruncateBeforeTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := newDisk(t, sim.Options{})
		m := open(t, disk, wal.WithFsyncMode(wal.FsyncPeriodic), wal.WithSyncInterval(time.Hour))
		p := partition(t, m, "t", 0)
		appendValues(t, p, 10)
		require.NoError(t, p.Sync(bg))
		disk.Stall()
		first := run(func() error { return p.TruncateBefore(bg, 5) })
		synctest.Wait()
		disk.Complete(1)
		synctest.Wait()
		require.EqualValues(t, 5, p.FirstOffset(), "written, and not synced yet")
		second := run(func() error { return p.TruncateBefore(bg, 5) })
		synctest.Wait()
		select {
		case err := <-second:
			require.NoError(t, err)
			require.EqualValues(t, 5, lookup(t, open(t, crash(t, disk)), "t", 0).FirstOffset(), "it returned, so it is durable")
		default:
		}
		disk.Resume()
		require.NoError(t, <-first)
	})
}

// In the other modes what is acknowledged is durable, and Sync has nothing to do.
func TestDurableOffsetInOtherModes(t *testing.T) {
	for _, mode := range []wal.FsyncMode{wal.FsyncAlways, wal.FsyncBatch} {
		disk := newDisk(t, sim.Options{})
		m := open(t, disk, wal.WithFsyncMode(mode))
		p := partition(t, m, "t", 0)
		for i := range int64(5) {
			appendValues(t, p, 1)
			require.Equal(t, i+1, p.DurableOffset())
			require.Equal(t, i+1, m.Partitions()[0].DurableOffset)
			requireValues(t, lookup(t, open(t, crash(t, disk)), "t", 0), 0, i+1)
		}
		before := disk.Ops()
		require.NoError(t, m.Sync(bg))
		require.NoError(t, p.Sync(bg))
		require.Equal(t, before, disk.Ops())
		require.NoError(t, p.TruncateAfter(bg, 1))
		require.EqualValues(t, 2, p.DurableOffset())
		require.NoError(t, m.Close())
	}
}

// In mode periodic a full disk is no failure either: what is acknowledged is made durable,
// and appends work again once there is space.
func TestPeriodicOnFullDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := newDisk(t, sim.Options{})
		m := open(t, disk, wal.WithFsyncMode(wal.FsyncPeriodic), wal.WithSyncInterval(time.Hour))
		p := partition(t, m, "t", 0)
		appendValues(t, p, 10)
		disk.Inject(sim.Fault{Op: sim.OpWrite, Name: anySegment, Err: syscall.ENOSPC})
		_, err := p.Append(bg, record("x"))
		require.ErrorIs(t, err, wal.ErrNoSpace)
		require.NotErrorIs(t, err, wal.ErrFailed)
		require.EqualValues(t, 10, p.DurableOffset())
		requireValues(t, lookup(t, open(t, crash(t, disk)), "t", 0), 0, 10)
		appendValues(t, p, 10)
		require.NoError(t, p.Sync(bg))
		requireValues(t, lookup(t, open(t, crash(t, disk)), "t", 0), 0, 20)
		require.NoError(t, m.Close())
	})
}

// If that sync fails, what was acknowledged may be lost: the log has failed, and says nothing
// of it is durable.
func TestPeriodicOnFullDiskThatFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := newDisk(t, sim.Options{})
		m := open(t, disk, wal.WithFsyncMode(wal.FsyncPeriodic), wal.WithSyncInterval(time.Hour))
		p := partition(t, m, "t", 0)
		appendValues(t, p, 5)
		require.NoError(t, p.Sync(bg))
		appendValues(t, p, 5)
		disk.Inject(sim.Fault{Op: sim.OpWrite, Name: anySegment, Err: syscall.ENOSPC})
		disk.Inject(sim.Fault{Op: sim.OpSync, Name: anySegment, Gate: true})
		_, err := p.Append(bg, record("x"))
		require.ErrorIs(t, err, wal.ErrFailed)
		require.ErrorIs(t, p.Sync(bg), wal.ErrFailed)
		require.EqualValues(t, 5, p.DurableOffset())
		require.ErrorIs(t, m.Close(), wal.ErrFailed)
	})
}
