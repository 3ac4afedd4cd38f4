package wal_test

import (
	"path"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	wal "github.com/chronik-go/wal/core"
	"github.com/chronik-go/wal/core/backend/sim"
	"github.com/chronik-go/wal/core/format"
)

// disks is what stands for the mount points of the shards of several.
var disks = map[string]string{dataDir + "/shard-0001": "/disk1", dataDir + "/shard-0002": "/disk2"}

// several makes a data directory with two shards, each on a disk of its own, and two dedicated
// logs. It is closed.
func several(t tester) *sim.Disk {
	t.Helper()
	disk := newDisk(t, sim.Options{})
	require.NoError(t, disk.Mkdir(dataDir))
	for at, to := range disks {
		require.NoError(t, disk.Mkdir(to))
		require.NoError(t, disk.Symlink(to, at))
	}
	for i, opt := range []wal.Option{wal.WithShards(3), wal.WithLayout(wal.LayoutDedicated)} {
		m := open(t, disk, small, opt)
		for n := range int32(6 - 4*i) {
			appendValues(t, partition(t, m, []string{"t", "own"}[i], n), 30)
		}
		require.NoError(t, m.Close())
	}
	return disk
}

// mount puts another directory in a shard's place.
func mount(t tester, disk *sim.Disk, at, to string) {
	t.Helper()
	require.NoError(t, disk.Delete(at))
	if to != "" {
		require.NoError(t, disk.Symlink(to, at))
	}
}

// copyDir copies the files of a directory into another one.
func copyDir(t tester, disk *sim.Disk, from, to string) {
	t.Helper()
	require.NoError(t, disk.Mkdir(to))
	for _, name := range disk.Files(from) {
		b, err := disk.ReadFile(from + "/" + name)
		if err == nil { // else it is a directory or a link
			require.NoError(t, disk.WriteFile(to+"/"+name, b))
		}
	}
}

func copyFile(t tester, disk *sim.Disk, from, to string) {
	t.Helper()
	require.NoError(t, disk.WriteFile(to, must(disk.ReadFile(from))))
}

// editMember changes a member file, whose checksum holds again.
func editMember(t tester, disk *sim.Disk, file string, change func(m *format.Member)) {
	t.Helper()
	m, err := format.ReadMember(must(disk.ReadFile(file)))
	require.NoError(t, err)
	change(&m)
	b := make([]byte, format.MemberSize)
	format.PutMember(b, m)
	require.NoError(t, disk.WriteFile(file, b))
}

// requireMemberError demands that a data directory is refused, whatever is to be done with it,
// by an error that is about a path and says what is wrong and what to do; and that nothing is
// changed or left open.
func requireMemberError(t *testing.T, disk *sim.Disk, at string, words ...string) {
	t.Helper()
	hash := disk.Hash()
	try := func(what string, err error) {
		t.Helper()
		var e *wal.MemberError
		require.ErrorAs(t, err, &e, what)
		require.ErrorIs(t, err, wal.ErrMember)
		require.Equal(t, at, e.Path, "%s: %v", what, err)
		for _, w := range words {
			require.Contains(t, err.Error(), w, what)
		}
		require.Equal(t, hash, disk.Hash(), "%s has changed something", what)
		require.Zero(t, disk.OpenHandles(), what)
		require.NoError(t, disk.Misuse())
	}
	for name, opts := range map[string][]wal.Option{
		"open": nil, "with shards": {wal.WithShards(3)}, "dedicated": {wal.WithLayout(wal.LayoutDedicated)},
		"read-only": {wal.WithReadOnly()}, "with damage": {wal.WithReadOnly(), wal.WithAllowDamage()},
	} {
		_, err := tryOpen(disk, append(opts, small)...)
		try(name, err)
	}
	_, err := wal.Verify(bg, dataDir, repairOptions(disk)...)
	try("verify", err)
	_, err = wal.Repair(bg, dataDir, wal.RepairOptions{Quarantine: quarantine}, repairOptions(disk)...)
	try("repair", err)
	_, err = wal.Repair(bg, dataDir, wal.RepairOptions{DryRun: true}, repairOptions(disk)...)
	try("dry run", err)
}

// A member file of a shard that no data directory can have: those below it are not made.
func TestShardBeyondTheLimit(t *testing.T) {
	disk := several(t)
	for name, number := range map[string]uint32{"shard-1024": wal.MaxShards, "shard-4294967295": 1<<32 - 1} {
		other := disk.Clone()
		checkAtEnd(t, other)
		copyDir(t, other, dataDir+"/shard-0001", dataDir+"/"+name)
		for _, file := range []string{name + ".member", name + "/log.member"} {
			copyFile(t, other, dataDir+"/shard-0001.member", dataDir+"/"+file)
			editMember(t, other, dataDir+"/"+file, func(m *format.Member) { m.Number = number })
		}
		requireMemberError(t, other, dataDir+"/"+name+".member", "at most 1024 shards", "move it away")
	}
}

