package wal_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	wal "github.com/chronik-go/wal/core"
	"github.com/chronik-go/wal/core/backend/sim"
)

// A random log is damaged at random and repaired: it opens; every record whose bytes are
// whole is there, unchanged; what is missing is told; nothing is there that nobody wrote.
// Then it is written, damaged and repaired again.
func TestRepairProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWritten(t)
		for range rapid.IntRange(1, 3).Draw(t, "lives") {
			if !w.damageAndRepair(t) {
				return
			}
			w.open(t)
			for range rapid.IntRange(0, 20).Draw(t, "steps") {
				w.step(t)
			}
			w.end(t)
		}
	})
}

// damaged is a log before and behind its damage.
type damaged struct {
	batches []*diskBatch
	before  map[string][]byte
	disk    *sim.Disk
	known   map[string]bool // partitions whose names can still be read
}

// damageAndRepair returns false if nothing of the log is left.
func (w *written) damageAndRepair(t *rapid.T) (left bool) {
	d := &damaged{batches: batches(t, w.disk), before: map[string][]byte{}}
	for _, name := range w.disk.Files(dataDir) {
		d.before[name], _ = w.disk.ReadFile(dataDir + "/" + name)
	}
	for range rapid.IntRange(0, 3).Draw(t, "damages") {
		t.Log(w.spoil(t, w.disk))
	}
	d.disk = w.disk.Clone()
	d.known = knownNames(t, d.disk)
	d.findTorn(t)
	verified, err := wal.Verify(bg, dataDir, repairOptions(w.disk)...)
	if err != nil {
		require.ErrorIs(t, err, wal.ErrNotLog)
		return false
	}
	for _, f := range verified.Damage {
		t.Log(f.String())
	}
	w.readDamaged(t)
	report := w.repair(t, d, verified)
	again, err := wal.Verify(bg, dataDir, repairOptions(w.disk)...)
	if err != nil {
		require.ErrorIs(t, err, wal.ErrNotLog)
		return false
	}
	require.True(t, again.OK, "%v", again.Damage)
	m, err := wal.Open(dataDir, repairOptions(w.disk)...)
	require.NoError(t, err)
	for _, p := range w.parts {
		p.check(t, m, report, d)
	}
	require.NoError(t, m.Close())
	again, err = wal.Verify(bg, dataDir, repairOptions(w.disk)...)
	require.NoError(t, err)
	require.True(t, again.OK, "%v", again.Damage)
	w.retain(t)
	clear(w.old) // an older version of a rebuilt segment contradicts what was written since
	return true
}

// retain has retention drop what it can of a repaired log, on a copy. What the log says of its
// losses must not rest on segments that go.
func (w *written) retain(t *rapid.T) {
	disk := w.disk.Clone()
	values, lost := map[*writtenPart]map[int64]string{}, map[*writtenPart][]wal.PartitionSpan{}
	for range 3 {
		m, err := wal.Open(dataDir, repairOptions(disk)...)
		require.NoError(t, err)
		t.Cleanup(func() { _ = m.Close() })
		for _, p := range w.parts {
			part, err := m.Lookup(p.topic, p.id)
			if err != nil {
				continue
			}
			is, told := readAll(t, part)
			if values[p] != nil {
				require.Equal(t, values[p], is)
				require.Equal(t, lost[p], told)
			}
			require.NoError(t, part.TruncateBefore(bg, rapid.Int64Range(part.FirstOffset(), part.NextOffset()).Draw(t, "first")))
			must(part.Append(bg, big(3000, 'x')))
			values[p], lost[p] = readAll(t, part)
		}
		require.NoError(t, m.Close())
	}
}

// readDamaged reads the log as it is: there may be holes, but nothing that nobody wrote.
func (w *written) readDamaged(t *rapid.T) {
	m, err := wal.Open(dataDir, append(repairOptions(w.disk), wal.WithReadOnly(), wal.WithAllowDamage())...)
	if errors.Is(err, wal.ErrNotLog) {
		return
	}
	require.NoError(t, err)
	defer m.Close()
	for _, p := range w.parts {
		if part, err := m.Lookup(p.topic, p.id); err == nil {
			values, _ := readAll(t, part)
			for o, v := range values {
				require.Contains(t, p.ever[o], v, "%s/%d %d", p.topic, p.id, o)
			}
		}
	}
}

