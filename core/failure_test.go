package wal_test

import (
	"fmt"
	"path"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	wal "github.com/chronik-go/wal/core"
	"github.com/chronik-go/wal/core/backend/sim"
)

const anySegment = "*.wal"

// failures are the ways in which writing a group can go wrong once.
var failures = map[string]sim.Fault{
	"write":            {Op: sim.OpWrite, Name: anySegment},
	"short write":      {Op: sim.OpWrite, Name: anySegment, Short: true},
	"sync":             {Op: sim.OpSync, Name: anySegment},
	"sync, gate":       {Op: sim.OpSync, Name: anySegment, Gate: true},
	"sync, no space":   {Op: sim.OpSync, Name: anySegment, Gate: true, Err: syscall.ENOSPC},
	"submit":           {Op: sim.OpSubmit, Name: anySegment},
	"header write":     {Op: sim.OpWrite, Name: "prepare-*"},
	"header sync":      {Op: sim.OpSync, Name: "prepare-*", Gate: true},
	"create a segment": {Op: sim.OpCreate, Name: "prepare-*"},
	"name a segment":   {Op: sim.OpRename, Name: "prepare-*"},
}

// After one failed write or sync all that was submitted is written again elsewhere and
// acknowledged, and the file that failed is left alone.
func TestFailedWriteIsWrittenAgainElsewhere(t *testing.T) {
	for name, fault := range failures {
		for _, depth := range []int{1, 4} {
			for after := range 3 {
				t.Run(fmt.Sprintf("%s/depth %d/after %d", name, depth, after), func(t *testing.T) {
					disk := newDisk(t, sim.Options{Depth: depth, Seed: uint64(after), PreferWritten: depth == 4})
					fault := fault
					fault.After = after
					hit := disk.Inject(fault)
					m := open(t, disk, wal.WithSegmentSize(16<<10))
					fill(t, m, 4, 60)
					require.Equal(t, 1, hit.Hits(), "the fault struck")
					requireFilled(t, m, 4, 60)
					requireLeftAlone(t, disk.Trace())
					after := crash(t, disk)
					require.NoError(t, m.Close())
					requireLeftAlone(t, disk.Trace())
					requireFilled(t, open(t, disk), 4, 60)
					requireFilled(t, open(t, after), 4, 60)
				})
			}
		}
	}
}

// fill appends n records to each of several partitions, all at once.
func fill(t *testing.T, m *wal.Manager, partitions, n int) {
	t.Helper()
	var wg sync.WaitGroup
	for i := range partitions {
		p := partition(t, m, "t", int32(i))
		wg.Go(func() {
			for j := range n {
				if got, err := p.Append(bg, valueAt(int64(j))); err != nil || got != int64(j) {
					t.Errorf("append %d to %s: offset %d, %v", j, p, got, err)
					return
				}
			}
		})
	}
	wg.Wait()
	require.False(t, t.Failed())
}

func requireFilled(t *testing.T, m *wal.Manager, partitions, n int) {
	t.Helper()
	for i := range partitions {
		requireValues(t, lookup(t, m, "t", int32(i)), 0, int64(n))
	}
}

// requireLeftAlone demands that nothing is written to a file, nor is it synced, once a
// write or sync of it has failed.
func requireLeftAlone(t *testing.T, trace *sim.Trace) {
	t.Helper()
	failed := map[string]string{}
	for i := range trace.Len() {
		o := trace.Op(i)
		file := path.Join(o.Dir, o.Name)
		switch o.Op {
		case sim.OpRename:
			if at, ok := failed[file]; ok {
				t.Errorf("%v, after %s", o, at)
			}
			delete(failed, path.Join(o.Dir, o.NewName)) // replaced
		case sim.OpCreate, sim.OpRemove:
			delete(failed, file)
		case sim.OpSubmit, sim.OpFileSync, sim.OpResize:
			if at, ok := failed[file]; ok {
				t.Errorf("%v, after %s", o, at)
			}
		}
		if o.Failed && (o.Op == sim.OpWrite || o.Op == sim.OpSync || o.Op == sim.OpFileSync) && o.Name != "" {
			failed[file] = o.String()
		}
	}
}

