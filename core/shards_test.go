package wal_test

import (
	"fmt"
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
