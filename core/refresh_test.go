package wal_test

import (
	"context"
	"io/fs"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	wal "github.com/chronik-go/wal/core"
	"github.com/chronik-go/wal/core/backend/sim"
)

func openReadOnly(t tester, disk *sim.Disk, opts ...wal.Option) *wal.Manager {
	t.Helper()
	return open(t, disk, append(opts, wal.WithReadOnly())...)
}

// A read-only log beside its writer sees what there was when it was opened, and with
// each Refresh what has come since, in old and in new segments and partitions.
func TestRefresh(t *testing.T) {
	for _, mode := range []wal.FsyncMode{wal.FsyncAlways, wal.FsyncPeriodic} {
		disk := newDisk(t, sim.Options{})
		m := open(t, disk, small, wal.WithFsyncMode(mode))
		p := partition(t, m, "t", 0)
		appendValues(t, p, 1)
		ro := openReadOnly(t, disk)
		q := lookup(t, ro, "t", 0)
		for i := range int32(60) {
			before := q.NextOffset()
			appendValues(t, p, 3)
			appendValues(t, partition(t, m, "new", i), 2)
			requireValues(t, q, 0, before)
			_, err := ro.Lookup("new", i)
			require.ErrorIs(t, err, wal.ErrNoPartition)
			require.NoError(t, ro.Refresh(bg))
			requireValues(t, q, 0, before+3)
			requireValues(t, lookup(t, ro, "new", i), 0, 2)
			require.Equal(t, q.NextOffset(), q.DurableOffset())
			require.NoError(t, ro.Refresh(bg), "nothing new")
		}
		require.NoError(t, m.Sync(bg))
		require.Equal(t, m.Partitions(), ro.Partitions())
		require.NoError(t, m.Close())
		require.NoError(t, ro.Refresh(bg))
		requireValues(t, q, 0, 181)
		m = open(t, disk, small)
		appendValues(t, lookup(t, m, "t", 0), 5)
		require.NoError(t, ro.Refresh(bg))
		requireValues(t, q, 0, 186)
	}
}

// Truncations, gaps and moves reach the reader too, however many segments went and were
// used again between two looks.
func TestRefreshBesideRetention(t *testing.T) {
	for _, look := range []int{1, 2, 5} {
		for _, recycle := range []int{0, 2} {
			synctest.Test(t, func(t *testing.T) {
				disk := newDisk(t, sim.Options{})
				m := open(t, disk, small, aLittle, wal.WithRecycleLimit(recycle))
				slow, idle, busy := partition(t, m, "slow", 0), partition(t, m, "idle", 0), partition(t, m, "busy", 0)
				appendSlow(t, slow, 5)
				appendValues(t, idle, 4)
				require.NoError(t, idle.TruncateBefore(bg, 4))
				appendValues(t, busy, 10)
				ro := openReadOnly(t, disk)
				for i := range 10 {
					appendValues(t, busy, 50)
					require.NoError(t, busy.TruncateBefore(bg, busy.NextOffset()-7))
					if i%4 == 1 {
						require.NoError(t, busy.TruncateAfter(bg, busy.NextOffset()-3))
						appendValues(t, busy, 1)
						appendAt(t, busy, busy.NextOffset()+5, 1)
						appendSlow(t, slow, 1)
					}
					synctest.Wait()
					if i%look != 0 {
						continue
					}
					require.NoError(t, ro.Refresh(bg))
					for _, p := range []*wal.Partition{slow, idle, busy} {
						q := lookup(t, ro, p.Topic(), p.ID())
						require.Equal(t, p.FirstOffset(), q.FirstOffset(), "%s, round %d", p, i)
						require.Equal(t, p.NextOffset(), q.NextOffset(), "%s, round %d", p, i)
					}
					require.Equal(t, collect(t, m), collect(t, ro))
				}
				require.Positive(t, m.Stats().MovedBytes)
				require.NoError(t, m.Close())
				require.NoError(t, ro.Refresh(bg))
				require.Equal(t, collect(t, open(t, disk)), collect(t, ro))
			})
		}
	}
}