// The second failure is final: whoever waits gets ErrFailed, as does everything later.
func TestSecondFailureIsFinal(t *testing.T) {
	for name, fault := range failures {
		t.Run(name, func(t *testing.T) {
			disk := newDisk(t, sim.Options{})
			var events recorder[bool]
			m := open(t, disk, wal.WithSegmentSize(16<<10), wal.WithHooks(wal.Hooks{
				Failed: func(_ error, sticky bool) { events.add(sticky) },
			}))
			p := partition(t, m, "t", 0)
			appendValues(t, p, 10)
			acked, err := p.AppendAsync(bg, valueAt(10))
			require.NoError(t, err)
			require.NoError(t, acked.Wait(bg))
			fault.Times = sim.Forever
			disk.Inject(fault)

			disk.Stall()
			var acks []wal.Ack
			for range 3 {
				ack, err := p.AppendAsync(bg, big(12000, 'x'))
				require.NoError(t, err)
				acks = append(acks, ack)
			}
			waiting := run(func() error { return acks[2].Wait(bg) })
			disk.Resume()
			require.ErrorIs(t, <-waiting, wal.ErrFailed)
			for _, ack := range acks { // there may have been room for the first of them
				err := ack.Wait(bg)
				if ack.Offset() >= p.NextOffset() {
					require.ErrorIs(t, err, wal.ErrFailed, "offset %d", ack.Offset())
				} else {
					require.NoError(t, err)
				}
			}
			require.NoError(t, acked.Wait(bg), "what was acknowledged stays so")
			next := p.NextOffset()

			disk.ClearFaults()
			_, err = p.Append(bg, record("more"))
			require.ErrorIs(t, err, wal.ErrFailed)
			cause := fault.Err
			if cause == nil {
				cause = syscall.EIO
			}
			require.ErrorIs(t, err, cause, "the cause can be found")
			require.ErrorIs(t, p.TruncateBefore(bg, 5), wal.ErrFailed)
			require.ErrorIs(t, p.TruncateAfter(bg, 5), wal.ErrFailed)
			_, err = p.AppendAt(bg, 100, record("more"))
			require.ErrorIs(t, err, wal.ErrFailed)
			_, err = m.Append(bg, "new", 0, record("more"))
			require.ErrorIs(t, err, wal.ErrFailed)
			require.Len(t, offsets(t, p, 0), int(next))

			require.ErrorIs(t, m.Close(), wal.ErrFailed)
			require.Equal(t, []bool{false, true}, events.all(), "sticky, as the hook was told")
			requireLeftAlone(t, disk.Trace())
			m = open(t, disk)
			p = lookup(t, m, "t", 0)
			n := p.NextOffset()
			require.GreaterOrEqual(t, n, next)
			require.Len(t, offsets(t, p, 0), int(n))
			got, err := p.Append(bg, record("again"))
			require.NoError(t, err)
			require.Equal(t, n, got)
		})
	}
}

// What the directory does is repeated too, but for its sync: after that nobody knows
// what is there.
func TestFailedDirectorySyncIsFinal(t *testing.T) {
	disk := newDisk(t, sim.Options{})
	m := open(t, disk)
	disk.Inject(sim.Fault{Op: sim.OpDirSync, Gate: true})
	_, err := m.Append(bg, "t", 0, record("x"))
	require.ErrorIs(t, err, wal.ErrFailed)
	require.ErrorIs(t, m.Close(), wal.ErrFailed)
	m = open(t, crash(t, disk))
	_, err = m.Append(bg, "t", 0, record("x"))
	require.NoError(t, err)
}

// A queue that can no longer work is the end too, with groups in flight.
func TestFailedQueueIsFinal(t *testing.T) {
	disk := newDisk(t, sim.Options{Depth: 4})
	m := open(t, disk)
	p := partition(t, m, "t", 0)
	appendValues(t, p, 5)
	disk.Inject(sim.Fault{Op: sim.OpWait, Times: sim.Forever})
	_, err := p.Append(bg, record("x"))
	require.ErrorIs(t, err, wal.ErrFailed)
	disk.ClearFaults()
	requireValues(t, p, 0, 5)
	require.ErrorIs(t, m.Close(), wal.ErrFailed)
	// The record that was refused may have been written nevertheless.
	p = lookup(t, open(t, crash(t, disk)), "t", 0)
	require.Contains(t, []int64{5, 6}, p.NextOffset())
	require.Len(t, offsets(t, p, 0), int(p.NextOffset()))
}

// In mode periodic what was acknowledged is gone from memory, so the first failure is
// final, and nothing passes for durable that was not synced.
func TestPeriodicFailureIsFinal(t *testing.T) {
	for _, name := range []string{"write", "sync", "sync, gate"} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				disk := newDisk(t, sim.Options{})
				m := open(t, disk, wal.WithFsyncMode(wal.FsyncPeriodic), wal.WithRotationAge(time.Minute))
				p := partition(t, m, "t", 0)
				appendValues(t, p, 10)
				require.NoError(t, m.Sync(bg))
				appendValues(t, p, 10)
				require.EqualValues(t, 10, p.DurableOffset())
				disk.Inject(failures[name])
				if name == "write" {
					_, err := p.Append(bg, record("x"))
					require.ErrorIs(t, err, wal.ErrFailed)
				} else {
					time.Sleep(time.Second) // the interval passes
				}
				_, err := p.Append(bg, record("x"))
				require.ErrorIs(t, err, wal.ErrFailed)
				require.ErrorIs(t, m.Sync(bg), wal.ErrFailed)
				time.Sleep(time.Hour) // rotation by age comes due
				require.EqualValues(t, 10, p.DurableOffset())
				requireValues(t, p, 0, 20)
				require.ErrorIs(t, m.Close(), wal.ErrFailed)
				requireLeftAlone(t, disk.Trace())
				p = lookup(t, open(t, crash(t, disk)), "t", 0)
				require.GreaterOrEqual(t, p.NextOffset(), int64(10))
			})
		})
	}
}