// Whatever is missing from a data directory, or does not belong there, is told: nothing is taken
// for an empty log, and no offset given out twice.
func TestLogsThatDoNotBelongTogether(t *testing.T) {
	const s1, s2 = dataDir + "/shard-0001", dataDir + "/shard-0002"
	for name, c := range map[string]struct {
		change func(t *testing.T, disk *sim.Disk)
		path   string
		words  []string
	}{
		"not mounted": {func(t *testing.T, disk *sim.Disk) {
			require.NoError(t, disk.Mkdir("/mnt"))
			mount(t, disk, s1, "/mnt")
		}, s1, []string{"is empty", "mount its disk there"}},
		"not mounted, and something in it": {func(t *testing.T, disk *sim.Disk) {
			require.NoError(t, disk.Mkdir("/mnt/lost+found"))
			mount(t, disk, s1, "/mnt")
		}, s1, []string{"has no log.member", "mount its disk there"}},
		"no directory": {func(t *testing.T, disk *sim.Disk) { mount(t, disk, s2, "") }, s2, []string{"missing", "mount its disk there"}},
		"swapped": {func(t *testing.T, disk *sim.Disk) {
			mount(t, disk, s1, "/disk2")
			mount(t, disk, s2, "/disk1")
		}, s1, []string{"it is the directory of shard-0002", "where it belongs"}},
		"listed twice": {func(t *testing.T, disk *sim.Disk) { mount(t, disk, s2, "/disk1") }, s2,
			[]string{"it is the directory of shard-0001"}},
		"leads to the whole": {func(t *testing.T, disk *sim.Disk) { mount(t, disk, s1, dataDir) }, s1,
			[]string{"it is the directory of the main log"}},
		"of another data directory": {func(t *testing.T, disk *sim.Disk) {
			m, err := wal.Open("/other", wal.WithBackend(disk), wal.WithShards(2))
			require.NoError(t, err)
			require.NoError(t, m.Close())
			mount(t, disk, s1, "/other/shard-0001")
		}, s1, []string{"it is the directory of shard-0001 of data directory"}},
		"a data directory itself": {func(t *testing.T, disk *sim.Disk) {
			m, err := wal.Open("/other", wal.WithBackend(disk))
			require.NoError(t, err)
			must(m.Append(bg, "t", 9, record("x")))
			require.NoError(t, m.Close())
			mount(t, disk, s1, "/other")
		}, s1, []string{"has no log.member"}},
		"made anew": {func(t *testing.T, disk *sim.Disk) {
			editMember(t, disk, "/disk1/log.member", func(m *format.Member) { m.Log[0]++ })
		}, s1, []string{"made anew"}},
		"segments of another log": {func(t *testing.T, disk *sim.Disk) {
			require.NoError(t, disk.Delete("/disk1/close.marker"))
			for _, name := range disk.Files("/disk1") {
				if strings.HasSuffix(name, ".wal") {
					require.NoError(t, disk.Delete("/disk1/"+name))
				}
			}
			copyFile(t, disk, "/disk2/00000000000000000001.wal", "/disk1/00000000000000000001.wal")
		}, s1, []string{"segments are those of another log"}},
		"no segments": {func(t *testing.T, disk *sim.Disk) {
			for _, name := range disk.Files("/disk1") {
				if name != "log.member" {
					require.NoError(t, disk.Delete("/disk1/"+name))
				}
			}
		}, s1, []string{"it ends at LSN 0", "lost its newest segments", "copy its log.member over " + s1 + ".member"}},
		"not known": {func(t *testing.T, disk *sim.Disk) { require.NoError(t, disk.Delete(s1+".member")) }, s1,
			[]string{"knows of no such log", "copy its log.member to " + s1 + ".member"}},
		"copied shard": {func(t *testing.T, disk *sim.Disk) { copyDir(t, disk, "/disk1", dataDir+"/shard-0007") }, dataDir + "/shard-0007",
			[]string{"knows of no such log", "shard-0001"}},
		"copied dedicated log": {func(t *testing.T, disk *sim.Disk) {
			copyDir(t, disk, dataDir+"/dedicated-000001", dataDir+"/dedicated-000009")
			copyFile(t, disk, dataDir+"/dedicated-000001.member", dataDir+"/dedicated-000009.member")
		}, dataDir + "/dedicated-000009.member", []string{"it is the member file of dedicated-000001"}},
		"log without a member file": {func(t *testing.T, disk *sim.Disk) {
			require.NoError(t, disk.Mkdir(dataDir+"/dedicated-000003"))
			copyFile(t, disk, "/disk1/00000000000000000001.wal", dataDir+"/dedicated-000003/00000000000000000001.wal")
		}, dataDir + "/dedicated-000003", []string{"without a log.member", "move it away"}},
		"member file of another data directory": {func(t *testing.T, disk *sim.Disk) {
			editMember(t, disk, s2+".member", func(m *format.Member) { m.Whole[0]++ })
		}, s2 + ".member", []string{"it is of data directory"}},
		"damaged member file in the data directory": {func(t *testing.T, disk *sim.Disk) {
			require.NoError(t, disk.FlipBit(s1+".member", 20, 1))
		}, s1 + ".member", []string{"CRC is wrong", "copy shard-0001/log.member over it"}},
		"damaged member file": {func(t *testing.T, disk *sim.Disk) {
			require.NoError(t, disk.FlipBit("/disk1/log.member", 20, 1))
		}, s1 + "/log.member", []string{"CRC is wrong", "copy shard-0001.member, in the data directory, over it"}},
		"damaged member file of the main log": {func(t *testing.T, disk *sim.Disk) {
			require.NoError(t, disk.FlipBit(dataDir+"/log.member", 20, 1))
		}, dataDir + "/log.member", []string{"CRC is wrong", "remove it"}},
	} {
		t.Run(name, func(t *testing.T) {
			disk := several(t)
			before := disk.Clone()
			c.change(t, disk)
			requireMemberError(t, disk, c.path, c.words...)
			requireAll(t, before)
		})
	}
}

