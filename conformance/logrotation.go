package conformance

import (
	"time"

	"github.com/stretchr/testify/require"

	wal "github.com/chronik-go/wal/core"
)

func logRotationBySize(t *T) {
	e := t.engine()
	sealed := newEvents[string]()
	m := e.openLog(wal.WithHooks(wal.Hooks{Sealed: sealed.add}))
	p, q := e.part(m, "a", 0), e.part(m, "b", 1)
	for range 10 {
		e.fillLog(p, 50, 0)
		e.fillLog(q, 30, 0)
	}
	list := e.segments(m)
	require.Greater(e, len(list), 3)
	for range len(list) - 1 {
		await(e, sealed, "the seal of a segment")
	}
	list = e.segments(m)
	lsn := uint64(0)
	for i, s := range list {
		require.EqualValues(e, i+1, s.Number)
		require.Equal(e, lsn+1, s.FirstLSN, "the first LSN of %s", s.Name)
		require.LessOrEqual(e, s.Bytes, int64(64<<10), s.Name)
		lsn = s.LastLSN
		if i < len(list)-1 {
			require.Equal(e, "sealed", s.State, s.Name)
			require.Less(e, s.Size, s.Bytes+8<<10, "%s is cut behind its footer", s.Name)
		}
	}
	require.EqualValues(e, 800, lsn)
	e.holds(p, 0, 500, 0)
	e.holds(q, 0, 300, 0)
	e.closeLog(m)
	e.sound(0)
	m = e.openLog()
	e.holds(e.known(m, "a", 0), 0, 500, 0)
	e.holds(e.known(m, "b", 1), 0, 300, 0)
}

func logRotationByAge(t *T) {
	e := t.engine(wal.WithRotationAge(20 * time.Millisecond))
	sealed := newEvents[string]()
	m := e.openLog(wal.WithHooks(wal.Hooks{Sealed: sealed.add}))
	p := e.part(m, "a", 0)
	for n := range int64(4) {
		e.fillLog(p, 1, 0)
		await(e, sealed, "the seal of a segment that is old")
		require.Equal(e, "sealed", e.segments(m)[n].State)
	}
	require.Len(e, e.segments(m), 4, "a segment for each, and none without a record")
	e.holds(p, 0, 4, 0)
	e.closeLog(m)
	e.holds(e.known(e.openLog(), "a", 0), 0, 4, 0)
}

// sound demands that Verify finds nothing, and as many bytes of a torn tail as are expected.
func (e *engine) sound(tornTail int64) {
	e.Helper()
	report, err := wal.Verify(e.ctx, e.dir, e.opts...)
	require.NoError(e, err)
	require.True(e, report.OK, "%v", report.Damage)
	require.Equal(e, tornTail, report.TornTailBytes)
}

func logReopen(t *T) {
	for _, mode := range []wal.FsyncMode{wal.FsyncAlways, wal.FsyncBatch, wal.FsyncPeriodic} {
		e := t.engine(wal.WithFsyncMode(mode))
		total := int64(0)
		for round := range 5 {
			m := e.openLog()
			require.Zero(e, m.Stats().TornTailBytes)
			p := e.part(m, "a", 0)
			e.holds(p, 0, total, 0)
			n := 1 + 70*round
			e.fillLog(p, n, 0)
			total += int64(n)
			// What is submitted when Close is called is written too.
			ack, err := p.AppendAsync(e.ctx, logRecord(p, total, 0))
			require.NoError(e, err)
			e.closeLog(m)
			require.NoError(e, ack.Wait(e.ctx))
			total++
			e.sound(0)
			e.replays(total)
		}
	}
}

// replays demands that a Replay gives the records of partition a/0, each once.
func (e *engine) replays(total int64) {
	e.Helper()
	m := e.openLog(wal.WithReadOnly())
	p := e.known(m, "a", 0)
	next := int64(0)
	for x, err := range m.Replay(e.ctx) {
		require.NoError(e, err)
		require.NoError(e, sameRecord(p, x.Record, next, 0))
		next++
	}
	require.Equal(e, total, next, "records in a replay")
	e.closeLog(m)
}

func logModes(t *T) {
	for _, mode := range []wal.FsyncMode{wal.FsyncAlways, wal.FsyncBatch, wal.FsyncPeriodic} {
		// An interval that never ends: only Sync makes anything durable.
		e := t.engine(wal.WithFsyncMode(mode), wal.WithSyncInterval(time.Hour))
		m := e.openLog()
		p := e.part(m, "a", 0)
		for n := range int64(5) {
			e.fillLog(p, 1, 0)
			if mode == wal.FsyncPeriodic {
				require.Equal(e, n, p.DurableOffset(), "before the sync")
				syncs := m.Stats().Syncs
				require.NoError(e, p.Sync(e.ctx))
				require.Greater(e, m.Stats().Syncs, syncs)
			}
			require.Equal(e, n+1, p.DurableOffset(), mode)
		}
		e.closeLog(m)

		e = t.engine(wal.WithFsyncMode(mode), wal.WithSyncInterval(time.Millisecond))
		m = e.openLog()
		p = e.part(m, "a", 0)
		e.fillLog(p, 10, 0)
		require.True(e, e.eventually(func() bool { return p.DurableOffset() == 10 }), "the clock syncs in mode %v", mode)
	}
}
