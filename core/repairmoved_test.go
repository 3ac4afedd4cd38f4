package wal_test

import (
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	wal "github.com/chronik-go/wal/core"
	"github.com/chronik-go/wal/core/backend/sim"
	"github.com/chronik-go/wal/core/format"
)

// The oldest segment holds copies of lagging partitions' records and has lost its footer and
// all its declarations: what offsets the copies have they tell themselves. No record is lost;
// and where the header is lost too, and the copies of another partition, none but those.
func TestRepairOfCopiesWithoutDeclaration(t *testing.T) {
	for _, more := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			disk := newDisk(t, sim.Options{})
			oldest := copiesInOldest(t, disk)
			require.NoError(t, disk.Edit(oldest, func(b []byte) []byte {
				require.Positive(t, spoilFrames(t, b, func(e format.Entry) bool { return e.Kind == format.KindDeclare }))
				b[len(b)-1]++
				if more {
					clear(b[:format.HeaderSize])
					second := func(e format.Entry) bool { return e.Flags == format.FlagMoved && e.Partition == 2 && e.Base == 5 }
					require.Positive(t, spoilFrames(t, b, second))
				}
				return b
			}))
			report, err := wal.Repair(bg, dataDir, wal.RepairOptions{Quarantine: "/q"}, wal.WithBackend(disk))
			require.NoError(t, err)
			require.NotEmpty(t, report.Damage)
			var lost []wal.PartitionSpan
			if more {
				lost = append(lost, wal.PartitionSpan{Topic: "slow", Partition: 1, From: 5, To: 7})
			}
			require.Equal(t, lost, report.Lost)
			m := open(t, disk)
			requireSlow(t, lookup(t, m, "slow", 0), 5, 14)
			if p := lookup(t, m, "slow", 1); more {
				require.Equal(t, []int64{7, 8, 9, 10, 11, 12, 13}, offsets(t, p, 7))
			} else {
				requireSlow(t, p, 5, 14)
			}
		})
	}
}

// copiesInOldest writes a log and returns the path of its oldest segment: in it are copies of
// the records of two partitions, which stand nowhere else.
func copiesInOldest(t *testing.T, disk *sim.Disk) string {
	t.Helper()
	m := open(t, disk, small, aLittle)
	slow := []*wal.Partition{partition(t, m, "slow", 0), partition(t, m, "slow", 1)}
	busy := partition(t, m, "busy", 0)
	for _, p := range slow {
		appendSlow(t, p, 12)
		require.NoError(t, p.TruncateBefore(bg, 5))
	}
	moved := uint64(0)
	for moved == 0 || segments(t, m)[0].Number < moved {
		before := m.Stats().MovedBytes
		churn(t, busy, 60)
		if list := segments(t, m); moved == 0 && m.Stats().MovedBytes > before {
			moved = list[len(list)-1].Number
			appendSlow(t, slow[0], 1)
			appendSlow(t, slow[1], 1) // follows its copies
		}
	}
	appendValues(t, busy, 60)
	for _, p := range slow {
		appendSlow(t, p, 1) // tells its name once more, elsewhere
	}
	require.NoError(t, m.Close())
	return dataDir + "/" + names(disk, ".wal")[0]
}

// spoilFrames damages the header of each frame whose first entry matches, and returns how many
// there were.
func spoilFrames(t *testing.T, b []byte, match func(format.Entry) bool) (n int) {
	t.Helper()
	for at := format.HeaderSize; at+format.FrameHeaderSize <= len(b); at += format.MinAlignment {
		if !format.IsFrame(b[at:]) {
			continue
		}
		h, err := format.ReadFrameHeader(b[at:])
		require.NoError(t, err)
		entries, err := format.ReadDirectory(nil, h, b[at+int(h.DirectoryAt()):at+int(h.Length)])
		require.NoError(t, err)
		if match(entries[0]) {
			b[at+format.FrameHeaderSize-1]++
			n++
		}
	}
	return n
}

// Segments are missing before one that has lost its footer and all its declarations: what is
// missing stood before it, and all that is in it stays.
func TestRepairBehindMissingSegments(t *testing.T) {
	disk := threePartitions(t, sim.Options{})
	m := open(t, disk)
	third := segments(t, m)[2]
	require.Len(t, third.Partitions, 3)
	require.NoError(t, m.Close())
	require.NoError(t, disk.Delete(segmentFile(1)))
	require.NoError(t, disk.Delete(segmentFile(2)))
	require.NoError(t, disk.Edit(segmentFile(3), func(b []byte) []byte {
		require.Positive(t, spoilFrames(t, b, func(e format.Entry) bool { return e.Kind == format.KindDeclare }))
		b[len(b)-1]++
		return b
	}))
	report, err := wal.Repair(bg, dataDir, wal.RepairOptions{Quarantine: "/q"}, wal.WithBackend(disk))
	require.NoError(t, err)
	m = open(t, disk)
	for i, span := range third.Partitions {
		require.Equal(t, wal.PartitionSpan{Topic: span.Topic, Partition: span.Partition, To: span.From}, report.Lost[i])
		p := lookup(t, m, span.Topic, span.Partition)
		require.Len(t, offsets(t, p, span.From), int(p.NextOffset()-span.From))
	}
}
