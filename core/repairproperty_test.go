package wal_test

import (
	"fmt"
	"os"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	wal "github.com/chronik-go/wal/core"
	"github.com/chronik-go/wal/core/backend/sim"
)

func within(list []wal.PartitionSpan, topic string, id int32, offset int64) bool {
	return slices.ContainsFunc(list, func(s wal.PartitionSpan) bool {
		return s.Topic == topic && s.Partition == id && s.From <= offset && offset < s.To
	})
}

func TestRepairProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWritten(t)
		before := batches(t, w.disk)
		files := map[string][]byte{}
		for _, name := range w.disk.Files(dataDir) {
			files[name] = must(w.disk.ReadFile(dataDir + "/" + name))
		}
		disk := w.disk
		w.orig = disk.Clone()
		for range rapid.IntRange(1, 3).Draw(t, "damages") {
			t.Log(w.spoil(t, disk))
		}
		damaged := disk.Clone()
		ok := false
		defer func() {
			if !ok {
				dir := os.Getenv("RPFAIL")
				if dir == "" || exported {
					return
				}
				exported = true
				os.RemoveAll(dir)
				fmt.Println(w.orig.Export(dataDir, dir+"/orig"), damaged.Export(dataDir, dir+"/damaged"))
			}
		}()
		verified, err := wal.Verify(bg, dataDir, repairOptions(disk)...)
		if err != nil {
			require.ErrorIs(t, err, wal.ErrNotLog)
			ok = true
			return
		}
		for _, d := range verified.Damage {
			t.Log(d.String())
		}
		report, err := wal.Repair(bg, dataDir, wal.RepairOptions{Quarantine: "/q"}, repairOptions(disk)...)
		require.NoError(t, err)
		for _, a := range report.Actions {
			t.Log(a)
		}
		require.Equal(t, verified.Damage, report.Damage)
		again, err := wal.Verify(bg, dataDir, repairOptions(disk)...)
		if err != nil {
			require.ErrorIs(t, err, wal.ErrNotLog)
			ok = true
			return
		}
		require.True(t, again.OK, "%v", again.Damage)
		m, err := wal.Open(dataDir, repairOptions(disk)...)
		require.NoError(t, err)
		known := knownNames(t, damaged)
		torn := map[string]int64{} // where the tail of a segment with an open end may have been cut
		for name, open := range openEnds(t, damaged) {
			if now, err := damaged.ReadFile(dataDir + "/" + name); open && err == nil {
				torn[name] = firstDifference(files[name], now)
			}
		}
		before = slices.DeleteFunc(before, func(b *diskBatch) bool {
			at, open := torn[b.segment]
			return open && b.dir[1] > at
		})
		for _, p := range w.parts {
			w.checkRepaired(t, m, p, report, before, files, damaged, known[fmt.Sprint(p.topic, p.id)])
		}
		require.NoError(t, m.Close())
		again, err = wal.Verify(bg, dataDir, repairOptions(disk)...)
		require.NoError(t, err)
		require.True(t, again.OK, "%v", again.Damage)
		ok = true
	})
}

func firstDifference(a, b []byte) int64 {
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return int64(i)
		}
	}
	return int64(min(len(a), len(b)))
}

func (w *written) checkRepaired(t *rapid.T, m *wal.Manager, p *writtenPart, report *wal.RepairReport, before []*diskBatch, files map[string][]byte, damaged *sim.Disk, known bool) {
	values, lost := map[int64]string{}, []wal.PartitionSpan(nil)
	first, next := int64(0), int64(0)
	if part, err := m.Lookup(p.topic, p.id); err == nil {
		values, lost = readAll(t, part)
		first, next = part.FirstOffset(), part.NextOffset()
	}
	for o, v := range values {
		require.Contains(t, p.ever[o], v, "%s/%d %d", p.topic, p.id, o)
		require.False(t, within(report.Lost, p.topic, p.id, o), "%s/%d %d is reported lost", p.topic, p.id, o)
	}
	cutLost := false
	for _, b := range before {
		if b.topic != p.topic || b.partition != p.id {
			continue
		}
		now, err := damaged.ReadFile(dataDir + "/" + b.segment)
		if err != nil || !same(files[b.segment], now, b.header) || !same(files[b.segment], now, b.dir) || !same(files[b.segment], now, b.data) {
			cutLost = cutLost || b.cut
			continue
		}
		if !known {
			continue
		}
		for o, v := range b.values {
			if p.live[o] == v {
				require.Equal(t, v, values[o], "%s/%d %d in %s at %d is whole", p.topic, p.id, o, b.segment, b.header[0])
			}
		}
	}
	if cutLost {
		return // what was truncated may be back: nothing tells
	}
	for _, l := range lost {
		for o := l.From; o < l.To; o++ {
			// A gap beside lost records may be taken for lost too.
			_, live := p.live[o]
			require.True(t, !live || within(report.Lost, p.topic, p.id, o), "%s/%d %d is lost and not reported", p.topic, p.id, o)
		}
	}
	for o := range p.live {
		if values[o] == "" && o < next {
			require.True(t, within(report.Lost, p.topic, p.id, o), "%s/%d %d is missing (records %d to %d)", p.topic, p.id, o, first, next)
		}
	}
}

var exported bool
