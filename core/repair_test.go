package wal_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	wal "github.com/chronik-go/wal/core"
	"github.com/chronik-go/wal/core/backend/sim"
)

const quarantine = "/q"

func repair(t tester, disk *sim.Disk) *wal.RepairReport {
	t.Helper()
	report, err := wal.Repair(bg, dataDir, wal.RepairOptions{Quarantine: quarantine}, repairOptions(disk)...)
	require.NoError(t, err)
	return report
}

// requireRepaired demands that a log of threePartitions, once repaired, holds all its records
// but those that are reported lost, and goes on from there. It returns how many are lost.
func requireRepaired(t tester, disk *sim.Disk, report *wal.RepairReport) (lost int) {
	t.Helper()
	require.True(t, verify(t, disk).OK)
	m, err := wal.Open(dataDir, repairOptions(disk)...)
	require.NoError(t, err)
	var declared []wal.PartitionSpan
	for id := range int32(3) {
		p := lookup(t, m, "t", id)
		values, holes := readAll(t, p)
		declared = append(declared, holes...)
		for o := range p.NextOffset() {
			if within(report.Lost, "t", id, o) {
				require.True(t, within(holes, "t", id, o), "readers are told that t/%d %d is lost", id, o)
				require.NotContains(t, values, o)
				lost++
				continue
			}
			require.Equal(t, string(value60(id, o).Value), values[o], "t/%d %d", id, o)
		}
		lost += 60 - int(p.NextOffset()) // the newest, of which nothing is left
		next := p.NextOffset()
		got, err := p.Append(bg, record("behind the repair"))
		require.NoError(t, err)
		require.Equal(t, next, got)
	}
	require.NoError(t, m.Close())
	after := verify(t, disk)
	require.True(t, after.OK)
	require.Equal(t, declared, after.DeclaredLost, "what readers are told is lost is listed")
	return lost
}

func TestRepairDamage(t *testing.T) {
	for _, d := range damages() {
		t.Run(d.name, func(t *testing.T) {
			disk := threePartitions(t, sim.Options{})
			d.do(t, disk)
			before := verify(t, disk)
			require.Empty(t, before.DeclaredLost, "damage is not declared")
			broken := disk.Clone()
			report := repair(t, disk)
			require.Equal(t, before.Damage, report.Damage)
			require.NotEmpty(t, report.Actions)
			w := &written{disk: disk}
			w.requireKept(t, broken)
			lost := requireRepaired(t, disk, report)
			switch {
			case d.lost != "":
				require.Positive(t, lost)
				require.Less(t, lost, 60)
			case d.name != "last missing":
				require.Zero(t, lost, "nothing that is whole is lost")
			}
			again := repair(t, disk)
			require.Empty(t, again.Damage)
			require.Empty(t, again.Actions)
		})
	}
}

// oneFrame makes a closed log with a frame of many batches, and one of the records behind it,
// and flips a bit in the batch of offset 15. It returns where that lies.
func oneFrame(t tester, behind ...wal.Record) (disk *sim.Disk, damaged wal.DumpItem) {
	t.Helper()
	disk = newDisk(t, sim.Options{})
	m, err := wal.Open(dataDir, append(repairOptions(disk),
		wal.WithFsyncMode(wal.FsyncBatch), wal.WithBatchLimits(1<<20, 20, time.Minute))...)
	require.NoError(t, err)
	p := partition(t, m, "t", 0)
	var acks []wal.Ack
	for i := range 20 {
		ack, err := p.AppendAsync(bg, record("value %d", i))
		require.NoError(t, err)
		acks = append(acks, ack)
	}
	for _, a := range acks {
		require.NoError(t, a.Wait(bg))
	}
	if len(behind) > 0 {
		_, err = p.AppendAsync(bg, behind...)
		require.NoError(t, err)
	}
	require.NoError(t, m.Close())
	entries := 0
	for _, i := range dump(t, disk, 1) {
		if i.Kind == wal.DumpFrame {
			entries = i.Frame.Entries
		}
		if i.Kind == wal.DumpData && i.Entry.Base == 15 {
			require.Greater(t, entries, 10)
			damaged = i
		}
	}
	require.NoError(t, disk.FlipBit(segmentFile(1), damaged.Position+damaged.Length/2, 2))
	return disk, damaged
}

