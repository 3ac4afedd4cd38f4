package wal_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	wal "github.com/chronik-go/wal/core"
	"github.com/chronik-go/wal/core/backend/sim"
	"github.com/chronik-go/wal/core/format"
)

// A batch is lost into which the beginning of the partition was truncated. It had one LSN, so one
// entry has to say all that is lost; nothing else is given up.
func TestRepairOfABatchCutInTwo(t *testing.T) {
	for name, c := range map[string]struct {
		gap    int64 // below the batch; the declaration is lost too, or it would tell where that begins
		reopen bool  // what shows the loss is in another segment
		crash  bool
		footer bool
	}{
		"by a crash":         {crash: true},
		"in a closed log":    {},
		"with a footer":      {footer: true},
		"in another segment": {reopen: true},
		"behind a gap":       {gap: 2, reopen: true},
	} {
		t.Run(name, func(t *testing.T) {
			l := newPartition(t)
			appendAt(t, l.p, c.gap, 6-int(c.gap))
			require.NoError(t, l.p.TruncateBefore(bg, 3))
			if c.reopen {
				l.reopen()
			}
			appendValues(t, l.p, 2)
			appendValues(t, partition(t, l.m, "other", 0), 3)
			lost := func(e format.Entry) bool {
				return e.Partition == 1 && (e.Kind == format.KindData && e.Base == c.gap || c.gap > 0 && e.Kind == format.KindDeclare)
			}
			if c.crash {
				l.disk = crash(t, l.disk)
			}
			require.NoError(t, l.m.Close())
			if c.footer {
				require.Positive(t, l.spoilSome(1, lost))
			} else {
				require.Positive(t, l.spoil(1, lost))
			}
			report := repair(t, l.disk)
			require.Len(t, report.Moved, 1, "%v", report.Actions)
			want := []wal.PartitionSpan{{Topic: "t", From: 3, To: 6}}
			require.Equal(t, want, report.Lost)
			l.open()
			requireValues(t, lookup(t, l.m, "other", 0), 0, 3)
			values, told := readAll(t, l.p)
			require.Equal(t, want, told)
			require.Len(t, values, 2)
			require.NoError(t, l.m.Close())
		})
	}
}

// A repair knows of a truncation that later damage takes. What it said then must not ask for
// records that were truncated, or the next repair finds no place for them.
func TestRepairRemembersWhatWasTruncated(t *testing.T) {
	l := &gapped{t: t, disk: newDisk(t, sim.Options{})}
	l.m = open(t, l.disk)
	appendValues(t, partition(t, l.m, "other", 0), 3)
	l.p = partition(t, l.m, "t", 0)
	appendValues(t, l.p, 1)
	appendAt(t, l.p, 5, 6)
	l.reopen()
	appendValues(t, l.p, 3) // in a segment that declares that it begins with 0
	l.reopen()
	require.NoError(t, l.p.TruncateBefore(bg, 5))
	l.reopen()
	appendValues(t, l.p, 3)
	require.NoError(t, l.m.Close())
	require.Positive(t, l.spoil(1, func(e format.Entry) bool { return e.Partition == 2 }))
	require.Equal(t, []wal.PartitionSpan{{Topic: "t", From: 5, To: 11}}, repair(t, l.disk).Lost)
	for _, n := range []int{3, 4} {
		require.NoError(t, l.disk.Truncate(segmentFile(n), 1))
	}
	report := repair(t, l.disk)
	require.Len(t, report.Moved, 2, "%v", report.Actions)
	l.open()
	requireValues(t, lookup(t, l.m, "other", 0), 0, 3)
	require.EqualValues(t, 5, l.p.FirstOffset())
	require.NoError(t, l.m.Close())
}

// A repair gives up a batch whose beginning was truncated, and declares the partition from there.
// Where that declaration is damaged, what it gave up tells the same.
func TestRepairOfADeclarationOfARepair(t *testing.T) {
	l := newPartition(t)
	appendAt(t, l.p, 0, 2)
	appendValues(t, partition(t, l.m, "other", 0), 3)
	l.reopen()
	appendValues(t, lookup(t, l.m, "other", 0), 1)
	require.NoError(t, l.p.TruncateBefore(bg, 1))
	require.NoError(t, l.m.Close())
	lost := []wal.PartitionSpan{{Topic: "t", From: 1, To: 2}}
	require.Positive(t, l.spoil(1, func(e format.Entry) bool { return e.Partition == 1 }))
	require.Equal(t, lost, repair(t, l.disk).Lost)
	require.Equal(t, 1, l.spoil(1, func(e format.Entry) bool { return e.Kind == format.KindDeclare }))
	report := repair(t, l.disk)
	require.Len(t, report.Moved, 1, "%v", report.Actions)
	l.open()
	requireValues(t, lookup(t, l.m, "other", 0), 0, 4)
	_, told := readAll(t, l.p)
	require.Equal(t, lost, told)
	require.NoError(t, l.m.Close())
}

// A repair said nothing of a partition that had nothing left. Later damage asks for an entry where
// only the segment that it made has an LSN to spare.
func TestRepairFindsRoomInARepairedSegment(t *testing.T) {
	l := newPartition(t)
	appendValues(t, l.p, 1)
	appendValues(t, partition(t, l.m, "other", 0), 1)
	l.reopen()
	appendValues(t, l.p, 1)
	appendValues(t, lookup(t, l.m, "other", 0), 3)
	require.NoError(t, l.p.TruncateAfter(bg, -1))
	require.NoError(t, l.m.Close())
	require.NoError(t, l.disk.Truncate(segmentFile(1), 1))
	repair(t, l.disk)
	l.open()
	appendValues(t, l.p, 1)
	require.NoError(t, l.m.Close())
	require.Equal(t, 1, l.spoil(2, func(e format.Entry) bool { return e.Kind == format.KindDeclare && e.Partition == 1 }))
	repair(t, l.disk)
	l.open()
	requireValues(t, lookup(t, l.m, "other", 0), 1, 4)
	requireValues(t, l.p, 0, 1)
	require.NoError(t, l.m.Close())
}

// The first segment held nothing but a torn group and went. The log is whole all the same: what is
// lost at the beginning of the second one was its first entry.
func TestRepairOfALogWithoutItsFirstSegment(t *testing.T) {
	l := &gapped{t: t, disk: newDisk(t, sim.Options{})}
	l.m = open(t, l.disk)
	appendValues(t, partition(t, l.m, "t", 0), 1)
	l.disk = crash(t, l.disk)
	require.NoError(t, l.m.Close())
	require.Equal(t, 1, l.spoilSome(1, func(e format.Entry) bool { return e.Kind == format.KindDeclare }))
	l.m = open(t, l.disk)
	l.p = partition(t, l.m, "t", 0)
	appendValues(t, l.p, 3)
	l.reopen()
	appendValues(t, l.p, 1)
	require.NoError(t, l.m.Close())
	require.Equal(t, 2, l.spoil(2, func(e format.Entry) bool { return e.Kind == format.KindDeclare || e.Base == 0 }))
	require.Equal(t, []wal.PartitionSpan{{Topic: "t", To: 1}}, repair(t, l.disk).Lost)
	l.open()
	values, _ := readAll(t, l.p)
	require.Len(t, values, 3)
	require.NoError(t, l.m.Close())
}