// A reader who has not looked for long reads segments that the writer has dropped and
// written over. It is told that its records are gone, not that they are damaged, and
// goes on after the next look.
func TestReadWhatTheWriterHasDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := newDisk(t, sim.Options{})
		m := open(t, disk, small)
		p := partition(t, m, "t", 0)
		appendValues(t, p, 100)
		ro := openReadOnly(t, disk)
		q := lookup(t, ro, "t", 0)
		for range 6 {
			appendValues(t, p, 50)
			require.NoError(t, p.TruncateBefore(bg, p.NextOffset()-2))
			synctest.Wait()
		}
		require.Positive(t, m.Stats().Recycled)
		err := readError(q, 0)
		require.ErrorIs(t, err, wal.ErrOffsetOutOfRange)
		require.NotErrorIs(t, err, wal.ErrDamaged)
		require.NoError(t, ro.Refresh(bg))
		requireValues(t, q, 398, 400)
	})
}

// An open beside a writer that drops segments just then starts over.
func TestOpenReadOnlyBesideRetention(t *testing.T) {
	for after := range 8 {
		synctest.Test(t, func(t *testing.T) {
			disk := newDisk(t, sim.Options{})
			m := open(t, disk, small)
			p := partition(t, m, "t", 0)
			appendValues(t, p, 150)
			var n atomic.Int64
			disk.BeforeOp(func(o sim.OpInfo) {
				if !strings.HasSuffix(o.Name, ".wal") || o.Op != sim.OpOpen && o.Op != sim.OpRead {
					return
				}
				if n.Add(1) == int64(after+1) {
					must(0, p.TruncateBefore(bg, p.NextOffset()-3))
					for range 50 {
						must(p.Append(bg, valueAt(p.NextOffset())))
					}
					synctest.Wait()
				}
			})
			ro := openReadOnly(t, disk)
			disk.BeforeOp(nil)
			require.NoError(t, ro.Refresh(bg))
			requireValues(t, lookup(t, ro, "t", 0), 147, 200)
		})
	}
}

// A follower of a read-only log gets what a Refresh brings.
func TestFollowReadOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := newDisk(t, sim.Options{})
		m := open(t, disk, small)
		p := partition(t, m, "t", 0)
		appendValues(t, p, 2)
		ro := openReadOnly(t, disk)
		ctx, cancel := context.WithCancel(bg)
		f := follow(ctx, lookup(t, ro, "t", 0), 0)
		for n := 2; n < 100; n += 7 {
			synctest.Wait()
			require.Len(t, f.seen.all(), n)
			appendValues(t, p, 7)
			synctest.Wait()
			require.Len(t, f.seen.all(), n)
			require.NoError(t, ro.Refresh(bg))
		}
		cancel()
		require.ErrorIs(t, <-f.done, context.Canceled)
	})
}

// A look shows nothing that the writer's disk could still lose, unless the writer says
// that it is durable: the reader syncs it first.
func TestRefreshShowsOnlyWhatIsDurable(t *testing.T) {
	for _, fail := range []bool{false, true} {
		disk := newDisk(t, sim.Options{})
		m := open(t, disk, wal.WithFsyncMode(wal.FsyncPeriodic), wal.WithSyncInterval(1<<40))
		p := partition(t, m, "t", 0)
		appendValues(t, p, 3)
		require.NoError(t, p.Sync(bg))
		ro := openReadOnly(t, disk)
		q := lookup(t, ro, "t", 0)
		appendValues(t, p, 4)
		require.EqualValues(t, 3, p.DurableOffset())
		if fail {
			disk.Inject(sim.Fault{Op: sim.OpFileSync})
			require.Error(t, ro.Refresh(bg))
			requireValues(t, q, 0, 3)
		}
		require.NoError(t, ro.Refresh(bg))
		requireValues(t, q, 0, 7)
		requireValues(t, lookup(t, open(t, crash(t, disk)), "t", 0), 0, 7)
	}
}