// requireAll demands that what several has made is there, and can be appended to.
func requireAll(t tester, disk *sim.Disk) {
	t.Helper()
	m := open(t, disk, small)
	require.Len(t, m.Partitions(), 8)
	for _, info := range m.Partitions() {
		p := lookup(t, m, info.Topic, info.Partition)
		requireValues(t, p, 0, 30)
		appendValues(t, p, 1)
	}
	require.NoError(t, m.Close())
	require.True(t, verify(t, disk).OK)
}

// What the messages advise works.
func TestMemberAdvice(t *testing.T) {
	const s1 = dataDir + "/shard-0001"
	for name, c := range map[string]struct {
		breakIt, mend func(t *testing.T, disk *sim.Disk)
	}{
		"mount it": {
			func(t *testing.T, disk *sim.Disk) { mount(t, disk, s1, "") },
			func(t *testing.T, disk *sim.Disk) { require.NoError(t, disk.Symlink("/disk1", s1)) },
		},
		"copy the one over the other": {
			func(t *testing.T, disk *sim.Disk) { require.NoError(t, disk.Zero(s1+".member", 0, 512)) },
			func(t *testing.T, disk *sim.Disk) { copyFile(t, disk, "/disk1/log.member", s1+".member") },
		},
		"copy the other over the one": {
			func(t *testing.T, disk *sim.Disk) { require.NoError(t, disk.Truncate("/disk1/log.member", 100)) },
			func(t *testing.T, disk *sim.Disk) { copyFile(t, disk, s1+".member", "/disk1/log.member") },
		},
		"remove that of the main log": {
			func(t *testing.T, disk *sim.Disk) { require.NoError(t, disk.Truncate(dataDir+"/log.member", 0)) },
			func(t *testing.T, disk *sim.Disk) { require.NoError(t, disk.Delete(dataDir+"/log.member")) },
		},
		"tell the data directory": {
			func(t *testing.T, disk *sim.Disk) { require.NoError(t, disk.Delete(s1+".member")) },
			func(t *testing.T, disk *sim.Disk) { copyFile(t, disk, "/disk1/log.member", s1+".member") },
		},
	} {
		t.Run(name, func(t *testing.T) {
			disk := several(t)
			c.breakIt(t, disk)
			_, err := tryOpen(disk)
			require.ErrorIs(t, err, wal.ErrMember)
			c.mend(t, disk)
			requireAll(t, disk)
		})
	}
}

// An older copy of a shard is told from the newest one. Who gives up what is missing can go on
// with it.
func TestOlderCopyOfALog(t *testing.T) {
	const s1 = dataDir + "/shard-0001"
	disk := several(t)
	copyDir(t, disk, "/disk1", "/old")
	m := open(t, disk, small)
	for _, info := range m.Partitions() {
		appendValues(t, lookup(t, m, info.Topic, info.Partition), 5)
	}
	require.NoError(t, m.Close())
	mount(t, disk, s1, "/old")
	requireMemberError(t, disk, s1, "an older copy", "copy its log.member over "+s1+".member")
	copyFile(t, disk, "/old/log.member", s1+".member")
	m = open(t, disk, small)
	old := 0
	for _, info := range m.Partitions() {
		if info.NextOffset == 30 {
			old++
		} else {
			require.EqualValues(t, 35, info.NextOffset)
		}
		appendValues(t, lookup(t, m, info.Topic, info.Partition), 1)
	}
	require.Positive(t, old)
	require.NoError(t, m.Close())
	require.True(t, verify(t, disk).OK)
}

