package wal_test

import (
	"path"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	wal "github.com/chronik-go/wal/core"
	"github.com/chronik-go/wal/core/backend/sim"
	"github.com/chronik-go/wal/core/format"
)

// A declared gap is cut off and filled with records, and damage takes both. What comes behind
// it, and tells of less gap than there was, shows that there were records: they are lost, and
// one repair is enough to say so.
func TestRepairOfAFilledGap(t *testing.T) { synctest.Test(t, testRepairOfAFilledGap) }

func testRepairOfAFilledGap(t *testing.T) {
	for name, behind := range map[string]func(t *testing.T, p *wal.Partition){
		"append":           func(t *testing.T, p *wal.Partition) { appendValues(t, p, 1) },
		"cut at the end":   func(t *testing.T, p *wal.Partition) { require.NoError(t, p.TruncateAfter(bg, p.NextOffset()-1)) },
		"cut of one":       func(t *testing.T, p *wal.Partition) { require.NoError(t, p.TruncateAfter(bg, p.NextOffset()-2)) },
		"start in the gap": func(t *testing.T, p *wal.Partition) { require.NoError(t, p.TruncateBefore(bg, p.NextOffset()-1)) },
	} {
		for _, filled := range []int{2, 4, 6} { // of the gap's four offsets; six reach beyond it
			for _, declared := range []bool{true, false} { // what is behind the damage, in another segment or not
				l := newGapped(t)
				appendValues(t, partition(t, l.m, "other", 0), 1) // keeps the segment
				l.reopen()
				require.NoError(t, l.p.TruncateAfter(bg, 5))
				appendAt(t, l.p, 6, filled) // one batch
				if declared {
					l.reopen()
				}
				next := l.p.NextOffset()
				behind(t, l.p)
				first, next := l.p.FirstOffset(), min(next, l.p.NextOffset())
				require.NoError(t, l.m.Close())
				if declared {
					require.NoError(t, l.disk.Truncate(segmentFile(2), 1))
				} else {
					require.Equal(t, 2, l.spoil(2, filling))
				}
				report, err := wal.Repair(bg, dataDir, wal.RepairOptions{Quarantine: "/q"}, wal.WithBackend(l.disk))
				require.NoError(t, err, "%s, %d filled", name, filled)
				l.open()
				lost := report.Lost
				if filled > 4 || !declared && !strings.HasPrefix(name, "cut") {
					first = 10 // nothing tells of the gap: only that entries are lost is known
				}
				told := func() {
					for o := max(first, 6); o < min(next, 10); o++ {
						require.Len(t, lost, 1, "%s, %d filled, declared %v: offset %d", name, filled, declared, o)
						require.True(t, lost[0].From <= o && o < lost[0].To, "%s, %d filled, declared %v: offset %d of %v %v", name, filled, declared, o, lost, report.Actions)
						var told *wal.LostError
						require.ErrorAs(t, readError(l.p, o), &told)
					}
				}
				told()
				if len(lost) > 0 {
					require.NoError(t, lookup(t, l.m, "other", 0).TruncateBefore(bg, 1))
					l.dropFirst()
					told()
				}
				require.NoError(t, l.m.Close())
			}
		}
	}
}

// What a repair has said of such a gap is no damage to the next repair: that one mends what is
// damaged elsewhere, and takes nothing that is sound.
func TestRepairAfterARepairedGap(t *testing.T) { synctest.Test(t, testRepairAfterARepairedGap) }

