package wal_test

import (
	"context"
	"iter"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	wal "github.com/chronik-go/wal/core"
	"github.com/chronik-go/wal/core/backend/sim"
)

// A truncation that is on its way when records are moved forward: the copy must not get
// behind it, or it would bring back what was truncated in place of what was appended since.
func TestMoveBehindPendingTruncation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := newDisk(t, sim.Options{})
		m := open(t, disk, small, aLittle)
		cut, busy := partition(t, m, "cut", 0), partition(t, m, "busy", 0)
		for range 6 {
			must(cut.Append(bg, record("old")))
		}
		for range 150 {
			must(busy.Append(bg, big(400, 'x')))
		}
		synctest.Wait()
		disk.Stall()
		busyDone := run(func() error { return busy.TruncateBefore(bg, busy.NextOffset()) })
		synctest.Wait()
		cutDone := run(func() error { return cut.TruncateAfter(bg, 2) })
		synctest.Wait()
		newDone := run(func() error { _, err := cut.Append(bg, record("new"), record("new"), record("new")); return err })
		synctest.Wait()
		disk.Complete(1) // busy's truncation is acknowledged: the mover sets out
		synctest.Wait()
		require.NoError(t, <-busyDone)
		disk.Resume()
		require.NoError(t, <-cutDone)
		require.NoError(t, <-newDone)
		synctest.Wait()
		want := map[int64]string{0: "old", 1: "old", 2: "old", 3: "new", 4: "new", 5: "new"}
		require.Equal(t, want, collect(t, m)["cut/0"])
		require.Equal(t, want, collect(t, open(t, crash(t, disk)))["cut/0"])
		require.Positive(t, m.Stats().MovedBytes, "moved once the truncation was acknowledged")
	})
}

// Two truncations at once: the one that goes less far does not take back the other.
func TestTruncationsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := newDisk(t, sim.Options{})
		m := open(t, disk)
		p := partition(t, m, "t", 0)
		appendValues(t, p, 10)
		disk.Stall()
		far := run(func() error { return p.TruncateBefore(bg, 7) })
		synctest.Wait()
		near := run(func() error { return p.TruncateBefore(bg, 3) })
		synctest.Wait()
		disk.Resume()
		require.NoError(t, <-far)
		require.NoError(t, <-near)
		require.NoError(t, m.Close())
		var bases []int64
		for item, err := range wal.Dump(bg, dataDir, wal.DumpOptions{}, wal.WithBackend(disk)) {
			require.NoError(t, err)
			if item.Kind == "truncate-before" {
				bases = append(bases, item.Entry.Base)
			}
		}
		require.Equal(t, []int64{7, 7}, bases, "a truncation never states less than the first offset")
	})
}

// A read error while a reader refreshes is told, and the next refresh goes on.
func TestRefreshAfterReadError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := newDisk(t, sim.Options{})
		m := open(t, disk, wal.WithSegmentSize(16<<10))
		p := partition(t, m, "t", 0)
		appendValues(t, p, 10)
		ro := openReadOnly(t, disk)
		q := lookup(t, ro, "t", 0)
		for range 10 {
			appendValues(t, p, 10)
			must(m.Append(bg, "o", 0, big(4000, 'x')))
		}
		synctest.Wait() // the writer has the next segment ready
		open := disk.OpenHandles()
		disk.Inject(sim.Fault{Op: sim.OpRead, Name: "00000000000000000003.wal"})
		require.Error(t, ro.Refresh(bg))
		require.Equal(t, open, disk.OpenHandles(), "a refresh that fails leaves nothing open")
		require.NoError(t, ro.Refresh(bg))
		requireValues(t, q, 0, p.NextOffset())
		require.Len(t, must(ro.Segments()), len(must(m.Segments())))
		ended, cancel := context.WithCancel(bg)
		cancel()
		appendValues(t, p, 10)
		require.ErrorIs(t, ro.Refresh(ended), context.Canceled)
	})
}

// A segment whose header is damaged is told by the refresh that comes upon it.
func TestRefreshFindsDamagedHeader(t *testing.T) {
	disk := newDisk(t, sim.Options{})
	m := open(t, disk, wal.WithSegmentSize(16<<10))
	p := partition(t, m, "t", 0)
	appendValues(t, p, 10)
	ro := openReadOnly(t, disk)
	for range 10 {
		must(m.Append(bg, "o", 0, big(4000, 'x')))
	}
	require.NoError(t, disk.FlipBit(segmentFile(2), 20, 1))
	require.ErrorIs(t, ro.Refresh(bg), wal.ErrDamaged)
}

