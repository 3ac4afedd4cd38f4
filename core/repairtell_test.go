package wal_test

import (
	"io/fs"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	wal "github.com/chronik-go/wal/core"
	"github.com/chronik-go/wal/core/backend"
	"github.com/chronik-go/wal/core/backend/sim"
)

// A quarantine that cannot be used is an error before anything is read or made.
func TestRepairChecksQuarantineFirst(t *testing.T) {
	disk := threePartitions(t, sim.Options{})
	require.NoError(t, disk.FlipBit(segmentFile(2), 9000, 1))
	require.NoError(t, disk.Mkdir(quarantine))
	hash := disk.Hash()
	for _, f := range []sim.Fault{
		{Op: sim.OpOpenDir, Name: "q"},
		{Op: sim.OpCreate, Name: "quarantine-probe*"},
	} {
		f.Err = fs.ErrPermission
		disk.Inject(f)
		report, err := wal.Repair(bg, dataDir, wal.RepairOptions{Quarantine: quarantine}, repairOptions(disk)...)
		require.ErrorIs(t, err, wal.ErrQuarantine)
		require.ErrorIs(t, err, fs.ErrPermission)
		require.Equal(t, 1, strings.Count(err.Error(), "quarantine /q"), "%v", err)
		require.Nil(t, report)
		require.Equal(t, hash, disk.Hash())
		disk.ClearFaults()
	}
}

// Where nothing has to be moved no quarantine is made.
func TestRepairWithoutQuarantine(t *testing.T) {
	disk := threePartitions(t, sim.Options{})
	require.NoError(t, disk.Delete(segmentFile(3)))
	report := repair(t, disk)
	require.Empty(t, report.Moved)
	_, err := disk.OpenDir(quarantine, backend.DirOptions{ReadOnly: true})
	require.ErrorIs(t, err, fs.ErrNotExist)
	require.Contains(t, report.Actions[0], "make it anew, it was missing; the entries with LSN ")
	require.Contains(t, report.Actions[0], " are lost; 3 entries say what is lost, as far as is known")
	require.Empty(t, report.LostEntries)
}

// Where a log has lost all its records nothing tells whose they were, but how many entries.
func TestRepairSaysWhatNobodyKnows(t *testing.T) {
	for _, dry := range []bool{true, false} {
		disk := newDisk(t, sim.Options{})
		m := open(t, disk)
		appendValues(t, partition(t, m, "t", 0), 2)
		require.NoError(t, m.Close())
		require.NoError(t, disk.Delete(segmentFile(1)))
		require.NoError(t, disk.WriteFile(segmentFile(1), []byte("foobar")))
		o := wal.RepairOptions{Quarantine: quarantine, DryRun: dry}
		report, err := wal.Repair(bg, dataDir, o, repairOptions(disk)...)
		require.NoError(t, err)
		require.Equal(t, []wal.LSNSpan{{First: 1, Last: 2}}, report.LostEntries)
		require.Empty(t, report.Lost)
		require.Equal(t, "00000000000000000001.wal: make it anew in place of the file that was there; the entries with LSN 1 to 2 are lost, "+
			"and nothing tells which partitions had them", report.Actions[len(report.Actions)-1])
		require.Equal(t, !dry, verify(t, disk).OK)
	}
}
