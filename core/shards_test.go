package wal_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	wal "github.com/chronik-go/wal/core"
	"github.com/chronik-go/wal/core/backend/sim"
)

// homes tells in which log each partition of a topic is: the folder of its segments.
func homes(t tester, m *wal.Manager) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, s := range segments(t, m) {
		folder := ""
		if n := len(s.Name) - 24; n > 0 {
			folder = s.Name[:n-1]
		}
		for _, p := range s.Partitions {
			name := fmt.Sprintf("%s/%d", p.Topic, p.Partition)
			if home, ok := all[name]; ok {
				require.Equal(t, home, folder, "%s is in two logs", name)
			}
			all[name] = folder
		}
	}
	return all
}

// Shards spread new partitions over several logs. Each stays in the log it began in,
// whatever the number of shards is later.
func TestShards(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := newDisk(t, sim.Options{})
		m := open(t, disk, small)
		fill(t, m, 10, 10)
		require.NoError(t, m.Close())
		want := map[string]string{}
		for i := range 10 {
			want[fmt.Sprintf("t/%d", i)] = ""
		}
		records := 10
		for round, n := range []int{4, 2, 1, 5} {
			m = open(t, disk, small, wal.WithShards(n))
			for name, home := range want {
				require.Equal(t, home, homes(t, m)[name])
			}
			for i := range 40 { // old ones and new ones
				p := partition(t, m, "t", int32(i+10*round))
				appendValues(t, p, 10)
			}
			records += 10
			now := homes(t, m)
			for name, home := range want {
				require.Equal(t, home, now[name], "round %d: %s has moved", round, name)
			}
			want = now
			folders := map[string]bool{}
			for _, home := range want {
				folders[home] = true
			}
			require.Len(t, folders, max(4, n), "all logs are in use")
			all := collect(t, m)
			require.Equal(t, all, collect(t, open(t, crash(t, disk), small)))
			ro := openReadOnly(t, disk)
			require.Equal(t, all, collect(t, ro))
			require.NoError(t, m.Close())
			m = open(t, disk, small)
			require.Equal(t, all, collect(t, m))
			require.NoError(t, m.Close())
		}
	})
}

// The dedicated layout gives each new partition a log of its own.
func TestDedicatedLayout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := newDisk(t, sim.Options{})
		m := open(t, disk, small)
		appendValues(t, partition(t, m, "shared", 0), 3)
		require.NoError(t, m.Close())
		m = open(t, disk, small, wal.WithLayout(wal.LayoutDedicated))
		appendValues(t, lookup(t, m, "shared", 0), 3)
		fill(t, m, 5, 60)
		own := homes(t, m)
		require.Empty(t, own["shared/0"], "it stays where it began")
		folders := map[string]bool{}
		for _, home := range own {
			folders[home] = true
		}
		require.Len(t, folders, 6)
		require.NoError(t, lookup(t, m, "t", 2).TruncateBefore(bg, 60))
		appendValues(t, lookup(t, m, "t", 2), 1)
		synctest.Wait()
		for _, s := range segments(t, m) {
			for _, p := range s.Partitions {
				require.False(t, p.Topic == "t" && p.Partition == 2 && p.To < 60, "dropped by itself: %+v", s)
			}
		}
		all := collect(t, m)
		require.Equal(t, all, collect(t, open(t, crash(t, disk))))
		require.NoError(t, m.Close())
		m = open(t, disk, small) // the shared layout again: only new partitions care
		require.Equal(t, all, collect(t, m))
		appendValues(t, lookup(t, m, "t", 1), 1)
		appendValues(t, partition(t, m, "new", 0), 1)
		now := homes(t, m)
		require.Equal(t, own["t/1"], now["t/1"])
		require.Empty(t, now["new/0"])
	})
}

// A reader beside the writer sees new logs too.
func TestRefreshFindsNewLogs(t *testing.T) {
	for name, o := range map[string]wal.Option{
		"shards": wal.WithShards(3), "dedicated": wal.WithLayout(wal.LayoutDedicated),
	} {
		t.Run(name, func(t *testing.T) {
			disk := newDisk(t, sim.Options{})
			m := open(t, disk)
			appendValues(t, partition(t, m, "first", 0), 1)
			ro := openReadOnly(t, disk)
			require.NoError(t, m.Close())
			m = open(t, disk, o)
			fill(t, m, 8, 5)
			require.NoError(t, ro.Refresh(bg))
			require.Equal(t, collect(t, m), collect(t, ro))
			appendValues(t, lookup(t, m, "t", 3), 5)
			require.NoError(t, ro.Refresh(bg))
			requireValues(t, lookup(t, ro, "t", 3), 0, 10)
		})
	}
}

