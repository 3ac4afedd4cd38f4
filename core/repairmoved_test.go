package wal_test

import (
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	wal "github.com/chronik-go/wal/core"
	"github.com/chronik-go/wal/core/backend/sim"
	"github.com/chronik-go/wal/core/format"
)

// The oldest segment holds copies of a lagging partition's records and has lost its footer and
// all its declarations: what offsets the copies have they tell themselves. No record is lost.
func TestRepairOfCopiesWithoutDeclaration(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := newDisk(t, sim.Options{})
		m := open(t, disk, small, aLittle)
		slow, busy := partition(t, m, "slow", 0), partition(t, m, "busy", 0)
		appendSlow(t, slow, 12)
		require.NoError(t, slow.TruncateBefore(bg, 5))
		moved := uint64(0)
		for moved == 0 || segments(t, m)[0].Number < moved {
			before := m.Stats().MovedBytes
			churn(t, busy, 60)
			if list := segments(t, m); moved == 0 && m.Stats().MovedBytes > before {
				moved = list[len(list)-1].Number
			}
		}
		appendValues(t, busy, 60)
		appendSlow(t, slow, 1) // tells its name once more, elsewhere
		require.NoError(t, m.Close())
		first := names(disk, ".wal")[0]
		require.NoError(t, disk.Edit(dataDir+"/"+first, func(b []byte) []byte {
			require.Positive(t, spoilDeclarations(t, b))
			b[len(b)-1]++
			return b
		}))
		report, err := wal.Repair(bg, dataDir, wal.RepairOptions{Quarantine: "/q"}, wal.WithBackend(disk))
		require.NoError(t, err)
		require.NotEmpty(t, report.Damage)
		require.Empty(t, report.Lost)
		requireSlow(t, lookup(t, open(t, disk), "slow", 0), 5, 13)
	})
}

// spoilDeclarations damages the header of each frame that holds nothing but declarations, and
// returns how many there were.
func spoilDeclarations(t *testing.T, b []byte) (n int) {
	t.Helper()
	for at := format.HeaderSize; at+format.FrameHeaderSize <= len(b); at += format.MinAlignment {
		if !format.IsFrame(b[at:]) {
			continue
		}
		h, err := format.ReadFrameHeader(b[at:])
		require.NoError(t, err)
		entries, err := format.ReadDirectory(nil, h, b[at+int(h.DirectoryAt()):at+int(h.Length)])
		require.NoError(t, err)
		if entries[0].Kind == format.KindDeclare {
			b[at+format.FrameHeaderSize-1]++
			n++
		}
	}
	return n
}