// Of a frame with many batches only the damaged one is lost.
func TestRepairKeepsSoundBatchesOfAFrame(t *testing.T) {
	disk, damaged := oneFrame(t)
	report := repair(t, disk)
	require.Equal(t, []wal.PartitionSpan{{Topic: "t", Partition: 0, From: 15, To: 16}}, report.Lost)
	require.Len(t, report.Damage, 1)
	require.Equal(t, damaged.Position, report.Damage[0].Offset)
	require.Equal(t, damaged.Length, report.Damage[0].Length)
	m, err := wal.Open(dataDir, repairOptions(disk)...)
	require.NoError(t, err)
	values, holes := readAll(t, lookup(t, m, "t", 0))
	require.Len(t, values, 19)
	require.Equal(t, report.Lost, holes)
	require.NoError(t, m.Close())
}

// A rebuilt segment may be longer than the original, whose end its successor still names.
func TestRepairOfLongerRepaired(t *testing.T) {
	for _, behind := range [][]wal.Record{nil, {big(3000, 'x')}} { // its frame then lies across that end
		disk, _ := oneFrame(t, behind...)
		want := content(t, disk, repair(t, disk))
		require.NoError(t, zeroFooter(disk, 1))
		report := repair(t, disk)
		require.NotEmpty(t, report.Damage)
		require.Empty(t, report.Lost)
		require.Equal(t, want, content(t, disk, report))
	}
}

// A repair says nothing of records that were truncated later. Where that truncation is lost in
// turn, they are missing, and what is sound stays.
func TestRepairOfWhatDidNotMatter(t *testing.T) {
	l := newPartition(t)
	other := func() { appendValues(t, partition(t, l.m, "other", 0), 2) }
	appendValues(t, l.p, 20)
	other()
	require.NoError(t, l.p.TruncateBefore(bg, 5))
	l.reopen()
	appendValues(t, l.p, 3)
	other()
	l.reopen()
	require.NoError(t, l.p.TruncateAfter(bg, 4))
	appendValues(t, l.p, 10)
	l.reopen()
	appendValues(t, l.p, 1)
	require.NoError(t, l.m.Close())
	require.NoError(t, l.disk.Truncate(segmentFile(1), 1))
	require.Equal(t, []wal.PartitionSpan{{Topic: "other", To: 2}}, repair(t, l.disk).Lost)
	require.NoError(t, l.disk.Truncate(segmentFile(3), 1))
	require.Equal(t, []wal.PartitionSpan{{Topic: "t", From: 5, To: 15}}, repair(t, l.disk).Lost)
	l.open()
	requireValues(t, lookup(t, l.m, "other", 0), 2, 4)
	requireValues(t, l.p, 15, 16)
	require.NoError(t, l.m.Close())
}

// A segment that was rebuilt can be damaged in turn.
func TestRepairOfRepaired(t *testing.T) {
	for name, damage := range map[string]func(d *sim.Disk) error{
		"footer": func(d *sim.Disk) error { return zeroFooter(d, 2) },
		"header": func(d *sim.Disk) error { return d.Zero(segmentFile(2), 0, 4096) },
		"both":   func(d *sim.Disk) error { return errors.Join(zeroFooter(d, 2), d.Zero(segmentFile(2), 0, 4096)) },
		"declarations": func(d *sim.Disk) error {
			return d.Zero(segmentFile(2), 4096, 512)
		},
		"declarations and footer": func(d *sim.Disk) error {
			return errors.Join(zeroFooter(d, 2), d.Zero(segmentFile(2), 4096, 512))
		},
	} {
		t.Run(name, func(t *testing.T) {
			disk := threePartitions(t, sim.Options{})
			require.NoError(t, disk.Zero(segmentFile(2), 9000, 3000))
			first := repair(t, disk)
			want := content(t, disk, first)
			require.NoError(t, damage(disk))
			report := repair(t, disk)
			require.NotEmpty(t, report.Damage)
			require.Empty(t, report.Lost)
			require.Equal(t, want, content(t, disk, report))
		})
	}
}

func TestRepairDryRun(t *testing.T) {
	for _, d := range damages() {
		t.Run(d.name, func(t *testing.T) {
			disk := threePartitions(t, sim.Options{})
			d.do(t, disk)
			hash := disk.Hash()
			disk.ReadOnly(true)
			dry, err := wal.Repair(bg, dataDir, wal.RepairOptions{DryRun: true}, repairOptions(disk)...)
			require.NoError(t, err)
			require.Equal(t, hash, disk.Hash())
			disk.ReadOnly(false)
			report := repair(t, disk)
			require.Equal(t, report.Damage, dry.Damage)
			require.Equal(t, report.Lost, dry.Lost)
			require.Len(t, dry.Moved, len(report.Moved))
			b, err := json.Marshal(dry)
			require.NoError(t, err)
			for _, key := range []string{"damage", "actions", "lost", "moved"} {
				require.Contains(t, string(b), fmt.Sprintf("%q:", key))
			}
		})
	}
}