// Several callers of Sync at once: when the sync fails none of them may be told that the
// data is durable by a second one, which succeeds for data that is gone.
func TestPeriodicSyncFailsForAllWhoWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := newDisk(t, sim.Options{})
		m := open(t, disk, wal.WithFsyncMode(wal.FsyncPeriodic), wal.WithSyncInterval(time.Hour))
		p := partition(t, m, "t", 0)
		appendValues(t, p, 3)
		disk.Stall()
		ack, err := p.AppendAsync(bg, valueAt(3))
		require.NoError(t, err)
		synctest.Wait() // it is in flight
		var syncs []<-chan error
		for range 3 {
			syncs = append(syncs, run(func() error { return m.Sync(bg) }))
		}
		synctest.Wait() // all of them stand behind the write
		disk.Inject(sim.Fault{Op: sim.OpSync, Name: anySegment, Gate: true})
		disk.Resume()
		for _, s := range syncs {
			require.ErrorIs(t, <-s, wal.ErrFailed)
		}
		require.NoError(t, ack.Wait(bg))
		require.Zero(t, p.DurableOffset())
		require.ErrorIs(t, m.Close(), wal.ErrFailed)
		requireLeftAlone(t, disk.Trace())
	})
}

// Close reports what it could not do, gives everything back, and loses nothing.
func TestCloseAfterFailure(t *testing.T) {
	for name, fault := range map[string]sim.Fault{
		"marker create": {Op: sim.OpCreate, Name: "close*"},
		"marker write":  {Op: sim.OpWrite, Name: "close*"},
		"marker rename": {Op: sim.OpRename, Name: "close*"},
		"marker sync":   {Op: sim.OpDirSync},
		"footer write":  {Op: sim.OpWrite, Name: anySegment},
		"footer resize": {Op: sim.OpResize, Name: anySegment},
		"footer sync":   {Op: sim.OpFileSync, Name: anySegment},
	} {
		t.Run(name, func(t *testing.T) {
			disk := newDisk(t, sim.Options{})
			m := open(t, disk)
			p := partition(t, m, "t", 0)
			appendValues(t, p, 10)
			hit := disk.Inject(fault)
			err := m.Close()
			require.Equal(t, 1, hit.Hits())
			if name[0] == 'm' {
				require.ErrorIs(t, err, syscall.EIO)
			} else {
				require.NoError(t, err, "a footer is for speed")
			}
			after := crash(t, disk)
			for _, d := range []*sim.Disk{disk, after, disk.Image(sim.Image{Mode: sim.Kill})} {
				require.Empty(t, verify(t, d).Damage)
				m := open(t, d)
				p = lookup(t, m, "t", 0)
				requireValues(t, p, 0, 10)
				appendValues(t, p, 1)
				require.NoError(t, m.Close())
				require.Empty(t, verify(t, crash(t, d)).Damage)
			}
		})
	}
}

// Writing zeros ahead syncs the file that the log is in. When that fails, what was
// acknowledged and not synced before is as lost as if the log's own sync had failed.
func TestFailedSyncOfZeros(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := newDisk(t, sim.Options{PreferWritten: true})
		m := open(t, disk, wal.WithFsyncMode(wal.FsyncPeriodic), wal.WithSyncInterval(time.Hour),
			wal.WithSegmentSize(60<<20), wal.WithBufferSize(1<<20))
		p := partition(t, m, "t", 0)
		appendValues(t, p, 5)
		synctest.Wait()
		hit := disk.Inject(sim.Fault{Op: sim.OpSync, Name: anySegment, Gate: true})
		for range 500 {
			if _, err := p.Append(bg, big(64<<10, 'x')); err != nil {
				require.ErrorIs(t, err, wal.ErrFailed)
				break
			}
		}
		synctest.Wait()
		require.Positive(t, hit.Hits(), "zeros were synced")
		_ = m.Sync(bg)
		durable := p.DurableOffset()
		after, err := open(t, crash(t, disk)).Lookup("t", 0)
		if durable > 0 {
			require.NoError(t, err)
			require.GreaterOrEqual(t, after.NextOffset(), durable)
		}
		_ = m.Close()
	})
}