// repair repairs the log, dry first, and looks where the files went.
func (w *written) repair(t *rapid.T, d *damaged, verified *wal.Report) *wal.RepairReport {
	hash := w.disk.Hash()
	dry, err := wal.Repair(bg, dataDir, wal.RepairOptions{DryRun: true}, repairOptions(w.disk)...)
	require.NoError(t, err)
	require.Equal(t, hash, w.disk.Hash(), "a dry run changes nothing")
	report, err := wal.Repair(bg, dataDir, wal.RepairOptions{Quarantine: "/q"}, repairOptions(w.disk)...)
	for _, a := range report.Actions {
		t.Log(a)
	}
	require.NoError(t, err)
	require.Equal(t, verified.Damage, report.Damage)
	require.Equal(t, dry.Damage, report.Damage)
	w.requireKept(t, d.disk)
	return report
}

// requireKept demands that each file of a log is in its place, as it was, or in quarantine.
func (w *written) requireKept(t tester, old *sim.Disk) {
	var kept [][]byte
	for _, name := range w.disk.Files("/q") {
		kept = append(kept, must(w.disk.ReadFile("/q/"+name)))
	}
	for _, name := range old.Files(dataDir) {
		was, err := old.ReadFile(dataDir + "/" + name)
		if err != nil {
			continue
		}
		is, err := w.disk.ReadFile(dataDir + "/" + name)
		moved := slices.ContainsFunc(kept, func(b []byte) bool { return string(b) == string(was) })
		require.True(t, err == nil && string(is) == string(was) || moved, "%s is in quarantine", name)
	}
}

// findTorn marks the batches that may pass for a torn tail: those behind the first change in
// a segment whose end nothing tells any more.
func (d *damaged) findTorn(t *rapid.T) {
	torn := map[string]int64{}
	for name, open := range openEnds(t, d.disk) {
		if now, err := d.disk.ReadFile(dataDir + "/" + name); open && err == nil {
			torn[name] = firstDifference(d.before[name], now)
		}
	}
	for _, b := range d.batches {
		at, open := torn[b.segment]
		b.torn = open && b.dir[1] > at
	}
}

// whole tells whether a batch, its frame's header and directory are as they were.
func (d *damaged) whole(b *diskBatch) bool {
	before := d.before[b.segment]
	now, err := d.disk.ReadFile(dataDir + "/" + b.segment)
	return err == nil && !b.torn && same(before, now, b.header) && same(before, now, b.dir) && same(before, now, b.data)
}

// check compares a partition of a repaired log with what was written, and goes on from what
// is there.
func (p *writtenPart) check(t *rapid.T, m *wal.Manager, report *wal.RepairReport, d *damaged) {
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
	cutLost, movedLost := false, false
	for _, b := range d.batches {
		if b.topic != p.topic || b.partition != p.id {
			continue
		}
		whole := d.whole(b)
		cutLost, movedLost = cutLost || b.cut && !whole, movedLost || b.moved && !whole
		for o, v := range b.values {
			if whole && p.live[o] == v && d.known[fmt.Sprint(p.topic, p.id)] {
				require.Equal(t, v, values[o], "%s/%d %d in %s at %d is whole", p.topic, p.id, o, b.segment, b.header[0])
			}
		}
	}
	if !cutLost { // else what was truncated may be back: nothing tells
		p.checkTold(t, values, lost, report, next, movedLost)
	}
	p.live, p.first, p.next = values, first, next
}

// checkTold demands that what is missing is told, to readers or in the report, and that what
// is told is missing.
func (p *writtenPart) checkTold(
	t *rapid.T, values map[int64]string, lost []wal.PartitionSpan, report *wal.RepairReport, next int64, movedLost bool,
) {
	for o := range p.live {
		if values[o] == "" && o < next {
			told := within(report.Lost, p.topic, p.id, o) || within(lost, p.topic, p.id, o)
			require.True(t, told, "%s/%d %d is silently missing", p.topic, p.id, o)
		}
	}
	if movedLost {
		return // what an earlier repair gave up may have had a copy, which is lost now
	}
	for _, l := range lost {
		for o := l.From; o < l.To; o++ {
			_, live := p.live[o]
			require.True(t, !live || within(report.Lost, p.topic, p.id, o), "%s/%d %d is lost and not reported", p.topic, p.id, o)
		}
	}
}

func within(list []wal.PartitionSpan, topic string, id int32, offset int64) bool {
	return slices.ContainsFunc(list, func(s wal.PartitionSpan) bool {
		return s.Topic == topic && s.Partition == id && s.From <= offset && offset < s.To
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