func testRepairAfterARepairedGap(t *testing.T) {
	l := newGapped(t)
	appendValues(t, partition(t, l.m, "other", 0), 1)
	appendValues(t, partition(t, l.m, "other", 0), 1)
	l.reopen()
	require.NoError(t, l.p.TruncateAfter(bg, 5))
	appendAt(t, l.p, 6, 4)
	require.NoError(t, l.p.TruncateAfter(bg, 8))
	appendValues(t, partition(t, l.m, "sound", 0), 1)
	require.NoError(t, l.m.Close())
	lost := wal.PartitionSpan{Topic: "t", From: 6, To: 9}
	require.Positive(t, l.spoil(2, filling))
	require.Equal(t, []wal.PartitionSpan{lost}, repair(t, l.disk).Lost)
	require.Positive(t, l.spoil(1, func(e format.Entry) bool { return e.Kind == format.KindData && e.Partition == 2 && e.Base == 0 }))
	require.Equal(t, []wal.PartitionSpan{{Topic: "other", To: 1}}, repair(t, l.disk).Lost)
	l.open()
	requireValues(t, lookup(t, l.m, "sound", 0), 0, 1)
	require.EqualValues(t, 9, l.p.NextOffset())
	var told *wal.LostError
	require.ErrorAs(t, readError(l.p, 6), &told)
	require.Equal(t, lost, told.PartitionSpan)
	require.NoError(t, lookup(t, l.m, "other", 0).TruncateBefore(bg, 2))
	l.dropFirst()
	require.ErrorAs(t, readError(l.p, 6), &told)
	require.Equal(t, lost, told.PartitionSpan)
}

// A gap that is smaller since its beginning was truncated, by an entry that is lost, had no
// records.
func TestRepairOfATruncatedGap(t *testing.T) {
	l := newGapped(t)
	appendValues(t, partition(t, l.m, "other", 0), 1) // keeps the segment
	l.reopen()
	require.NoError(t, l.p.TruncateAfter(bg, 7))
	require.NoError(t, l.p.TruncateBefore(bg, 7))
	l.reopen()
	appendValues(t, l.p, 1)
	require.NoError(t, l.m.Close())
	require.NoError(t, l.disk.Truncate(segmentFile(2), 1))
	require.Empty(t, repair(t, l.disk).Lost)
	l.open()
	require.Equal(t, []int64{8}, offsets(t, l.p, 7))
}

// A sound segment declares that records are lost. With the entry that said so first, the loss is
// not forgotten.
func TestRepairKeepsADeclaredLoss(t *testing.T) {
	l := newGapped(t)
	l.reopen()
	require.NoError(t, l.p.TruncateAfter(bg, 5))
	appendAt(t, l.p, 6, 4)
	l.reopen()
	require.NoError(t, l.p.TruncateAfter(bg, 8))
	require.NoError(t, l.m.Close())
	lost := []wal.PartitionSpan{{Topic: "t", From: 6, To: 9}}
	require.NoError(t, l.disk.Truncate(segmentFile(2), 1))
	require.Equal(t, lost, repair(t, l.disk).Lost)
	l.open()
	appendValues(t, l.p, 1) // in segment 4, which declares the loss
	require.NoError(t, l.m.Close())
	for _, n := range []int{2, 3} {
		require.NoError(t, l.disk.Truncate(segmentFile(n), 1))
	}
	require.Equal(t, lost, repair(t, l.disk).Lost)
	l.open()
	_, told := readAll(t, l.p)
	require.Equal(t, lost, told)
	require.NoError(t, l.m.Close())
}

// A sound segment declares a gap where records stood that were truncated. With the truncation
// lost they do not come back.
func TestRepairLeavesADeclaredGapEmpty(t *testing.T) {
	for _, behind := range []int{0, 5} {
		l := newPartition(t)
		appendValues(t, l.p, 10+behind)
		l.reopen()
		require.NoError(t, l.p.TruncateAfter(bg, 5))
		appendAt(t, l.p, 12, 1)
		require.NoError(t, l.p.TruncateAfter(bg, 9))
		l.reopen()
		appendValues(t, l.p, 1)
		require.NoError(t, l.m.Close())
		require.NoError(t, l.disk.Truncate(segmentFile(2), 1))
		require.Empty(t, repair(t, l.disk).Lost)
		l.open()
		require.Equal(t, []int64{0, 1, 2, 3, 4, 5, 10}, offsets(t, l.p, 0))
		require.NoError(t, l.m.Close())
	}
}