func TestRepairSoundLog(t *testing.T) {
	disk := threePartitions(t, sim.Options{})
	hash := disk.Hash()
	report := repair(t, disk)
	require.Empty(t, report.Damage)
	require.Empty(t, report.Actions)
	require.Empty(t, report.Moved)
	require.Equal(t, hash, disk.Hash())
}

func TestRepairErrors(t *testing.T) {
	disk := threePartitions(t, sim.Options{})
	require.NoError(t, disk.Delete(segmentFile(2)))
	hash := disk.Hash()
	_, err := wal.Repair(bg, dataDir, wal.RepairOptions{}, repairOptions(disk)...)
	require.ErrorIs(t, err, wal.ErrInvalid)
	_, err = wal.Repair(bg, "/none", wal.RepairOptions{Quarantine: quarantine}, repairOptions(disk)...)
	require.Error(t, err)
	_, err = wal.Repair(bg, dataDir, wal.RepairOptions{Quarantine: dataDir}, repairOptions(disk)...)
	require.ErrorIs(t, err, wal.ErrInvalid)
	_, err = wal.Repair(bg, dataDir, wal.RepairOptions{Quarantine: dataDir + "/a/b"}, repairOptions(disk)...)
	require.ErrorIs(t, err, wal.ErrInvalid, "it lies in the log")
	require.Equal(t, hash, disk.Hash())
	ctx, cancel := context.WithCancel(bg)
	cancel()
	_, err = wal.Repair(ctx, dataDir, wal.RepairOptions{Quarantine: quarantine}, repairOptions(disk)...)
	require.ErrorIs(t, err, context.Canceled)

	sound := threePartitions(t, sim.Options{})
	m, err := wal.Open(dataDir, repairOptions(sound)...)
	require.NoError(t, err)
	_, err = wal.Repair(bg, dataDir, wal.RepairOptions{Quarantine: quarantine}, repairOptions(sound)...)
	require.ErrorIs(t, err, wal.ErrLocked)
	require.NoError(t, m.Close())

	empty := newDisk(t, sim.Options{})
	require.NoError(t, empty.Mkdir(dataDir))
	_, err = wal.Repair(bg, dataDir, wal.RepairOptions{Quarantine: quarantine}, repairOptions(empty)...)
	require.ErrorIs(t, err, wal.ErrNotLog)
}

// A file of the same name in the quarantine stays; one of the same content will do.
func TestRepairQuarantineNames(t *testing.T) {
	disk := threePartitions(t, sim.Options{})
	require.NoError(t, disk.Mkdir(quarantine))
	name := "00000000000000000002.wal"
	require.NoError(t, disk.WriteFile(quarantine+"/"+name, []byte("something else")))
	require.NoError(t, disk.FlipBit(segmentFile(2), 9000, 1))
	damaged := must(disk.ReadFile(segmentFile(2)))
	report := repair(t, disk)
	require.Equal(t, []string{quarantine + "/" + name + ".1"}, report.Moved)
	require.Equal(t, "something else", string(must(disk.ReadFile(quarantine+"/"+name))))
	require.Equal(t, damaged, must(disk.ReadFile(report.Moved[0])))

	require.NoError(t, disk.WriteFile(segmentFile(2), damaged))
	require.Equal(t, report.Moved, repair(t, disk).Moved)
	require.Len(t, disk.Files(quarantine), 2)
}

// Each log of a directory with several is repaired.
func TestRepairShards(t *testing.T) {
	for name, opt := range map[string]wal.Option{
		"shards": wal.WithShards(3), "dedicated": wal.WithLayout(wal.LayoutDedicated),
	} {
		t.Run(name, func(t *testing.T) {
			disk := newDisk(t, sim.Options{})
			m := open(t, disk, opt)
			for id := range int32(6) {
				appendValues(t, partition(t, m, "t", id), 30)
			}
			require.NoError(t, m.Close())
			damaged := 0
			for _, dir := range disk.Files(dataDir) {
				path := dataDir + "/" + dir + "/00000000000000000001.wal"
				if b, err := disk.ReadFile(path); err == nil && len(b) > 9000 {
					require.NoError(t, disk.Zero(path, 8192, 512))
					damaged++
				}
			}
			require.Positive(t, damaged)
			require.Len(t, verify(t, disk).Damage, damaged)
			report := repair(t, disk)
			require.Len(t, report.Moved, damaged)
			require.Len(t, report.Lost, damaged)
			for _, moved := range report.Moved {
				require.Contains(t, moved, quarantine+"/"+strings.TrimSuffix(name, "s"))
			}
			m = open(t, disk, opt)
			total := 0
			for id := range int32(6) {
				values, _ := readAll(t, lookup(t, m, "t", id))
				total += len(values)
			}
			require.Equal(t, 180-damaged, total)
			require.NoError(t, m.Close())
		})
	}
}