// A log that lost its end is damaged, and repaired, whatever the data directory knows of its end.
func TestRepairOfALogWithoutItsEnd(t *testing.T) {
	disk := several(t)
	require.NoError(t, disk.Delete(path.Join("/disk1", lastOf(disk, "/disk1"))))
	_, err := tryOpen(disk)
	require.ErrorIs(t, err, wal.ErrDamaged)
	require.NotErrorIs(t, err, wal.ErrMember)
	require.NotEmpty(t, repair(t, disk).Damage)
	m := open(t, disk, small)
	for _, info := range m.Partitions() {
		appendValues(t, lookup(t, m, info.Topic, info.Partition), 1)
	}
	require.NoError(t, m.Close())
	require.True(t, verify(t, disk).OK)
}

func lastOf(disk *sim.Disk, dir string) (last string) {
	for _, name := range disk.Files(dir) {
		if strings.HasSuffix(name, ".wal") {
			last = max(last, name)
		}
	}
	return last
}

// A partition in two logs is told, and both are named.
func TestPartitionInTwoLogs(t *testing.T) {
	disk := several(t)
	m, err := wal.Open("/other", wal.WithBackend(disk), wal.WithLayout(wal.LayoutDedicated))
	require.NoError(t, err)
	must(m.Append(bg, "own", 1, record("another one")))
	require.NoError(t, m.Close())
	copyDir(t, disk, "/other/dedicated-000001", dataDir+"/dedicated-000007")
	whole, err := format.ReadMember(must(disk.ReadFile(dataDir + "/log.member")))
	require.NoError(t, err)
	editMember(t, disk, dataDir+"/dedicated-000007/log.member", func(m *format.Member) { m.Number, m.Whole = 7, whole.Whole })
	copyFile(t, disk, dataDir+"/dedicated-000007/log.member", dataDir+"/dedicated-000007.member")
	requireMemberError(t, disk, dataDir, "partition own/1 is in two logs, /d/dedicated-000002 and /d/dedicated-000007", "move one of the directories away")
}

// A log that is part of a data directory can be read by itself, and not written.
func TestPartIsNotOpenedByItself(t *testing.T) {
	disk := several(t)
	for _, isOpen := range []bool{false, true} {
		if isOpen {
			open(t, disk, small)
		}
		for _, part := range []string{dataDir + "/shard-0001", "/disk2", dataDir + "/dedicated-000002"} {
			opts := append(repairOptions(disk), wal.WithShards(2))
			_, err := wal.Open(part, opts...)
			if isOpen {
				require.ErrorIs(t, err, wal.ErrLocked)
			} else {
				require.ErrorIs(t, err, wal.ErrMember)
				require.ErrorContains(t, err, path.Base(strings.Replace(part, "/disk2", "shard-0002", 1))+" of data directory")
				_, err = wal.Repair(bg, part, wal.RepairOptions{Quarantine: quarantine}, opts...)
				require.ErrorIs(t, err, wal.ErrMember)
			}
			ro, err := wal.Open(part, append(opts, wal.WithReadOnly())...)
			require.NoError(t, err)
			require.NotEmpty(t, ro.Partitions())
			for _, info := range ro.Partitions() {
				requireValues(t, lookup(t, ro, info.Topic, info.Partition), 0, 30)
			}
			require.NoError(t, ro.Close())
			report, err := wal.Verify(bg, part, opts...)
			require.NoError(t, err)
			require.True(t, report.OK)
		}
	}
}

// A log has one writer, by whatever way it is come to.
func TestEachLogIsLocked(t *testing.T) {
	disk := several(t)
	copyDir(t, disk, dataDir, "/copy")
	for at, to := range disks {
		require.NoError(t, disk.Symlink(to, "/copy/"+path.Base(at)))
	}
	for _, n := range []string{"/dedicated-000001", "/dedicated-000002"} {
		copyDir(t, disk, dataDir+n, "/copy"+n)
	}
	require.NoError(t, disk.Symlink(dataDir, "/link"))
	m := open(t, disk, small)
	for _, dir := range []string{"/copy", "/link", "/copy/../link/", dataDir + "/."} {
		_, err := wal.Open(dir, repairOptions(disk)...)
		require.ErrorIs(t, err, wal.ErrLocked, dir)
		_, err = wal.Repair(bg, dir, wal.RepairOptions{Quarantine: quarantine}, repairOptions(disk)...)
		require.ErrorIs(t, err, wal.ErrLocked, dir)
	}
	require.NoError(t, m.Close())
	for _, dir := range []string{"/copy", "/link"} {
		m, err := wal.Open(dir, repairOptions(disk)...)
		require.NoError(t, err, "the locks are gone")
		require.NoError(t, m.Close())
	}
}
