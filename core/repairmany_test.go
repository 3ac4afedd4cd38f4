package wal_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	wal "github.com/chronik-go/wal/core"
	"github.com/chronik-go/wal/core/backend/sim"
	"github.com/chronik-go/wal/core/format"
)

// A file that has lost its header and whose name says that millions of segments are missing before it is not a reason
// to make them: the repair says that it leaves the damage, and changes nothing.
func TestRepairDoesNotMakeMillionsOfSegments(t *testing.T) {
	disk := threePartitions(t, sim.Options{})
	list := names(disk, ".wal")
	last := dataDir + "/" + list[len(list)-1]
	stray, err := disk.ReadFile(last)
	require.NoError(t, err)
	clear(stray[:format.HeaderSize])
	require.NoError(t, disk.Delete(last))
	require.NoError(t, disk.Delete(dataDir+"/close.marker"))
	require.NoError(t, disk.WriteFile(segmentFile(2_000_000), stray[:len(stray)-1]))
	before := disk.Hash()
	_, err = wal.Repair(bg, dataDir, wal.RepairOptions{Quarantine: "/q"}, wal.WithBackend(disk))
	require.ErrorIs(t, err, wal.ErrDamaged)
	require.ErrorContains(t, err, "too many")
	var damage *wal.DamageError
	require.ErrorAs(t, err, &damage)
	require.NotEmpty(t, damage.Damage)
	require.Equal(t, before, disk.Hash())
}