// Read-only: nothing is locked, no byte changes, and what would change one is refused.
func TestReadOnlyChangesNothing(t *testing.T) {
	disk := newDisk(t, sim.Options{})
	m := open(t, disk, small)
	appendValues(t, partition(t, m, "t", 0), 100)
	crashed := disk.Image(sim.Image{Mode: sim.KeepAll})
	torn := disk.Image(sim.Image{Mode: sim.KeepAll})
	last := names(torn, ".wal")
	require.NoError(t, torn.Zero(dataDir+"/"+last[len(last)-1], 5000, 100))
	require.NoError(t, m.Close())
	for name, disk := range map[string]*sim.Disk{"closed": disk, "crashed": crashed} {
		t.Run(name, func(t *testing.T) {
			disk := disk.Clone()
			second := openReadOnly(t, disk)
			w := open(t, disk, small) // the readers hold no lock
			require.NoError(t, w.Close())
			disk = ro2(t, disk)
			ro := openReadOnly(t, disk)
			before := disk.Hash()
			p := lookup(t, ro, "t", 0)
			requireValues(t, p, 0, 100)
			_, err := p.Append(bg, record("x"))
			require.ErrorIs(t, err, wal.ErrReadOnly)
			_, err = p.AppendAsync(bg, record("x"))
			require.ErrorIs(t, err, wal.ErrReadOnly)
			_, err = p.AppendAt(bg, 1000, record("x"))
			require.ErrorIs(t, err, wal.ErrReadOnly)
			_, err = ro.Append(bg, "new", 0, record("x"))
			require.ErrorIs(t, err, wal.ErrNoPartition)
			require.ErrorIs(t, p.TruncateBefore(bg, 5), wal.ErrReadOnly)
			require.ErrorIs(t, p.TruncateAfter(bg, 5), wal.ErrReadOnly)
			require.NoError(t, ro.Sync(bg))
			require.NoError(t, openReadOnly(t, disk, wal.WithFsyncMode(wal.FsyncPeriodic)).Sync(bg))
			require.NoError(t, ro.Refresh(bg))
			require.NoError(t, ro.Close())
			require.Equal(t, before, disk.Hash())
			require.ErrorIs(t, ro.Refresh(bg), wal.ErrClosed)
			require.NoError(t, second.Close())
		})
	}
	before := crashed.Hash()
	ro := openReadOnly(t, crashed)
	require.NoError(t, ro.Close())
	require.Equal(t, before, crashed.Hash(), "no recovery is written")
}

// ro2 returns a copy of a disk on which any change is an error.
func ro2(t tester, disk *sim.Disk) *sim.Disk {
	c := disk.Clone()
	checkAtEnd(t, c)
	c.ReadOnly(true)
	return c
}

// Who asks for what is not there is told what is not there.
func TestOpenWhatIsNotThere(t *testing.T) {
	disk := newDisk(t, sim.Options{})
	_, err := tryOpen(disk, wal.WithReadOnly())
	require.ErrorIs(t, err, fs.ErrNotExist)
	require.Empty(t, disk.Files("/"), "nothing was made")
	require.NoError(t, disk.Mkdir(dataDir))
	_, err = tryOpen(disk, wal.WithReadOnly())
	require.ErrorIs(t, err, wal.ErrNotLog)
	require.NoError(t, disk.WriteFile(dataDir+"/notes.txt", []byte("x")))
	_, err = tryOpen(disk, wal.WithReadOnly())
	require.ErrorIs(t, err, wal.ErrNotLog)

	m := open(t, disk)
	_, err = m.Lookup("t", 0)
	require.ErrorIs(t, err, wal.ErrNoPartition)
	appendValues(t, partition(t, m, "t", 0), 1)
	_, err = tryOpen(disk)
	require.ErrorIs(t, err, wal.ErrLocked)
	require.NoError(t, m.Close())
	m = open(t, disk)
	require.NoError(t, m.Close())
	require.Contains(t, disk.Files(dataDir), "notes.txt", "what is not the log's stays")
}

// What is void was all that there was of a partition. Once it has records its readers get them,
// by the handle that they have.
func TestFollowerOfAPartitionThatWasVoid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := newDisk(t, sim.Options{})
		m := open(t, disk)
		must(m.Append(bg, "o", 0, record("x")))
		ro := openReadOnly(t, disk)
		disk.Inject(sim.Fault{Op: sim.OpWrite, Landed: true, Name: anySegment, Err: syscall.ENOSPC})
		_, err := m.Append(bg, "t", 0, record("void"))
		require.ErrorIs(t, err, wal.ErrNoSpace)
		require.NoError(t, ro.Refresh(bg))
		q := lookup(t, ro, "t", 0)
		must(m.Append(bg, "o", 0, record("now it is void")))
		require.NoError(t, ro.Refresh(bg))
		require.Zero(t, q.NextOffset())
		ctx, cancel := context.WithCancel(bg)
		f := follow(ctx, q, 0)
		synctest.Wait()
		appendValues(t, partition(t, m, "t", 0), 3)
		require.NoError(t, ro.Refresh(bg))
		synctest.Wait()
		require.Equal(t, []int64{0, 1, 2}, f.seen.all())
		require.Same(t, q, lookup(t, ro, "t", 0))
		cancel()
		require.ErrorIs(t, <-f.done, context.Canceled)
	})
}
