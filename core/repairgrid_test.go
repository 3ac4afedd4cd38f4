package wal_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/chronik-go/wal/core/backend/sim"
)

// lostMiddle is a log of three segments and more whose second one gets lost, with what it did
// to the partition: it cut off the end, appended, cut again and raised the first offset.
type lostMiddle struct {
	gap    bool  // the first segment leaves a gap at 6 and 7
	keep   int64 // the last offset that the first cut keeps; -1: there is none
	skip   int64 // the gap before what is appended
	append int
	cut    int64 // how many offsets the second cut takes
	first  int64
}

func (c lostMiddle) String() string {
	return fmt.Sprintf("gap %v, cut behind %d, append %d behind a gap of %d, cut %d, first %d",
		c.gap, c.keep, c.append, c.skip, c.cut, c.first)
}

// Whatever a segment did that is lost as a whole: one repair is enough, what is sound stays, what
// is missing is told, and the report says what readers are told.
func TestRepairOfALostMiddle(t *testing.T) {
	for _, gap := range []bool{false, true} {
		for _, keep := range []int64{-1, 3, 5, 8, 9} {
			for _, skip := range []int64{0, 2, 6} {
				for _, n := range []int{0, 1, 3} {
					for _, cut := range []int64{0, 1, 2, 5} {
						for _, first := range []int64{0, 4, 7} {
							lostMiddle{gap, keep, skip, n, cut, first}.run(t)
						}
					}
				}
			}
		}
	}
}

func (c lostMiddle) run(t *testing.T) {
	t.Helper()
	l := &gapped{t: t, disk: sim.New(sim.Options{})}
	l.m = open(t, l.disk)
	l.p = partition(t, l.m, "t", 0)
	appendValues(t, l.p, 6)
	if c.gap {
		appendAt(t, l.p, 8, 4)
	} else {
		appendValues(t, l.p, 4)
	}
	l.reopen()
	c.middle(l)
	behind := l.p.NextOffset()
	for range 2 { // the first of them declares where the partition stands
		l.reopen()
		appendValues(t, l.p, 1)
	}
	want, _ := readAll(t, l.p)
	next := l.p.NextOffset()
	require.NoError(t, l.m.Close())
	require.NoError(t, l.disk.Truncate(segmentFile(2), 1))
	report := repair(t, l.disk)
	require.Len(t, report.Moved, 1, "%s: a sound segment is given up: %v", c, report.Actions)
	l.open()
	got, lost := readAll(t, l.p)
	require.Equal(t, next, l.p.NextOffset(), c.String())
	for o := l.p.FirstOffset(); o < next; o++ {
		told := within(report.Lost, "t", 0, o)
		require.Equal(t, told, within(lost, "t", 0, o), "%s: offset %d: reported and told to readers", c, o)
		// Where old records lie below the new end, nothing tells that the cut was below the gap.
		if want[o] != "" && !(c.gap && behind > 8 && behind <= 12) {
			require.True(t, told || got[o] != "", "%s: offset %d is silently missing", c, o)
		}
		if o >= behind {
			require.Equal(t, want[o], got[o], "%s: offset %d", c, o)
		}
	}
	require.NoError(t, l.m.Close())
}

// middle fills the segment that is to be lost.
func (c lostMiddle) middle(l *gapped) {
	appendValues(l.t, partition(l.t, l.m, "u", 0), 1)
	if c.keep >= 0 {
		require.NoError(l.t, l.p.TruncateAfter(bg, c.keep))
	}
	if c.append > 0 {
		appendAt(l.t, l.p, l.p.NextOffset()+c.skip, c.append)
	}
	if last := l.p.NextOffset() - 1 - c.cut; c.cut > 0 && last >= l.p.FirstOffset() {
		require.NoError(l.t, l.p.TruncateAfter(bg, last))
	}
	if c.first > 0 && c.first <= l.p.NextOffset() {
		require.NoError(l.t, l.p.TruncateBefore(bg, c.first))
	}
}

// A segment that is lost cut off records and left a gap that reaches below and beyond them. What
// declares the gap keeps them away.
func TestRepairOfAGapAcrossTheEnd(t *testing.T) {
	l := newPartition(t)
	appendValues(t, l.p, 10)
	l.reopen()
	require.NoError(t, l.p.TruncateAfter(bg, 4))
	appendAt(t, l.p, 16, 1)
	require.NoError(t, l.p.TruncateAfter(bg, 14))
	l.reopen()
	appendValues(t, l.p, 1)
	require.NoError(t, l.m.Close())
	require.NoError(t, l.disk.Truncate(segmentFile(2), 1))
	report := repair(t, l.disk)
	require.Empty(t, report.Lost)
	require.Len(t, report.Moved, 1)
	l.open()
	require.Equal(t, []int64{0, 1, 2, 3, 4, 15}, offsets(t, l.p, 0))
	require.NoError(t, l.m.Close())
}
