package conformance

import (
	"github.com/stretchr/testify/require"

	wal "github.com/chronik-go/wal/core"
)

// gone is a segment that retention let go of.
type gone struct {
	segment  string
	recycled bool
}

func droppedTo(ev events[gone]) wal.Option {
	return wal.WithHooks(wal.Hooks{Dropped: func(segment string, recycled bool) { ev.add(gone{segment, recycled}) }})
}

func logRetention(t *T) {
	for _, limit := range []int{0, 1, 3} {
		e := t.engine(wal.WithRecycleLimit(limit))
		dropped := newEvents[gone]()
		m := e.openLog(droppedTo(dropped))
		p := e.part(m, "a", 0)
		e.fillLog(p, 1500, 0)
		list := e.segments(m)
		require.Greater(e, len(list), 6)
		keep := list[5]
		from := keep.Partitions[0].From
		require.NoError(e, p.TruncateBefore(e.ctx, from))
		recycled := 0
		for _, s := range list[:5] {
			g := await(e, dropped, "the drop of "+s.Name)
			require.Equal(e, s.Name, g.segment, "oldest first")
			if g.recycled {
				recycled++
			}
		}
		require.Equal(e, min(limit, 5), recycled)
		require.Equal(e, keep.Name, e.segments(m)[0].Name)
		e.holds(p, from, 1500, 0)
		for _, err := range p.Read(e.ctx, from-1) {
			require.ErrorIs(e, err, wal.ErrOffsetOutOfRange)
		}
		e.fillLog(p, 1500, 0)
		require.EqualValues(e, recycled, m.Stats().Recycled, "files that are used again")
		e.holds(p, from, 3000, 0)
		e.closeLog(m)
		e.sound(0)
		e.holds(e.known(e.openLog(), "a", 0), from, 3000, 0)
	}
}

func logMoves(t *T) {
	e := t.engine(wal.WithMoveLimit(100 << 10))
	m := e.openLog()
	slow, busy := e.part(m, "slow", 0), e.part(m, "busy", 0)
	e.fillLog(slow, 20, 0)
	require.NoError(e, slow.TruncateBefore(e.ctx, 5))
	for m.Stats().MovedBytes == 0 || e.segments(m)[0].Number == 1 { // until e.ctx ends
		e.fillLog(busy, 400, 0)
		require.NoError(e, busy.TruncateBefore(e.ctx, busy.NextOffset()))
	}
	end := busy.NextOffset()
	e.holds(slow, 5, 20, 0)
	e.fillLog(slow, 5, 0)
	e.holds(slow, 5, 25, 0)
	e.closeLog(m)
	e.sound(0)
	m = e.openLog()
	e.holds(e.known(m, "slow", 0), 5, 25, 0)
	e.holds(e.known(m, "busy", 0), end, end, 0)
}

func logTruncateAfter(t *T) {
	e := t.engine()
	m := e.openLog()
	p := e.part(m, "a", 0)
	e.fillLog(p, 900, 0)
	for life, at := range []int64{899, 898, 500, 499, 3, -1} {
		require.NoError(e, p.TruncateAfter(e.ctx, at))
		require.Equal(e, at+1, p.NextOffset())
		e.holds(p, 0, at+1, 0)
		e.fillLog(p, 30, life+1)
		e.holdsFrom(p, at+1, at+31, life+1)
		e.closeLog(m)
		e.sound(0)
		m = e.openLog()
		p = e.known(m, "a", 0)
		e.holdsFrom(p, at+1, at+31, life+1)
		require.NoError(e, p.TruncateAfter(e.ctx, at))
		e.holds(p, 0, at+1, 0)
	}
	require.ErrorIs(e, p.TruncateAfter(e.ctx, 0), wal.ErrOffsetOutOfRange)
}

// logRecycled has each segment stand in a file that another one has left behind, and looks at
// the log as it is at many moments.
func logRecycled(t *T) {
	t.needSystem()
	e := t.engine(wal.WithSegmentSize(wal.MinSegmentSize), wal.WithRecycleLimit(2))
	m := e.openLog()
	p := e.part(m, "a", 0)
	for m.Stats().Recycled < 6 { // until e.ctx ends
		for range 30 { // one a frame: frames of the next life of a file stand where old ones stood
			e.fillLog(p, 1, 0)
		}
		require.NoError(e, p.TruncateBefore(e.ctx, p.NextOffset()-3))
	}
	for range 40 {
		e.fillLog(p, 1, 0)
		killed := e.copyLog()
		after := killed.openLog()
		killed.holds(killed.known(after, "a", 0), p.FirstOffset(), p.NextOffset(), 0)
		killed.closeLog(after)
	}
}