// A declared gap next to a loss stays one: readers are told what the report says, no more.
func TestRepairBesideAGap(t *testing.T) {
	for _, c := range []struct {
		name string
		cut  int64
		lose int64 // the base of the batch
		lost wal.PartitionSpan
	}{
		{"below it", 0, 5, wal.PartitionSpan{Topic: "t", From: 5, To: 6}},
		{"above what is left of it", 8, 10, wal.PartitionSpan{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := newGapped(t)
			if c.cut > 0 {
				require.NoError(t, l.p.TruncateAfter(bg, c.cut))
				appendValues(t, l.p, 1)
			}
			require.NoError(t, l.m.Close())
			require.Equal(t, 1, l.spoil(1, func(e format.Entry) bool { return e.Kind == format.KindData && e.Base == c.lose }))
			report := repair(t, l.disk)
			l.open()
			_, told := readAll(t, l.p)
			require.Equal(t, report.Lost, told)
			if c.lost.To > 0 {
				require.Equal(t, []wal.PartitionSpan{c.lost}, told)
			}
			require.NoError(t, l.m.Close())
		})
	}
}

// What declared a gap is lost, and a sound segment declares it again: only the records below it
// are lost, if there were any.
func TestRepairOfAGapDeclaredAgain(t *testing.T) {
	for records := range 3 {
		l := newGapped(t)
		l.reopen()
		appendValues(t, l.p, records)
		appendAt(t, l.p, 30, 1)
		require.NoError(t, l.p.TruncateAfter(bg, 29))
		l.reopen()
		appendValues(t, l.p, 1)
		require.NoError(t, l.m.Close())
		require.NoError(t, l.disk.Truncate(segmentFile(2), 1))
		var want []wal.PartitionSpan
		if records > 0 {
			want = []wal.PartitionSpan{{Topic: "t", From: 15, To: 15 + int64(records)}}
		}
		require.Equal(t, want, repair(t, l.disk).Lost)
		l.open()
		_, told := readAll(t, l.p)
		require.Equal(t, want, told)
		require.NoError(t, l.m.Close())
	}
}

// A reader beside the writer, which looks despite damage, misses a truncation. The next segment
// declares a gap where records stood: they are gone, and a follower is told.
func TestReaderMeetsADeclaredGap(t *testing.T) {
	for _, last := range []int64{9, 14} { // of the gap
		synctest.Test(t, func(t *testing.T) {
			l := newPartition(t)
			appendValues(t, l.p, 10)
			l.reopen()
			appendValues(t, partition(t, l.m, "u", 0), 1)
			ro := open(t, l.disk, wal.WithReadOnly(), wal.WithAllowDamage())
			q := lookup(t, ro, "t", 0)
			f := follow(bg, q, 0)
			synctest.Wait()
			require.NoError(t, l.p.TruncateAfter(bg, 4))
			appendAt(t, l.p, last+1, 1)
			require.NoError(t, l.p.TruncateAfter(bg, last))
			appendValues(t, partition(t, l.m, "u", 0), 1)
			l.reopen()
			appendValues(t, l.p, 1)
			require.Positive(t, l.spoilSome(2, func(e format.Entry) bool { return e.Partition == 1 }))
			require.NoError(t, ro.Refresh(bg))
			var truncated *wal.TruncatedError
			require.ErrorAs(t, <-f.done, &truncated)
			require.EqualValues(t, 5, truncated.GoOn)
			require.Equal(t, []int64{0, 1, 2, 3, 4, last + 1}, offsets(t, q, 0))
			require.NoError(t, ro.Close())
			require.NoError(t, l.m.Close())
		})
	}
}

// A repair that finds no declaration of a gap gives it up with what stood below it. An older segment
// declares the gap, and comes first once the one that says what is lost is gone.
func TestRepairedLossAcrossAGap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newPartition(t)
		other := func() { appendValues(t, partition(t, l.m, "other", 0), 1) }
		other()
		appendValues(t, l.p, 3)
		appendAt(t, l.p, 4, 1)
		require.NoError(t, l.p.TruncateAfter(bg, 3))
		l.reopen()
		appendAt(t, l.p, 4, 2)
		other()
		l.reopen()
		other()
		require.NoError(t, l.m.Close())
		damageCut := func(e format.Entry) bool { return e.Partition == 2 && e.Kind == format.KindData }
		require.Equal(t, 1, l.spoil(2, damageCut))
		repair(t, l.disk) // segment 2 declares the gap, and nothing more of the partition
		l.open()
		appendValues(t, l.p, 1)
		require.NoError(t, l.m.Close())
		require.NoError(t, l.disk.Delete(segmentFile(1)))
		repair(t, l.disk)
		require.Positive(t, l.spoilSome(4, func(e format.Entry) bool { return e.Kind == format.KindDeclare }))
		repair(t, l.disk)
		l.open()
		_, lost := readAll(t, l.p)
		require.NotEmpty(t, lost)
		require.NoError(t, lookup(t, l.m, "other", 0).TruncateBefore(bg, 1)) // segment 2 stays
		l.dropFirst()
		require.NoError(t, l.m.Close())
	})
}

