package wal_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	wal "github.com/chronik-go/wal/core"
	"github.com/chronik-go/wal/core/backend/sim"
)

// Where all headers are lost, close marker and first declarations too, the key's file tells which log
// this was: with an identity that is made up, its key would be one of another log. And what declares
// a partition later has no key with it: the batch behind it names it.
func TestKeyFileTellsWhichLogItIs(t *testing.T) {
	for name, c := range map[string]struct {
		lost   int // frames: a declaration, a batch, a declaration, three batches
		closed bool
		kept   bool // the name of the second partition
	}{
		"closed, first declaration":   {2, true, true},
		"closed, both declarations":   {3, true, true},
		"crashed, first declaration":  {2, false, true},
		"crashed, both declarations":  {3, false, false},
		"crashed, all but last batch": {5, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			disk := newDisk(t, sim.Options{})
			m := open(t, disk, withKeys)
			appendValues(t, partition(t, m, "t", 0), 1)
			second := partition(t, m, "t", 1)
			for range 3 {
				must(second.Append(bg, record("a secret")))
			}
			if c.closed {
				require.NoError(t, m.Close())
				require.NoError(t, disk.Delete(dataDir+"/close.marker"))
			} else {
				disk = crash(t, disk)
			}
			frames := framePositions(t, disk)
			require.Len(t, frames, 6)
			require.NoError(t, disk.Zero(segmentFile(1), 0, frames[c.lost]))

			repair(t, disk)
			require.True(t, verify(t, disk, withKeys).OK)
			m = open(t, disk, withKeys)
			if c.kept {
				values, _ := readAll(t, lookup(t, m, "t", 1))
				require.Equal(t, "a secret", values[2])
			}
			must(partition(t, m, "t", 1).Append(bg, record("behind")))
			require.NoError(t, m.Close())
		})
	}
}

// A key stands beside the first declaration of a frame alone. If that is lost, and the header, those
// behind it tell nothing of a key, and the batches do.
func TestBatchesTellTheKeyOfTheirSegment(t *testing.T) {
	keys := newTestKeys('k')
	disk := secretLog(t, keys)
	require.NoError(t, disk.Zero(segmentFile(2), 0, 4096))
	repair(t, disk) // declares all at once
	for _, i := range dump(t, disk, 2) {
		if i.Kind == wal.DumpDeclare {
			require.NoError(t, disk.Zero(segmentFile(2), i.Position, i.Length))
			break
		}
	}
	require.NoError(t, disk.Zero(segmentFile(2), 0, 4096))
	report := repair(t, disk)
	requireSecret(t, disk, keys, 40, func(id int32, offset int64) bool { return within(report.Lost, "t", id, offset) })
	require.Empty(t, report.Lost)
}

// framePositions lists where the frames of a log's only segment are.
func framePositions(t tester, disk *sim.Disk) (list []int64) {
	t.Helper()
	for _, i := range dump(t, disk, 0) {
		if i.Kind == wal.DumpFrame {
			list = append(list, i.Position)
		}
	}
	return list
}
