package wal_test

import (
	"errors"
	"io/fs"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	wal "github.com/chronik-go/wal/core"
	"github.com/chronik-go/wal/core/backend/sim"
)

// acked says that a record is acknowledged: it stands in the trace.
type acked struct {
	topic  string
	part   int32
	offset int64
}

// makeLogs opens a data directory with options that make logs, appends to four partitions, and
// notes in the trace what is acknowledged.
func makeLogs(t tester, disk *sim.Disk, first int32, opts ...wal.Option) {
	t.Helper()
	m, err := tryOpen(disk, append(opts, small)...)
	require.NoError(t, err)
	for n := first; n < first+4; n++ {
		p := partition(t, m, "t", n)
		for range 2 {
			at := p.NextOffset()
			got, err := p.Append(bg, valueAt(at))
			require.NoError(t, err)
			require.Equal(t, at, got)
			disk.Mark(acked{"t", n, got})
		}
	}
	require.NoError(t, m.Close())
}

// requireAcked demands that a disk that a crash left opens, each way, and holds what was
// acknowledged, on the disk before and since.
func requireAcked(t *testing.T, state sim.CrashState, before []sim.Mark) {
	t.Helper()
	where := func() []any { return []any{"crash at %d: %v", state.Point, state.Image} }
	next := map[int32]int64{}
	for _, mark := range slices.Concat(before, state.Marks) {
		a := mark.Value.(acked)
		next[a.part] = max(next[a.part], a.offset+1)
	}
	check := func(m *wal.Manager) {
		for n, want := range next {
			p, err := m.Lookup("t", n)
			require.NoError(t, err, where()...)
			require.GreaterOrEqual(t, p.NextOffset(), want, where()...)
			requireValues(t, p, 0, p.NextOffset())
		}
		require.NoError(t, m.Close(), where()...)
	}
	ro, err := tryOpen(state.Disk, wal.WithReadOnly())
	if len(next) > 0 || !errors.Is(err, wal.ErrNotLog) && !errors.Is(err, fs.ErrNotExist) {
		require.NoError(t, err, where()...)
		check(ro)
	}
	m, err := tryOpen(state.Disk, small)
	require.NoError(t, err, where()...)
	check(m)
}

// A crash at any point of making shards and dedicated logs leaves what opens, with what was
// acknowledged, and can be gone on with; so does a crash of that.
func TestCrashWhileLogsAreMade(t *testing.T) {
	plan := sim.Explore{Seed: 1, Prefixes: 2, Holes: 2, Randoms: 2, Kill: true, Garbage: true}
	for name, opts := range map[string][]wal.Option{
		"shards": {wal.WithShards(3)}, "dedicated": {wal.WithLayout(wal.LayoutDedicated)},
		"both": {wal.WithShards(2), wal.WithLayout(wal.LayoutDedicated)},
	} {
		for _, old := range []bool{false, true} {
			t.Run(name+map[bool]string{false: " in a new directory", true: " beside an old log"}[old], func(t *testing.T) {
				disk := newDisk(t, sim.Options{})
				if old {
					makeLogs(t, disk, 0)
				}
				start := disk.Ops()
				makeLogs(t, disk, 2, opts...)
				first := plan
				first.From = start
				seen := map[uint64]bool{}
				again := 0
				for state := range disk.Trace().CrashStates(first) {
					hash := state.Disk.Hash()
					if seen[hash] {
						continue
					}
					seen[hash] = true
					fresh := state.Disk.Clone()
					requireAcked(t, state, nil)
					if again == 12 || len(seen)%4 > 0 { // those of making logs come first
						continue
					}
					again++
					makeLogs(t, fresh, 3, opts...)
					for second := range fresh.Trace().CrashStates(sim.Explore{Seed: hash, To: 90, Randoms: 1}) {
						requireAcked(t, second, state.Marks)
					}
				}
				require.Greater(t, len(seen), 100)
				require.Equal(t, 12, again)
			})
		}
	}
}

// The names that a process made, and did not make durable before it died, are durable before what is
// appended in the logs behind them is acknowledged.
func TestNamesThatAKilledProcessLeft(t *testing.T) {
	for _, opt := range []wal.Option{wal.WithShards(2), wal.WithLayout(wal.LayoutDedicated)} {
		disk := newDisk(t, sim.Options{})
		makeLogs(t, disk, 0, opt)
		states := 0
		for state := range disk.Trace().CrashStates(sim.Explore{Kill: true}) {
			if state.Image.Mode != sim.Kill {
				continue
			}
			states++
			next := map[int32]int64{}
			m, err := tryOpen(state.Disk, small, opt)
			require.NoError(t, err, "killed at %d", state.Point)
			for n := range int32(4) {
				p := partition(t, m, "t", n)
				appendValues(t, p, 1)
				next[n] = p.NextOffset()
			}
			lost := state.Disk.Image(sim.Image{Mode: sim.DropAll})
			require.NoError(t, m.Close())
			m, err = tryOpen(lost, small, opt)
			require.NoError(t, err, "killed at %d", state.Point)
			for n, end := range next {
				requireValues(t, lookup(t, m, "t", n), 0, end)
			}
			require.NoError(t, m.Close())
		}
		require.Greater(t, states, 50)
	}
}

// A member file is not written before what it tells of is durable: with the whole's one before
// the log's own, a crash would leave what a disk that is not mounted leaves.
func TestOrderOfMemberFiles(t *testing.T) {
	disk := newDisk(t, sim.Options{})
	makeLogs(t, disk, 0, wal.WithShards(2))
	step := 0
	trace := disk.Trace()
	for i := range trace.Len() {
		o := trace.Op(i)
		for n, want := range []struct {
			op        sim.Op
			dir, name string // the new one, of a file that gets it
		}{
			{sim.OpRename, dataDir, "log.member"},
			{sim.OpDirSync, dataDir, ""},
			{sim.OpMkdir, dataDir, "shard-0001"},
			{sim.OpRename, dataDir + "/shard-0001", "log.member"},
			{sim.OpDirSync, dataDir + "/shard-0001", ""},
			{sim.OpRename, dataDir, "shard-0001.member"},
			{sim.OpDirSync, dataDir, ""},
			{sim.OpRename, dataDir + "/shard-0001", "00000000000000000001.wal"},
		} {
			got := o.Name
			if o.Op == sim.OpRename {
				got = o.NewName
			}
			if n == step && o.Op == want.op && o.Dir == want.dir && (want.name == "" || got == want.name) {
				step++
				break
			}
		}
	}
	require.Equal(t, 8, step, "steps in their order")
}
