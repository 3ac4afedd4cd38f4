package wal_test

import (
	"fmt"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	wal "github.com/chronik-go/wal/core"
	"github.com/chronik-go/wal/core/backend/sim"
)

// What a first repair said nothing of, since it was truncated, is missing once the truncation is lost too.
// The second repair says so in the segment that the first one made anew, and gives up nothing that is sound
// in it.
func TestLossThatAnEarlierRepairDidNotTell(t *testing.T) {
	disk := newDisk(t, sim.Options{})
	write := func(m *wal.Manager, id int32, records int) {
		p := partition(t, m, "t", id)
		var list []wal.Record
		for i := range records {
			list = append(list, wal.Record{Value: fmt.Appendf(nil, "%d/%d", id, int(p.NextOffset())+i)})
		}
		_, err := p.Append(bg, list...)
		require.NoError(t, err)
	}
	reopen := func(m *wal.Manager) *wal.Manager {
		require.NoError(t, m.Close())
		return open(t, disk)
	}
	m := open(t, disk)
	write(m, 0, 1)
	write(m, 1, 3)
	m = reopen(m)
	write(m, 0, 5)
	write(m, 1, 2)
	m = reopen(m)
	write(m, 2, 1)
	require.NoError(t, lookup(t, m, "t", 1).TruncateBefore(bg, 5))
	m = reopen(m)
	write(m, 2, 1)
	require.NoError(t, m.Close())

	require.NoError(t, disk.Truncate(segmentFile(1), 460))
	require.NoError(t, disk.Zero(segmentFile(2), 34, 4096))
	report := repair(t, disk)
	gone := []wal.PartitionSpan{{Topic: "t", Partition: 0, From: 0, To: 1}}
	require.Equal(t, gone, report.Lost, "what else is gone was truncated")
	require.True(t, verify(t, disk).OK)

	at, n, err := footerRange(disk, 3)
	require.NoError(t, err)
	require.NoError(t, disk.Zero(segmentFile(3), 4096, at+n-4096))
	report = repair(t, disk)
	require.True(t, verify(t, disk).OK)
	m = open(t, disk, wal.WithReadOnly())
	values, lost := readAll(t, lookup(t, m, "t", 0))
	require.Len(t, values, 5, "%v", report.Actions)
	require.Equal(t, gone, lost)
	values, lost = readAll(t, lookup(t, m, "t", 1))
	require.Equal(t, map[int64]string{3: "1/3", 4: "1/4"}, values)
	require.Equal(t, []wal.PartitionSpan{{Topic: "t", Partition: 1, From: 0, To: 3}}, lost)
}

// That a gap was filled, and what filled it is lost, shows only where the segment that declares the gap is there too.
// Retention keeps that segment as long as the loss is to be told.
func TestLossInAFilledGapOutlivesRetention(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := newDisk(t, sim.Options{})
		with := func(do func(m *wal.Manager)) {
			m := open(t, disk)
			do(m)
			synctest.Wait() // retention is done
			require.NoError(t, m.Close())
		}
		with(func(m *wal.Manager) {
			appendValues(t, partition(t, m, "keeps the segment", 0), 1)
			p := partition(t, m, "t", 0)
			appendValues(t, p, 2)
			ack, err := p.AppendAt(bg, 4, record("behind a gap"))
			require.NoError(t, err)
			require.NoError(t, ack.Wait(bg))
		})
		with(func(m *wal.Manager) {
			p := lookup(t, m, "t", 0)
			require.NoError(t, p.TruncateAfter(bg, 1))
			appendValues(t, p, 4)
		})
		with(func(m *wal.Manager) {
			p := lookup(t, m, "t", 0)
			require.NoError(t, p.TruncateAfter(bg, 3))
			require.NoError(t, p.TruncateBefore(bg, 3))
			appendValues(t, p, 1)
		})
		require.NoError(t, disk.Delete(segmentFile(2)))
		repair(t, disk)
		with(func(m *wal.Manager) {
			require.NoError(t, lookup(t, m, "keeps the segment", 0).TruncateBefore(bg, 1))
		})
		require.Empty(t, verify(t, disk).Damage)
		with(func(m *wal.Manager) {
			values, lost := readAll(t, lookup(t, m, "t", 0))
			require.Equal(t, map[int64]string{4: "value 4"}, values)
			require.Equal(t, []wal.PartitionSpan{{Topic: "t", Partition: 0, From: 3, To: 4}}, lost)
			require.NoError(t, lookup(t, m, "t", 0).TruncateBefore(bg, 4))
		})
		require.NotContains(t, names(disk, ".wal"), "00000000000000000001.wal", "it goes with the loss")
		require.Empty(t, verify(t, disk).Damage)
	})
}

// A segment says that more is lost below a partition's end than what one before it shows, and all LSNs between them are
// used: the loss is told before both. Nothing sound is given up.
func TestLossThatALaterSegmentTells(t *testing.T) {
	disk := newDisk(t, sim.Options{})
	with := func(do func(m *wal.Manager)) {
		m := open(t, disk)
		do(m)
		require.NoError(t, m.Close())
	}
	others := func(m *wal.Manager) { appendValues(t, partition(t, m, "others", 0), 1) }
	with(func(m *wal.Manager) {
		others(m)
		appendValues(t, partition(t, m, "t", 0), 5)
	})
	with(func(m *wal.Manager) {
		p := lookup(t, m, "t", 0)
		appendValues(t, p, 2)
		require.NoError(t, p.TruncateAfter(bg, 2))
	})
	with(func(m *wal.Manager) { appendValues(t, lookup(t, m, "t", 0), 4) })
	with(others)
	with(func(m *wal.Manager) {
		require.NoError(t, lookup(t, m, "t", 0).TruncateBefore(bg, 1))
		others(m)
	})
	require.NoError(t, disk.Delete(segmentFile(3)))
	require.Equal(t, []wal.PartitionSpan{{Topic: "t", Partition: 0, From: 3, To: 7}}, repair(t, disk).Lost)
	with(func(m *wal.Manager) { appendValues(t, lookup(t, m, "t", 0), 2) })

	for number := 2; number <= 4; number++ {
		require.NoError(t, disk.Delete(segmentFile(number)))
	}
	report := repair(t, disk)
	m := open(t, disk)
	values, lost := readAll(t, lookup(t, m, "t", 0))
	require.Equal(t, map[int64]string{1: "value 1", 2: "value 2", 7: "value 7", 8: "value 8"}, values, "%v", report.Actions)
	require.Equal(t, int64(3), lost[0].From)
	require.Equal(t, int64(7), lost[len(lost)-1].To)
	values, _ = readAll(t, lookup(t, m, "others", 0))
	require.Len(t, values, 2, "the third is lost")
	require.NoError(t, m.Close())
	require.Empty(t, verify(t, disk).Damage)
}
