package wal_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	wal "github.com/chronik-go/wal/core"
	"github.com/chronik-go/wal/core/backend/sim"
)

// A repair that a crash interrupts at any operation can be run again, and comes to the same
// end. What it takes out of the log is at each moment in its place or in quarantine.
func TestRepairCrash(t *testing.T) {
	kinds := map[string]func(d *sim.Disk) error{
		"frame and missing segments": func(d *sim.Disk) error {
			return errors.Join(d.FlipBit(segmentFile(2), 9000, 1), d.Delete(segmentFile(4)), d.Delete(segmentFile(5)))
		},
		"headers": func(d *sim.Disk) error {
			return errors.Join(d.Zero(segmentFile(1), 0, 5000), d.Zero(segmentFile(2), 0, 5000))
		},
		"first, last and marker": func(d *sim.Disk) error {
			return errors.Join(d.Delete(segmentFile(1)), d.Truncate(lastSegment(d), 4608), d.Zero(dataDir+"/close.marker", 0, 9))
		},
		"foreign files": func(d *sim.Disk) error {
			return errors.Join(d.WriteFile(segmentFile(2), must(d.ReadFile(segmentFile(3)))), d.Delete(segmentFile(4)), d.Fifo(segmentFile(4)))
		},
	}
	for name, damage := range kinds {
		t.Run(name, func(t *testing.T) {
			disk := threePartitions(t, sim.Options{})
			require.NoError(t, damage(disk))
			broken := disk.Clone()
			start := disk.Ops()
			report := repair(t, disk)
			durable := disk.Image(sim.Image{Mode: sim.DropAll})
			want := content(t, disk, report)
			require.Equal(t, want, content(t, durable, report), "what a repair did is durable")
			states := 0
			seen := map[uint64]bool{}
			for state := range disk.Trace().CrashStates(sim.Explore{Seed: 1, From: start, Prefixes: 2, Holes: 1, Randoms: 2, Kill: true, Garbage: true}) {
				hash := state.Disk.Hash()
				if seen[hash] {
					continue
				}
				seen[hash] = true
				states++
				w := &written{disk: state.Disk}
				w.requireKept(t, broken)
				require.Equal(t, want, content(t, state.Disk, repair(t, state.Disk)), "crash at %d: %v", state.Point, state.Image)
				w.requireKept(t, broken)
				require.NoError(t, state.Disk.Misuse())
			}
			require.Greater(t, states, 20)
		})
	}
}

// content is all that readers get of a repaired log.
func content(t tester, disk *sim.Disk, _ *wal.RepairReport) string {
	t.Helper()
	require.True(t, verify(t, disk).OK)
	m, err := wal.Open(dataDir, append(repairOptions(disk), wal.WithReadOnly())...)
	require.NoError(t, err)
	defer m.Close()
	s := ""
	for _, i := range m.Partitions() {
		values, lost := readAll(t, lookup(t, m, i.Topic, i.Partition))
		s += fmt.Sprintf("%s/%d %d-%d %v %v\n", i.Topic, i.Partition, i.FirstOffset, i.NextOffset, lost, values)
	}
	return s
}
