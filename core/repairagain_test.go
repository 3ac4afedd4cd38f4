package wal_test

import (
	"fmt"
	"testing"

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
