package wal_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	wal "github.com/chronik-go/wal/core"
	"github.com/chronik-go/wal/core/backend/sim"
)

// After Close everything is refused, and closing again is harmless.
func TestClosedLog(t *testing.T) {
	disk := newDisk(t, sim.Options{})
	m := open(t, disk)
	p := partition(t, m, "t", 0)
	appendValues(t, p, 3)
	unused := partition(t, m, "unused", 0)
	require.NoError(t, m.Close())
	require.NoError(t, m.Close())
	before := disk.Hash()
	for _, p := range []*wal.Partition{p, unused} {
		_, err := p.Append(bg, record("x"))
		require.ErrorIs(t, err, wal.ErrClosed)
		_, err = p.AppendAsync(bg, record("x"))
		require.ErrorIs(t, err, wal.ErrClosed)
		_, err = p.AppendAt(bg, 10, record("x"))
		require.ErrorIs(t, err, wal.ErrClosed)
		require.ErrorIs(t, p.TruncateAfter(bg, p.NextOffset()-1), wal.ErrClosed)
	}
	require.ErrorIs(t, p.TruncateBefore(bg, 1), wal.ErrClosed)
	_, err := m.Append(bg, "t", 0, record("x"))
	require.ErrorIs(t, err, wal.ErrClosed)
	_, err = m.Partition("t", 0)
	require.ErrorIs(t, err, wal.ErrClosed)
	_, err = m.Lookup("t", 0)
	require.ErrorIs(t, err, wal.ErrClosed)
	require.ErrorIs(t, readError(p, 0), wal.ErrClosed)
	require.Equal(t, before, disk.Hash())
	require.EqualValues(t, 3, p.NextOffset())
	_ = m.Stats()
}

// Close waits for what was submitted: it is written, and acknowledged.
func TestCloseWritesWhatWasSubmitted(t *testing.T) {
	for _, mode := range []wal.FsyncMode{wal.FsyncAlways, wal.FsyncBatch, wal.FsyncPeriodic} {
		synctest.Test(t, func(t *testing.T) {
			disk := newDisk(t, sim.Options{Depth: 2})
			m := open(t, disk, wal.WithFsyncMode(mode), wal.WithBatchLimits(1<<20, 1<<20, time.Minute))
			p := partition(t, m, "t", 0)
			disk.Stall()
			var acks []wal.Ack
			for i := range int64(100) {
				ack, err := p.AppendAsync(bg, valueAt(i))
				require.NoError(t, err)
				acks = append(acks, ack)
			}
			closed := run(m.Close)
			synctest.Wait()
			_, err := p.Append(bg, record("too late"))
			require.ErrorIs(t, err, wal.ErrClosed)
			disk.Resume()
			require.NoError(t, <-closed)
			for _, ack := range acks {
				require.NoError(t, ack.Wait(bg))
			}
			requireValues(t, lookup(t, open(t, crash(t, disk)), "t", 0), 0, 100)
		})
	}
}
