package wal_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	wal "github.com/chronik-go/wal/core"
	"github.com/chronik-go/wal/core/backend/sim"
)

var withXXH64 = wal.WithChecksum(wal.ChecksumXXH64)

// checksumsOf are the kinds that the segments' headers state.
func checksumsOf(t tester, disk *sim.Disk) (kinds []wal.Checksum) {
	t.Helper()
	for _, name := range names(disk, ".wal") {
		data, err := disk.ReadFile(dataDir + "/" + name)
		require.NoError(t, err)
		kinds = append(kinds, mustHeader(t, data).Checksum)
	}
	return kinds
}

// One log may have segments of each kind, and is read and repaired as if it had one.
func TestChecksumOfEachSegment(t *testing.T) {
	disk := newDisk(t, sim.Options{})
	kinds := []wal.Checksum{wal.ChecksumXXH64, wal.ChecksumCRC32C, wal.ChecksumXXH64}
	for _, kind := range kinds {
		m := open(t, disk, wal.WithChecksum(kind))
		appendValues(t, partition(t, m, "t", 0), 10)
		requireValues(t, lookup(t, m, "t", 0), 0, lookup(t, m, "t", 0).NextOffset())
		require.NoError(t, m.Close())
	}
	require.Equal(t, kinds, checksumsOf(t, disk))
	require.True(t, verify(t, disk).OK)
	for _, i := range dump(t, disk, 0) {
		require.Empty(t, i.Error)
	}

	// The header of segment 1 and a batch of segment 3 are lost, which is all that is.
	require.NoError(t, disk.Zero(segmentFile(1), 0, 4096))
	for _, i := range dump(t, disk, 3) {
		if i.Kind == wal.DumpData && i.Entry.Base == 25 {
			require.NoError(t, disk.FlipBit(segmentFile(3), i.Position+3, 1))
		}
	}
	report := repair(t, disk)
	require.Equal(t, []wal.PartitionSpan{{Topic: "t", From: 25, To: 26}}, report.Lost)
	require.Equal(t, kinds, checksumsOf(t, disk), "guessed where the header is lost")
	require.True(t, verify(t, disk).OK)
	m := open(t, disk)
	values, _ := readAll(t, lookup(t, m, "t", 0))
	require.Len(t, values, 29)
}

// A header that is lost is guessed right from what is left, also where the first batches are bad.
func TestGuessedChecksum(t *testing.T) {
	disk := newDisk(t, sim.Options{})
	m := open(t, disk, withXXH64)
	appendValues(t, partition(t, m, "t", 0), 10)
	require.NoError(t, m.Close())
	require.NoError(t, disk.Zero(segmentFile(1), 0, 4096))
	var data []wal.DumpItem
	for _, i := range dump(t, disk, 1) {
		if i.Entry != nil {
			data = append(data, i)
		}
	}
	for _, i := range data[:4] { // the declaration too
		require.NoError(t, disk.FlipBit(segmentFile(1), i.Position, 0))
	}
	report := repair(t, disk)
	require.Equal(t, []wal.PartitionSpan{{Topic: "t", From: 0, To: 3}}, report.Lost)
	require.Equal(t, []wal.Checksum{wal.ChecksumXXH64}, checksumsOf(t, disk))
}

func TestInvalidChecksum(t *testing.T) {
	for _, kind := range []wal.Checksum{0, 3, 255} {
		_, err := tryOpen(newDisk(t, sim.Options{}), wal.WithChecksum(kind))
		require.ErrorIs(t, err, wal.ErrInvalid)
	}
}

// The engine's own tests of damage hold of the other checksum too.
func TestLogOfXXH64(t *testing.T) {
	for name, test := range map[string]func(*testing.T){
		"repair damage": TestRepairDamage,
		"repair frame":  TestRepairKeepsSoundBatchesOfAFrame,
		"flipped bits":  TestVerifyFindsEveryFlippedBit,
		"verify damage": TestVerifyDamage,
		"property":      TestRepairProperty,
		"recycled":      TestRecycledFramesStayDead,
		"replay":        TestReplayIsTheUnionOfPartitions,
	} {
		t.Run(name, func(t *testing.T) { withOptions(t, test, withXXH64) })
	}
}
