package wal

import (
	"context"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/chronik-go/wal/core/backend/sim"
)

func openOnSim(t *testing.T, disk *sim.Disk, opts ...Option) *Manager {
	t.Helper()
	m, err := Open("/d", append(opts, WithBackend(disk), WithFsyncMode(FsyncAlways))...)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, m.Close()) })
	return m
}

func appendTimes(t *testing.T, p *Partition, seconds ...int64) {
	t.Helper()
	for _, s := range seconds {
		_, err := p.Append(context.Background(), Record{Timestamp: time.Unix(s, 0), Value: make([]byte, 100)})
		require.NoError(t, err)
	}
}

// A reader goes by the offsets that are visible and by the index and times of a segment. To a
// reader that is between the two, neither may be ahead: it would be sent behind records that a
// truncation replaces, or past ones that it has seen. A partition held by its reader stops
// what is new just before it is visible.
func TestVisibleInOneStep(t *testing.T) {
	ctx := context.Background()
	disk := sim.New(sim.Options{})
	p, err := openOnSim(t, disk).Partition("t", 0)
	require.NoError(t, err)
	appendTimes(t, p, 1, 2, 3, 4, 5)
	ro := openOnSim(t, disk, WithReadOnly())
	q, err := ro.Lookup("t", 0)
	require.NoError(t, err)
	appendTimes(t, p, 6)
	for _, x := range []struct {
		what   string
		p      *Partition
		change func() error
		time   int64 // of the newest record, then
	}{
		{"truncation", p, func() error { return p.TruncateAfter(ctx, 3) }, 6},
		{"append", p, func() error { _, err := p.Append(ctx, Record{Timestamp: time.Unix(9, 0)}); return err }, 9},
		{"refresh", q, func() error { return ro.Refresh(ctx) }, 9},
	} {
		seg := x.p.shard.segments.all()[0]
		end := seg.end.Load()
		done := make(chan error, 1)
		x.p.mu.RLock()
		go func() { done <- x.change() }()
		for seg.end.Load() == end { // which moves on while the rest is to come
			runtime.Gosched()
		}
		free, newest := seg.mu.TryLock(), seg.maxTime.Load()
		if free {
			seg.mu.Unlock()
		}
		x.p.mu.RUnlock()
		require.NoError(t, <-done)
		require.False(t, free, "%s: the index could be read", x.what)
		require.Equal(t, time.Unix(x.time, 0).UnixNano(), newest, x.what)
	}
}

// A cut that comes while a reader looks for its next record is told before anything that was
// appended behind it.
func TestCutBeforeWhatIsBehindIt(t *testing.T) {
	ctx := context.Background()
	p, err := openOnSim(t, sim.New(sim.Options{})).Partition("t", 0)
	require.NoError(t, err)
	appendTimes(t, p, 1, 2, 3)
	c := newCursor(p, 0)
	defer c.close()
	for range 3 {
		_, err := c.record()
		require.NoError(t, err)
	}
	require.NoError(t, p.TruncateAfter(ctx, 0))
	appendTimes(t, p, 4, 5, 6)
	var truncated *TruncatedError
	require.ErrorAs(t, c.advance(), &truncated) // as record does when it has just looked
	require.EqualValues(t, 1, truncated.GoOn)
}

// A cut that comes while a reader reads a record, and before it has it, is told first: the
// record is truncated by then.
func TestCutWhileARecordIsRead(t *testing.T) {
	ctx := context.Background()
	disk := sim.New(sim.Options{})
	m := openOnSim(t, disk)
	p, err := m.Partition("t", 0)
	require.NoError(t, err)
	appendTimes(t, p, 1, 2, 3)
	require.NoError(t, m.Close()) // so that readers go to the file
	m = openOnSim(t, disk)
	p, err = m.Lookup("t", 0)
	require.NoError(t, err)
	<-p.shard.keeper.began // it reads too
	cut := false
	disk.BeforeOp(func(i sim.OpInfo) {
		if i.Op == sim.OpRead && !cut {
			cut = true
			require.NoError(t, p.TruncateAfter(ctx, 0))
			appendTimes(t, p, 4, 5, 6)
		}
	})
	defer disk.BeforeOp(nil)
	c := newCursor(p, 2)
	defer c.close()
	r, err := c.record()
	require.True(t, cut)
	var truncated *TruncatedError
	require.ErrorAs(t, err, &truncated, "got %v", r)
	require.EqualValues(t, 1, truncated.GoOn)
}