// What a repair says is lost is kept as long as it matters, and lets go of its segment then.
func TestRepairedLossOutlivesRetention(t *testing.T) {
	disk := threePartitions(t, sim.Options{})
	require.NoError(t, disk.Delete(segmentFile(1)))
	report := repair(t, disk)
	require.Len(t, report.Lost, 3)
	m, err := wal.Open(dataDir, repairOptions(disk)...)
	require.NoError(t, err)
	lost := report.Lost[0]
	for id := range int32(3) { // the keeper looks for segments to drop
		require.NoError(t, lookup(t, m, "t", id).TruncateBefore(bg, 2))
		appendValues(t, partition(t, m, "u", id), 40)
	}
	require.NoError(t, m.Close())
	m, err = wal.Open(dataDir, repairOptions(disk)...)
	require.NoError(t, err)
	p := lookup(t, m, "t", 0)
	_, holes := readAll(t, p)
	require.Equal(t, []wal.PartitionSpan{{Topic: "t", Partition: 0, From: 2, To: lost.To}}, holes)
	require.Contains(t, disk.Files(dataDir), "00000000000000000001.wal")
	for id := range int32(3) {
		require.NoError(t, lookup(t, m, "t", id).TruncateBefore(bg, 55))
	}
	require.NoError(t, m.Close())
	m, err = wal.Open(dataDir, repairOptions(disk)...)
	require.NoError(t, err)
	p = lookup(t, m, "t", 0)
	_, holes = readAll(t, p)
	require.Empty(t, holes)
	require.NoError(t, p.TruncateBefore(bg, 56))
	require.NoError(t, m.Close())
	require.NotContains(t, disk.Files(dataDir), "00000000000000000001.wal")
	require.True(t, verify(t, disk).OK)
}

// Without space nothing is changed but what is done, and with space it can be run again.
func TestRepairWithoutSpace(t *testing.T) {
	disk := threePartitions(t, sim.Options{})
	require.NoError(t, disk.FlipBit(segmentFile(2), 9000, 1))
	damaged := must(disk.ReadFile(segmentFile(2)))
	disk.SetCapacity(1)
	_, err := wal.Repair(bg, dataDir, wal.RepairOptions{Quarantine: quarantine}, repairOptions(disk)...)
	require.ErrorIs(t, err, errNoSpace)
	require.Equal(t, damaged, must(disk.ReadFile(segmentFile(2))))
	require.False(t, slices.ContainsFunc(disk.Files(dataDir), func(n string) bool { return strings.HasSuffix(n, ".tmp") }))
	disk.SetCapacity(0)
	requireRepaired(t, disk, repair(t, disk))
}

// Whatever operation fails, the repair says so and can be run again.
func TestRepairFailingDisk(t *testing.T) {
	fail := errors.New("the disk is on fire")
	for _, op := range []sim.Op{sim.OpCreate, sim.OpWrite, sim.OpFileSync, sim.OpRename, sim.OpDirSync, sim.OpRemove, sim.OpQueue} {
		for after := range 4 {
			disk := threePartitions(t, sim.Options{})
			require.NoError(t, disk.FlipBit(segmentFile(2), 9000, 1))
			require.NoError(t, disk.Delete(segmentFile(4)))
			broken := disk.Clone()
			disk.Inject(sim.Fault{Op: op, After: after, Err: fail})
			_, err := wal.Repair(bg, dataDir, wal.RepairOptions{Quarantine: quarantine}, repairOptions(disk)...)
			if err != nil {
				require.ErrorIs(t, err, fail, "%v %d", op, after)
			}
			disk.ClearFaults()
			w := &written{disk: disk}
			w.requireKept(t, broken)
			repair(t, disk)
			w.requireKept(t, broken)
			require.True(t, verify(t, disk).OK, "%v %d", op, after)
		}
	}
}

func TestRepairProgress(t *testing.T) {
	disk := threePartitions(t, sim.Options{})
	require.NoError(t, disk.FlipBit(segmentFile(2), 9000, 1))
	var seen recorder[int64]
	opts := append(repairOptions(disk), wal.WithProgress(func(done, _ int64) { seen.add(done) }))
	_, err := wal.Repair(bg, dataDir, wal.RepairOptions{Quarantine: quarantine}, opts...)
	require.NoError(t, err)
	require.NotEmpty(t, seen.all())
}