// A log that fails takes its partitions with it and no others.
func TestFailedShard(t *testing.T) {
	disk := newDisk(t, sim.Options{})
	m := open(t, disk, wal.WithShards(2))
	fill(t, m, 8, 1)
	home := homes(t, m)
	var broken *wal.Partition
	for i := range int32(8) {
		if p := lookup(t, m, "t", i); home[p.String()] != "" {
			broken = p
		}
	}
	require.NotNil(t, broken)
	disk.Inject(sim.Fault{Op: sim.OpSubmit, Times: sim.Forever})
	_, err := broken.Append(bg, record("x"))
	require.ErrorIs(t, err, wal.ErrFailed)
	disk.ClearFaults()
	for i := range int32(8) {
		p := lookup(t, m, "t", i)
		_, err := p.Append(bg, valueAt(1))
		if home[p.String()] != "" {
			require.ErrorIs(t, err, wal.ErrFailed)
		} else {
			require.NoError(t, err)
		}
	}
	require.ErrorIs(t, m.Close(), wal.ErrFailed)
	m = open(t, disk)
	for i := range int32(8) {
		p := lookup(t, m, "t", i)
		if home[p.String()] == "" {
			requireValues(t, p, 0, 2)
		} else {
			requireValues(t, p, 0, 1)
		}
	}
}

// A log has one name: a directory whose number is spelt otherwise is none, nor is what only looks
// like one.
func TestOtherSpellingsAreNoLogs(t *testing.T) {
	disk := several(t)
	for _, name := range []string{"shard-1", "shard-01", "shard-00001", "shard-+001", "shard-0000", "shard-9999", "shard-x", "dedicated-1", "shard-99999999999"} {
		copyDir(t, disk, "/disk1", dataDir+"/"+name+"x")
		require.NoError(t, disk.Mkdir(dataDir+"/"+name))
	}
	copyDir(t, disk, "/disk1", dataDir+"/shard-1")
	copyFile(t, disk, dataDir+"/shard-0001.member", dataDir+"/shard-1.member")
	m := open(t, disk, small)
	require.Len(t, m.Partitions(), 8)
	appendValues(t, partition(t, m, "new", 0), 1)
	require.Len(t, homes(t, m), 9)
	require.NoError(t, m.Close())
	require.NotContains(t, disk.Files(dataDir), "shard-0003")
	m = open(t, disk, small)
	require.Len(t, m.Partitions(), 9)
}

// A shard that is lost for good is given up by hand, by removing its member file and what is left
// of its directory. The others stay; the next open for writing makes it anew.
func TestShardIsGivenUp(t *testing.T) {
	disk := several(t)
	m := openReadOnly(t, disk)
	home := homes(t, m)
	require.NoError(t, m.Close())
	require.NoError(t, disk.Delete(dataDir+"/shard-0001.member"))
	require.NoError(t, disk.Mkdir("/mnt"))
	mount(t, disk, dataDir+"/shard-0001", "/mnt")
	gone := 0
	m = open(t, disk, small)
	for name, folder := range home {
		topic, number, _ := strings.Cut(name, "/")
		p := partition(t, m, topic, int32(must(strconv.Atoi(number))))
		if folder == "shard-0001" {
			require.Zero(t, p.NextOffset())
			gone++
		} else {
			requireValues(t, p, 0, 30)
		}
		appendValues(t, p, 1)
	}
	require.Positive(t, gone)
	require.NoError(t, m.Close())
	require.Len(t, disk.Files("/mnt"), 3, "segment, close marker and member file")
	require.True(t, verify(t, disk).OK)
	mount(t, disk, dataDir+"/shard-0001", "/disk1")
	requireMemberError(t, disk, dataDir+"/shard-0001", "made anew")
}

// A data directory with one log has no member file.
func TestOneLogHasNoMemberFile(t *testing.T) {
	disk := newDisk(t, sim.Options{})
	m := open(t, disk)
	appendValues(t, partition(t, m, "t", 0), 1)
	require.NoError(t, m.Close())
	require.Empty(t, names(disk, ".member"))
}

// A new shard whose directory leads to the data directory, or to the one of another new shard, is
// told for what it is, not taken for one that another writer has.
func TestNewShardThatLeadsToAnother(t *testing.T) {
	for target, want := range map[string]string{dataDir: "there is one, without a log.member", "/disk1": "shard-0001 of data directory"} {
		disk := newDisk(t, sim.Options{})
		m := open(t, disk)
		appendValues(t, partition(t, m, "t", 0), 3)
		require.NoError(t, m.Close())
		require.NoError(t, disk.Mkdir("/disk1"))
		require.NoError(t, disk.Symlink("/disk1", dataDir+"/shard-0001"))
		require.NoError(t, disk.Symlink(target, dataDir+"/shard-0002"))
		_, err := tryOpen(disk, wal.WithShards(3))
		require.ErrorIs(t, err, wal.ErrMember)
		require.NotErrorIs(t, err, wal.ErrLocked)
		require.ErrorContains(t, err, want)
		require.NoError(t, disk.Delete(dataDir+"/shard-0002"))
		m = open(t, disk, wal.WithShards(3))
		requireValues(t, lookup(t, m, "t", 0), 0, 3)
		require.NoError(t, m.Close())
	}
}
