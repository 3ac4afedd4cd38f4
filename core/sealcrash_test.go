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
