package wal_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	wal "github.com/chronik-go/wal/core"
	"github.com/chronik-go/wal/core/backend/sim"
)

// transactions makes a log of n transactions, each a value in three partitions, and returns it as it
// is on a disk whose power failed, or after a clean close.
func transactions(t tester, n int, clean bool) *sim.Disk {
	t.Helper()
	disk := newDisk(t, sim.Options{})
	m := open(t, disk)
	for range n {
		commit(t, m, three(t, m))
	}
	after := crash(t, disk)
	require.NoError(t, m.Close())
	if clean {
		return disk
	}
	return after
}

// spoilValue damages the n-th batch of the first segment that has an offset.
func spoilValue(t tester, disk *sim.Disk, offset int64, n int) {
	t.Helper()
	for _, i := range dump(t, disk, 1) {
		if i.Kind != wal.DumpData || i.Entry.Base != offset {
			continue
		}
		if n == 0 {
			require.NoError(t, disk.FlipBit(segmentFile(1), i.Position+i.Length-1, 3))
			return
		}
		n--
	}
	require.Fail(t, "no such batch")
}

// What a crash leaves of the newest transaction is none of it, though the most of it is sound.
func TestTornTransactionIsDroppedWhole(t *testing.T) {
	for part := range 3 {
		disk := transactions(t, 3, false)
		spoilValue(t, disk, 2, part)
		m := open(t, disk)
		require.Positive(t, m.Stats().TornTailBytes)
		for _, p := range three(t, m) {
			requireValues(t, p, 0, 2)
		}
	}
}

// Damage to one part of a transaction that was durable is told as that. The other parts are kept:
// they were acknowledged, and nothing says that they are wrong.
func TestDamagedTransactionKeepsItsRest(t *testing.T) {
	for part := range int32(3) {
		disk := transactions(t, 3, true)
		spoilValue(t, disk, 1, int(part))
		report := verify(t, disk)
		require.Len(t, report.Damage, 1)
		require.Contains(t, report.Damage[0].Reason, "part of a transaction")
		lost := []wal.PartitionSpan{{Topic: "t", Partition: part, From: 1, To: 2}}
		require.Equal(t, lost, report.Damage[0].Partitions)
		m := open(t, disk, wal.WithReadOnly(), wal.WithAllowDamage())
		for id := range int32(3) {
			values, _ := readAll(t, lookup(t, m, "t", id))
			require.Equal(t, id != part, values[1] != "", "t/%d", id)
		}
		require.NoError(t, m.Close())

		require.Equal(t, lost, repair(t, disk).Lost)
		for _, item := range dump(t, disk, 1) {
			require.Empty(t, item.Error)
			if item.Kind == wal.DumpData && item.Entry.Base == 1 {
				require.Equal(t, part == 0 && item.Entry.Partition == 2 || part == 2 && item.Entry.Partition == 1,
					item.Entry.Transaction, "with t/%d lost, t/%d", part, item.Entry.Partition)
			}
		}
		m = open(t, disk)
		for id := range int32(3) {
			values, holes := readAll(t, lookup(t, m, "t", id))
			require.Equal(t, id == part, len(holes) > 0)
			require.Len(t, values, 3-len(holes))
		}
		commit(t, m, three(t, m))
		entries, holes := replayed(m)
		require.Empty(t, holes)
		require.Len(t, entries, 11)
		for _, e := range entries {
			require.Equal(t, string(valueAt(e.Offset).Value), string(e.Value))
		}
		require.NoError(t, m.Close())
	}
}

// Dump tells which batches are one transaction.
func TestDumpShowsTransactions(t *testing.T) {
	disk := transactions(t, 2, true)
	var marks []bool
	for _, item := range dump(t, disk, 0) {
		if item.Kind == wal.DumpData {
			marks = append(marks, item.Entry.Transaction)
		}
	}
	require.Equal(t, []bool{false, true, true, false, true, true}, marks)
}

// The batches of a transaction are sealed like any.
func TestTransactionsAreSealed(t *testing.T) {
	disk := newDisk(t, sim.Options{})
	m := open(t, disk, withKeys)
	commit(t, m, three(t, m))
	require.NoError(t, m.Close())
	var sealed []bool
	for _, item := range dump(t, disk, 0) {
		if item.Kind == wal.DumpData {
			sealed = append(sealed, item.Entry.Sealed)
		}
	}
	require.Equal(t, []bool{true, true, true}, sealed)
}
