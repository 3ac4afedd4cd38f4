package wal_test

import (
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	wal "github.com/chronik-go/wal/core"
	"github.com/chronik-go/wal/core/backend/sim"
)

// gapCase makes a partition with declared gaps, and says where its records then are.
type gapCase struct {
	name string
	do   func(t *testing.T, p *wal.Partition, rotate func())
	want []int64 // offsets with records, from first on
	next int64
}

func appendAt(t *testing.T, p *wal.Partition, offset int64, n int) {
	t.Helper()
	var records []wal.Record
	for i := range n {
		records = append(records, valueAt(offset+int64(i)))
	}
	ack, err := p.AppendAt(bg, offset, records...)
	require.NoError(t, err)
	require.Equal(t, offset, ack.Offset())
	require.NoError(t, ack.Wait(bg))
}

var gapCases = []gapCase{
	{"gap at the start", func(t *testing.T, p *wal.Partition, rotate func()) {
		appendAt(t, p, 10, 2)
		rotate()
		appendAt(t, p, 12, 1)
	}, []int64{10, 11, 12}, 13},
	{"gap over a rotation", func(t *testing.T, p *wal.Partition, rotate func()) {
		appendAt(t, p, 0, 2)
		rotate()
		appendAt(t, p, 10, 2)
	}, []int64{0, 1, 10, 11}, 12},
	{"truncate before, in the gap", func(t *testing.T, p *wal.Partition, rotate func()) {
		appendAt(t, p, 0, 2)
		appendAt(t, p, 10, 2)
		rotate()
		require.NoError(t, p.TruncateBefore(bg, 5))
		require.EqualValues(t, 5, p.FirstOffset())
	}, []int64{10, 11}, 12},
	{"truncate after, in the gap", func(t *testing.T, p *wal.Partition, rotate func()) {
		appendAt(t, p, 0, 2)
		appendAt(t, p, 10, 2)
		require.NoError(t, p.TruncateAfter(bg, 5))
		rotate()
	}, []int64{0, 1}, 6},
	{"truncate after, in the gap, then append", func(t *testing.T, p *wal.Partition, rotate func()) {
		appendAt(t, p, 0, 2)
		appendAt(t, p, 10, 2)
		require.NoError(t, p.TruncateAfter(bg, 5))
		rotate()
		appendAt(t, p, 6, 1)
		rotate()
		require.NoError(t, p.TruncateBefore(bg, 4))
	}, []int64{6}, 7},
	{"both, nothing left", func(t *testing.T, p *wal.Partition, rotate func()) {
		appendAt(t, p, 0, 2)
		appendAt(t, p, 10, 2)
		require.NoError(t, p.TruncateAfter(bg, 5))
		rotate()
		require.NoError(t, p.TruncateBefore(bg, 4))
		require.EqualValues(t, 4, p.FirstOffset())
	}, nil, 6},
	{"the cut stands in a later segment than the gap", func(t *testing.T, p *wal.Partition, rotate func()) {
		appendAt(t, p, 10, 2)
		rotate()
		require.NoError(t, p.TruncateAfter(bg, 5))
	}, nil, 6},
}

// Declared gaps hold no record and are no damage, whichever segments are left, however
// the log is opened, and whether or not records were moved.
func TestGaps(t *testing.T) {
	for _, moveLimit := range []int64{0, 1} {
		for _, c := range gapCases {
			t.Run(c.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { c.check(t, moveLimit) })
			})
		}
	}
}

func (c gapCase) check(t *testing.T, moveLimit int64) {
	disk := newDisk(t, sim.Options{})
	m := open(t, disk, small, wal.WithMoveLimit(moveLimit))
	p, busy := partition(t, m, "t", 0), partition(t, m, "busy", 0)
	rotate := func() {
		for last := len(segments(t, m)); len(segments(t, m)) <= last; {
			appendValues(t, busy, 1)
		}
	}
	requireCase := func(m *wal.Manager) {
		t.Helper()
		p := lookup(t, m, "t", 0)
		first := p.FirstOffset()
		require.Equal(t, c.want, offsets(t, p, first))
		require.Equal(t, c.next, p.NextOffset())
		for from := first; from <= c.next; from++ { // a gap is stepped over
			want := c.want
			for len(want) > 0 && want[0] < from {
				want = want[1:]
			}
			if len(want) == 0 {
				want = nil
			}
			require.Equal(t, want, offsets(t, p, from))
		}
	}
	c.do(t, p, rotate)
	requireCase(m)
	requireCase(open(t, crash(t, disk)))
	for range 3 {
		rotate()
		require.NoError(t, busy.TruncateBefore(bg, busy.NextOffset()))
		synctest.Wait() // what can go is gone
		requireCase(m)
		requireCase(open(t, crash(t, disk)))
		require.NoError(t, m.Close())
		m = open(t, disk, small, wal.WithMoveLimit(moveLimit))
		busy = lookup(t, m, "busy", 0)
		requireCase(m)
	}
	require.Greater(t, segments(t, m)[len(segments(t, m))-1].Number, uint64(3))
	require.NoError(t, m.Close())
}
