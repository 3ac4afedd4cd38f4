package fuzz

import (
	"bytes"
	"maps"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	wal "github.com/chronik-go/wal/core"
	"github.com/chronik-go/wal/core/backend/sim"
)

// recover looks at a damaged log in every way and repairs it.
func (w *whole) recover(t *testing.T, disk *sim.Disk, displaced bool) {
	w.open(t, disk.Clone())
	found := w.openDespite(t, disk)
	report, err := wal.Verify(bg, dataDir, smallLog(disk)...)
	requireTyped(t, err)
	if err == nil && report.OK && w.marked(disk) {
		require.Equal(t, w.live, found, "verify finds nothing, and something is missing")
	}
	writeTo(t, disk.Clone())
	repair(t, disk, err == nil && report.OK)
	if !displaced {
		w.reread(t, disk, found)
	}
}

// marked tells whether the close marker is as it was: then the log knows what must be there.
func (w *whole) marked(disk *sim.Disk) bool {
	marker, err := disk.ReadFile(dataDir + "/close.marker")
	return err == nil && w.marker != nil && bytes.Equal(marker, w.marker)
}

// open opens the log as an application would: what is missing it says.
func (w *whole) open(t *testing.T, disk *sim.Disk) {
	m, err := wal.Open(dataDir, smallLog(disk)...)
	requireTyped(t, err)
	if err != nil {
		return
	}
	marked := w.marked(disk)
	found, err := w.read(t, m)
	if err == nil && marked {
		require.Equal(t, w.live, found, "opens and reads without error, and something is missing")
	}
	require.NoError(t, m.Close())
}

// openDespite opens the log despite its damage and returns what can be read.
func (w *whole) openDespite(t *testing.T, disk *sim.Disk) map[string]map[int64]string {
	m, err := wal.Open(dataDir, smallLog(disk, wal.WithReadOnly(), wal.WithAllowDamage())...)
	requireTyped(t, err)
	if err != nil {
		return nil
	}
	found, _ := w.read(t, m)
	require.NoError(t, m.Close())
	return found
}

// read reads all of a log: nothing in it is anything but what was appended there.
func (w *whole) read(t *testing.T, m *wal.Manager) (map[string]map[int64]string, error) {
	found := map[string]map[int64]string{}
	for _, info := range m.Partitions() {
		found[info.Topic+"/"+string(rune('0'+info.Partition))] = map[int64]string{}
	}
	err := readAll(t, m, func(p *wal.Partition, r wal.Record) {
		require.True(t, slices.Contains(w.ever[p.String()][r.Offset], string(r.Value)), "%v, offset %d: nobody appended %q", p, r.Offset, r.Value)
		found[p.String()][r.Offset] = string(r.Value)
	})
	return found, err
}

// reread demands of a repaired log that it still has what could be read before.
func (w *whole) reread(t *testing.T, disk *sim.Disk, before map[string]map[int64]string) {
	m, err := wal.Open(dataDir, smallLog(disk, wal.WithReadOnly())...)
	requireTyped(t, err)
	if err != nil {
		return
	}
	found, _ := w.read(t, m)
	require.NoError(t, m.Close())
	for name, records := range before {
		for offset, value := range records {
			require.Equal(t, value, found[name][offset], "%s, offset %d, was readable before the repair", name, offset)
		}
	}
}

// The logs that get damaged are sound, and hold what this test means them to hold.
func TestWholeLogsAreSound(t *testing.T) {
	for _, base := range bases {
		w := base.get(t)
		disk := w.disk.Clone()
		report, err := wal.Verify(bg, dataDir, smallLog(disk)...)
		require.NoError(t, err)
		require.True(t, report.OK, "%v", report.Damage)
		require.Equal(t, w.marker != nil, w.marked(disk))
		require.Equal(t, w.live, w.openDespite(t, disk))
		require.Len(t, w.live, 4)
		m, err := wal.Open(dataDir, smallLog(disk)...)
		require.NoError(t, err)
		list, err := m.Segments()
		require.NoError(t, err)
		require.Greater(t, len(list), 4)
		require.Greater(t, list[0].Number, uint64(1), "old segments are gone")
		for _, s := range list[1:] {
			require.GreaterOrEqual(t, len(s.Partitions), 3, s.Name)
		}
		names := slices.Sorted(maps.Keys(w.live))
		require.Equal(t, []string{"t/0", "t/1", "t/2", "t/3"}, names)
		require.NoError(t, m.Close())
	}
}
