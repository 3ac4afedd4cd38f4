package wal_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	wal "github.com/chronik-go/wal/core"
	"github.com/chronik-go/wal/core/backend/sim"
	"github.com/chronik-go/wal/core/format"
)

// A segment has lost all its declarations, and its footer counts as none: the names in that are
// sound all the same, and with them the records are kept.
func TestRepairTakesNamesFromAFooterThatIsNone(t *testing.T) {
	for name, spoil := range map[string]func(t *testing.T, disk *sim.Disk){
		"padding": func(t *testing.T, disk *sim.Disk) {
			require.NoError(t, disk.Edit(segmentFile(1), func(b []byte) []byte {
				require.Zero(t, b[len(b)-format.TrailerSize-1])
				b[len(b)-format.TrailerSize-1] = 1
				return b
			}))
		},
		"another end": func(t *testing.T, disk *sim.Disk) {
			require.NoError(t, disk.Edit(dataDir+"/close.marker", func(b []byte) []byte {
				m, err := format.ReadMarker(b)
				require.NoError(t, err)
				m.End.Chain++
				format.PutMarker(b, m)
				return b
			}))
		},
	} {
		t.Run(name, func(t *testing.T) {
			disk := newDisk(t, sim.Options{Alignment: 4096})
			m := open(t, disk)
			appendValues(t, partition(t, m, "t", 7), 1)
			appendValues(t, partition(t, m, "t", 7), 1)
			require.NoError(t, m.Close())
			require.NoError(t, disk.Edit(segmentFile(1), func(b []byte) []byte {
				require.Equal(t, 1, spoilFrames(t, b, func(e format.Entry) bool { return e.Kind == format.KindDeclare }))
				return b
			}))
			spoil(t, disk)

			m = open(t, disk, wal.WithReadOnly(), wal.WithAllowDamage())
			values, lost := readAll(t, lookup(t, m, "t", 7))
			require.NoError(t, m.Close())
			require.Len(t, values, 2)
			require.Empty(t, lost)

			report, err := wal.Repair(bg, dataDir, wal.RepairOptions{Quarantine: quarantine}, wal.WithBackend(disk))
			require.NoError(t, err)
			require.Empty(t, report.Lost)
			m = open(t, disk)
			again, lost := readAll(t, lookup(t, m, "t", 7))
			require.Equal(t, values, again)
			require.Empty(t, lost)
			require.NoError(t, m.Close())
			require.True(t, verify(t, disk).OK)
		})
	}
}

// A footer counts as none for its padding alone, and nothing else tells where the segment ends:
// that it was written shows that its frames were durable. None passes for a torn tail.
func TestFooterWithDamagedPaddingTellsTheEnd(t *testing.T) {
	disk := newDisk(t, sim.Options{Alignment: 4096})
	m := open(t, disk)
	appendValues(t, partition(t, m, "t", 7), 1)
	require.NoError(t, m.Close())
	require.NoError(t, disk.Delete(dataDir+"/close.marker"))
	require.NoError(t, disk.Edit(segmentFile(1), func(b []byte) []byte {
		require.Equal(t, 1, spoilFrames(t, b, func(e format.Entry) bool { return e.Kind == format.KindDeclare }))
		b[len(b)-format.TrailerSize-1] = 1
		return b
	}))
	_, err := tryOpen(disk)
	require.ErrorIs(t, err, wal.ErrDamaged)
	report, err := wal.Repair(bg, dataDir, wal.RepairOptions{Quarantine: quarantine}, wal.WithBackend(disk))
	require.NoError(t, err)
	require.Empty(t, report.Lost)
	values, lost := readAll(t, lookup(t, open(t, disk), "t", 7))
	require.Equal(t, map[int64]string{0: "value 0"}, values)
	require.Empty(t, lost)
}

// A footer that counts as none for its padding is the only one to tell of a partition: what it says the partition
// held before is told as lost, where the segment before is gone too.
func TestFooterThatIsNoneTellsWhatWasBefore(t *testing.T) {
	disk := newDisk(t, sim.Options{Alignment: 4096})
	m := open(t, disk)
	appendValues(t, partition(t, m, "t", 7), 4)
	require.NoError(t, m.Close())
	m = open(t, disk)
	appendValues(t, partition(t, m, "t", 7), 2)
	require.NoError(t, m.Close())
	m = open(t, disk)
	appendValues(t, partition(t, m, "t", 8), 1)
	require.NoError(t, m.Close())
	require.NoError(t, disk.Truncate(segmentFile(1), 460))
	require.NoError(t, disk.Zero(segmentFile(2), 34, 4096))
	require.NoError(t, disk.Edit(segmentFile(2), func(b []byte) []byte {
		b[len(b)-format.TrailerSize-1] = 1
		return b
	}))
	gone := []wal.PartitionSpan{{Topic: "t", Partition: 7, From: 0, To: 4}}
	require.Equal(t, gone, repair(t, disk).Lost)
	m = open(t, disk)
	p := lookup(t, m, "t", 7)
	require.EqualValues(t, 0, p.FirstOffset())
	values, lost := readAll(t, p)
	require.Equal(t, map[int64]string{4: "value 4", 5: "value 5"}, values)
	require.Equal(t, gone, lost)
}
