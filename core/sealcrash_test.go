package wal_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/chronik-go/wal/core/backend/sim"
)

// A footer that a killed process left may be in memory only, or the size it gave the file. The
// next writer, which trusts it, makes it durable: else a power failure after a clean close
// would take it, and Verify report a damage that nothing has done.
func TestPowerFailureAfterATrustedFooter(t *testing.T) {
	disk := newDisk(t, sim.Options{})
	m := open(t, disk, small)
	appendValues(t, partition(t, m, "t", 0), 150)
	require.NoError(t, m.Close())
	m = open(t, disk, small)
	appendValues(t, partition(t, m, "t", 0), 5)
	require.NoError(t, m.Close())
	for c := disk.Trace().Cursor(); ; {
		for seed := range uint64(2) {
			killed := c.Image(sim.Image{Mode: sim.Kill, Seed: seed, Torn: true})
			m, err := tryOpen(killed, small)
			require.NoError(t, err)
			appendValues(t, partition(t, m, "t", 0), 1)
			next := partition(t, m, "t", 0).NextOffset()
			require.NoError(t, m.Close())
			after := crash(t, killed)
			report := verify(t, after)
			require.Empty(t, report.Damage, "kill at %v", c)
			require.Equal(t, next, report.Records)
		}
		if !c.Next() {
			return
		}
	}
}

// The close marker says that the segments that there were are sealed. While the writer that goes on has
// begun the next one and not taken the marker away yet, it says nothing of that one: a crash while
// its footer is being written is no damage.
func TestCloseMarkerSaysNothingOfLaterSegments(t *testing.T) {
	disk := newDisk(t, sim.Options{})
	m := open(t, disk, small)
	appendValues(t, partition(t, m, "t", 0), 5)
	require.NoError(t, m.Close())
	m = open(t, disk, small)
	appendValues(t, partition(t, m, "t", 0), 5)
	both := 0
	for c := disk.Trace().Cursor(); ; {
		image := c.Image(sim.Image{Mode: sim.KeepAll})
		if list := names(image, "close.marker"); len(list) > 0 && len(names(image, ".wal")) > 1 {
			both++
			m, err := tryOpen(image, small)
			require.NoError(t, err)
			require.NoError(t, m.Close())
			for again := image.Trace().Cursor(); ; {
				require.Empty(t, verify(t, again.Image(sim.Image{Mode: sim.KeepAll})).Damage, "crash at %v, and at %v", c, again)
				if !again.Next() {
					break
				}
			}
		}
		if !c.Next() {
			break
		}
	}
	require.Positive(t, both, "a crash came between the next segment and the end of the marker")
	require.NoError(t, m.Close())
}

// A crash that tears a sector of a footer may leave one that differs from what it must be in a few bits only. That
// is no damage, and the log goes on; it is where the log was closed with that footer.
func TestTornFooterOfAFewBits(t *testing.T) {
	disk := newDisk(t, sim.Options{})
	m := open(t, disk, small)
	appendValues(t, partition(t, m, "t", 0), 150)
	require.NoError(t, m.Close())
	require.Greater(t, len(names(disk, ".wal")), 2)
	at, n, err := footerRange(disk, 2)
	require.NoError(t, err)
	for _, byteAt := range []int64{at, at + n/2, at + n - 1} {
		closed := disk.Clone()
		require.NoError(t, closed.FlipBit(segmentFile(2), byteAt, 3))
		torn := closed.Clone()
		require.NoError(t, torn.Delete(dataDir+"/close.marker"))

		report := verify(t, closed)
		require.Len(t, report.Damage, 1)
		require.Contains(t, report.Damage[0].String(), "footer has changed")
		report = verify(t, torn)
		require.Empty(t, report.Damage, "byte %d", byteAt)
		require.EqualValues(t, 150, report.Records)
		m := open(t, torn, small)
		appendValues(t, lookup(t, m, "t", 0), 1)
		require.NoError(t, m.Close())
		require.Empty(t, verify(t, torn).Damage)
	}
}