// A write fails for lack of space after its bytes have landed. A reader beside the writer has
// taken them in, and gives them up once the writer has gone on without them.
func TestReaderGivesUpWhatIsVoid(t *testing.T) {
	for _, truncates := range []bool{false, true} {
		disk := newDisk(t, sim.Options{})
		m := open(t, disk)
		p := partition(t, m, "t", 0)
		appendValues(t, p, 3)
		ro := openReadOnly(t, disk)
		q := lookup(t, ro, "t", 0)
		disk.Inject(sim.Fault{Op: sim.OpWrite, Landed: true, Name: anySegment, Err: syscall.ENOSPC})
		if truncates {
			require.ErrorIs(t, p.TruncateAfter(bg, 0), wal.ErrNoSpace)
		} else {
			_, err := p.Append(bg, record("failed"))
			require.ErrorIs(t, err, wal.ErrNoSpace)
		}
		require.NoError(t, ro.Refresh(bg))
		require.NotEqualValues(t, 3, q.NextOffset(), "the reader cannot know yet")
		appendValues(t, partition(t, m, "u", 0), 5) // now it is void for good
		require.NoError(t, ro.Refresh(bg))
		requireValues(t, q, 0, 3)
		requireValues(t, lookup(t, ro, "u", 0), 0, 5)
		for range 3 {
			appendValues(t, p, 10)
			require.NoError(t, ro.Refresh(bg))
			requireValues(t, q, 0, p.NextOffset())
		}
		require.NoError(t, ro.Close())
	}
}

// A follower beside the writer has seen a record that is void by now. It is told, though there
// are others at its offset and behind it, and though they were moved.
func TestFollowerIsToldOfWhatIsVoid(t *testing.T) {
	for _, moved := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			disk := newDisk(t, sim.Options{})
			m := open(t, disk, wal.WithSegmentSize(16<<10), wal.WithMoveLimit(16<<10), wal.WithRecycleLimit(0))
			p := partition(t, m, "t", 0)
			appendValues(t, p, 3)
			must(m.Append(bg, "o", 0, record("needs the first segment")))
			ro := openReadOnly(t, disk)
			q := lookup(t, ro, "t", 0)
			disk.Inject(sim.Fault{Op: sim.OpWrite, Landed: true, Name: anySegment, Err: syscall.ENOSPC})
			_, err := p.Append(bg, record("void"))
			require.ErrorIs(t, err, wal.ErrNoSpace)
			require.NoError(t, ro.Refresh(bg))
			next, stop := iter.Pull2(q.Follow(bg, 0))
			defer stop()
			for range 4 {
				_, err, _ := next()
				require.NoError(t, err)
			}
			appendValues(t, p, 5)
			if moved {
				first, release := iter.Pull2(p.Read(bg, 0)) // the segment's file stays while it is read
				defer release()
				_, err, _ := first()
				require.NoError(t, err)
				busy := partition(t, m, "busy", 0)
				for range 60 {
					require.NoError(t, busy.TruncateBefore(bg, must(busy.Append(bg, big(4000, 'x')))))
					synctest.Wait()
				}
				require.Positive(t, m.Stats().MovedBytes)
			}
			require.NoError(t, ro.Refresh(bg))
			_, err, _ = next()
			var truncated *wal.TruncatedError
			require.ErrorAs(t, err, &truncated)
			require.LessOrEqual(t, truncated.GoOn, int64(3))
			requireValues(t, q, 0, p.NextOffset())
		})
	}
}

// Where a reader has to read the log anew, a follower that has passed a gap is told that it was
// cut off and filled, as it is where the reader just reads on.
func TestFollowerIsToldOfAFilledGap(t *testing.T) {
	for _, void := range []bool{false, true} {
		for _, behind := range []int{0, 2} { // records behind the gap
			synctest.Test(t, func(t *testing.T) {
				disk := newDisk(t, sim.Options{})
				m := open(t, disk)
				p := partition(t, m, "t", 0)
				appendValues(t, p, 6)
				appendAt(t, p, 10, 2)
				require.NoError(t, p.TruncateAfter(bg, int64(9+behind)))
				must(m.Append(bg, "o", 0, record("x")))
				ro := openReadOnly(t, disk)
				q := lookup(t, ro, "t", 0)
				if void {
					disk.Inject(sim.Fault{Op: sim.OpWrite, Landed: true, Name: anySegment, Err: syscall.ENOSPC})
					_, err := m.Append(bg, "o", 0, record("void"))
					require.ErrorIs(t, err, wal.ErrNoSpace)
				}
				require.NoError(t, ro.Refresh(bg))
				seen := 0
				end := run(func() error {
					for _, err := range q.Follow(bg, 0) {
						if err != nil {
							return err
						}
						seen++
					}
					return nil
				})
				synctest.Wait()
				require.Equal(t, 6+behind, seen)
				require.NoError(t, p.TruncateAfter(bg, 5))
				appendValues(t, p, 8)
				require.NoError(t, ro.Refresh(bg))
				var truncated *wal.TruncatedError
				require.ErrorAs(t, <-end, &truncated)
				require.EqualValues(t, 6, truncated.GoOn)
			})
		}
	}
}