// A gap behind a loss is filled, and what fills it is lost in turn.
func TestRepairOfAGapFilledBehindALoss(t *testing.T) {
	l := newGapped(t)
	require.NoError(t, l.m.Close())
	require.Equal(t, 1, l.spoil(1, func(e format.Entry) bool { return e.Kind == format.KindData && e.Base == 5 }))
	require.Equal(t, []wal.PartitionSpan{{Topic: "t", From: 5, To: 6}}, repair(t, l.disk).Lost)
	l.open()
	require.NoError(t, l.p.TruncateAfter(bg, 4))
	appendAt(t, l.p, 5, 5)
	l.reopen()
	appendValues(t, l.p, 1)
	require.NoError(t, l.m.Close())
	require.NoError(t, l.disk.Truncate(segmentFile(2), 1))
	require.Equal(t, []wal.PartitionSpan{{Topic: "t", From: 6, To: 10}}, repair(t, l.disk).Lost)
	l.open()
	_, told := readAll(t, l.p)
	require.Equal(t, []wal.PartitionSpan{{Topic: "t", From: 5, To: 10}}, told)
	require.NoError(t, l.m.Close())
}

// gapped is a log with the partition t/0. From newGapped it has the records 0 to 5 and 10 to 14,
// and between them a declared gap.
type gapped struct {
	t    *testing.T
	disk *sim.Disk
	m    *wal.Manager
	p    *wal.Partition
}

// newPartition is a log with a partition that has nothing yet.
func newPartition(t *testing.T) *gapped {
	t.Helper()
	l := &gapped{t: t, disk: newDisk(t, sim.Options{})}
	l.m = open(t, l.disk)
	l.p = partition(t, l.m, "t", 0)
	return l
}

func newGapped(t *testing.T) *gapped {
	t.Helper()
	l := newPartition(t)
	appendValues(t, l.p, 6)
	appendAt(t, l.p, 10, 5)
	return l
}

func (l *gapped) open() {
	l.t.Helper()
	l.m = open(l.t, l.disk)
	l.p = lookup(l.t, l.m, "t", 0)
}

// reopen has the next append begin another segment.
func (l *gapped) reopen() {
	l.t.Helper()
	require.NoError(l.t, l.m.Close())
	l.open()
}

// dropFirst has retention drop the segment that declares the gap; in a synctest bubble.
func (l *gapped) dropFirst() {
	l.t.Helper()
	require.NoError(l.t, l.p.TruncateBefore(bg, min(6, l.p.NextOffset())))
	for range 3 {
		appendValues(l.t, l.p, 1)
		synctest.Wait() // for the keeper
		l.reopen()
	}
	require.NotContains(l.t, l.disk.Files(dataDir), path.Base(segmentFile(1)))
}

// spoil damages a segment's footer, which would tell what is lost, and the frames whose first
// entry matches. It returns how many there were.
func (l *gapped) spoil(segment int, match func(format.Entry) bool) (n int) {
	l.t.Helper()
	require.NoError(l.t, l.disk.Edit(segmentFile(segment), func(b []byte) []byte {
		b[len(b)-1]++
		return b
	}))
	return l.spoilSome(segment, match)
}

// spoilSome damages just the frames.
func (l *gapped) spoilSome(segment int, match func(format.Entry) bool) (n int) {
	l.t.Helper()
	require.NoError(l.t, l.disk.Edit(segmentFile(segment), func(b []byte) []byte {
		n = spoilFrames(l.t, b, match)
		return b
	}))
	return n
}

// filling are the entries that cut the gap off, and fill it.
func filling(e format.Entry) bool { return e.Kind != format.KindDeclare && e.Base == 6 }