// A log for one partition that cannot start leaves nothing behind, and the next try works.
func TestDedicatedLogThatCannotStart(t *testing.T) {
	disk := newDisk(t, sim.Options{})
	m := open(t, disk, wal.WithLayout(wal.LayoutDedicated), wal.WithFsyncMode(wal.FsyncPeriodic))
	must(m.Append(bg, "a", 0, record("x")))
	open, files := disk.OpenHandles(), len(disk.Files(dataDir))
	for after := range 3 { // the queues of its two member files and its own
		disk.Inject(sim.Fault{Op: sim.OpQueue, After: after})
		_, err := m.Append(bg, "b", 0, record("y"))
		require.Error(t, err)
		require.Equal(t, open, disk.OpenHandles())
	}
	must(m.Append(bg, "b", 0, record("y")))
	require.Len(t, disk.Files(dataDir), files+2, "one folder with its member file")
	ctx, cancel := context.WithTimeout(bg, time.Minute) // only for a log that hangs
	defer cancel()
	require.NoError(t, m.Sync(ctx))
	require.NoError(t, m.Close())
}

// Segments can be listed while they are written and while a reader refreshes; the race
// detector looks on.
func TestSegmentsBesideWriters(t *testing.T) {
	disk := newDisk(t, sim.Options{NoTrace: true})
	m := open(t, disk, wal.WithSegmentSize(16<<10))
	p := partition(t, m, "t", 0)
	appendValues(t, p, 1)
	ro := openReadOnly(t, disk)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for _, x := range []*wal.Manager{m, ro} {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if _, err := x.Segments(); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for range 100 {
		appendValues(t, p, 20)
		require.NoError(t, ro.Refresh(bg))
	}
	close(stop)
	wg.Wait()
	requireValues(t, lookup(t, ro, "t", 0), 0, p.NextOffset())
}

// A directory whose sync has failed is not relied on any more: what is renamed or removed
// after that could be durable without what came before. The log fails, and works again once
// it was opened anew.
func TestFailedSyncOfDirectoryIsFinal(t *testing.T) {
	for _, recycle := range []int{0, 2} {
		synctest.Test(t, func(t *testing.T) {
			opts := []wal.Option{wal.WithSegmentSize(16 << 10), wal.WithRecycleLimit(recycle)}
			disk := newDisk(t, sim.Options{})
			m := open(t, disk, opts...)
			p := partition(t, m, "t", 0)
			for range 100 {
				must(p.Append(bg, big(1024, 'x')))
			}
			synctest.Wait()
			disk.Inject(sim.Fault{Op: sim.OpDirSync})
			require.NoError(t, p.TruncateBefore(bg, 90))
			synctest.Wait()
			_, err := p.Append(bg, record("x"))
			require.ErrorIs(t, err, wal.ErrFailed)
			require.ErrorIs(t, m.Close(), wal.ErrFailed)
			m = open(t, disk, opts...)
			p = lookup(t, m, "t", 0)
			for range 100 {
				must(p.Append(bg, big(1024, 'x')))
				require.NoError(t, p.TruncateBefore(bg, p.NextOffset()-5))
				synctest.Wait()
			}
			require.Greater(t, m.Stats().Dropped, uint64(5))
		})
	}
}

// A full disk has a way back after the log was opened again, and after its segment ended by
// age.
func TestTruncateOnFullDiskLater(t *testing.T) {
	for _, reopen := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			disk := newDisk(t, sim.Options{Capacity: 200 << 10})
			opts := []wal.Option{wal.WithSegmentSize(32 << 10), wal.WithRotationAge(time.Hour)}
			m := open(t, disk, opts...)
			p := partition(t, m, "t", 0)
			for last, next := int64(-1), int64(0); next > last; last, next = next, fillDisk(t, p) {
				synctest.Wait()
			}
			if reopen {
				require.NoError(t, m.Close())
				m = open(t, disk, opts...)
				p = lookup(t, m, "t", 0)
			} else {
				time.Sleep(2 * time.Hour)
			}
			synctest.Wait()
			require.NoError(t, p.TruncateBefore(bg, p.NextOffset()-1))
			synctest.Wait()
			must(p.Append(bg, big(1024, 'x')))
		})
	}
}

// A reader whose segments were dropped before it looked has missed the truncations in them: it
// must not show what they took away.
func TestRefreshMissedATruncation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := newDisk(t, sim.Options{})
		m := open(t, disk, small, aLittle)
		p, busy := partition(t, m, "t", 0), partition(t, m, "busy", 0)
		appendValues(t, p, 10)
		ro := openReadOnly(t, disk)
		q := lookup(t, ro, "t", 0)
		rotate := func() {
			for range 100 {
				must(busy.Append(bg, big(400, 'x')))
			}
		}
		rotate()
		require.NoError(t, p.TruncateAfter(bg, 4))
		ack, err := p.AppendAt(bg, 8, record("new"), record("new"))
		require.NoError(t, err)
		require.NoError(t, ack.Wait(bg))
		rotate()
		require.NoError(t, busy.TruncateBefore(bg, busy.NextOffset()))
		rotate()
		synctest.Wait()
		require.Positive(t, m.Stats().MovedBytes, "or the segments are still there")
		require.NoError(t, ro.Refresh(bg))
		require.Equal(t, collect(t, m)["t/0"], collect(t, ro)["t/0"])
		require.Equal(t, []int64{0, 1, 2, 3, 4, 8, 9}, offsets(t, q, 0))
		require.NoError(t, ro.Close())
	})
}
