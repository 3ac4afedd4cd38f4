package wal_test

import (
	"bytes"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/stretchr/testify/require"

	wal "github.com/chronik-go/wal/core"
	"github.com/chronik-go/wal/core/backend/sim"
)

// fillDisk appends records of 1 KiB until the disk is full and returns the offset that
// the next one gets.
func fillDisk(t *testing.T, p *wal.Partition) int64 {
	t.Helper()
	for next := p.NextOffset(); ; next++ {
		got, err := p.Append(bg, big(1024, byte(next)))
		if err != nil {
			require.ErrorIs(t, err, wal.ErrNoSpace)
			require.ErrorIs(t, err, syscall.ENOSPC)
			require.NotErrorIs(t, err, wal.ErrFailed)
			require.Equal(t, next, p.NextOffset())
			return next
		}
		require.Equal(t, next, got)
		require.Less(t, next, int64(10_000), "the disk is never full")
	}
}

// A full disk fails appends; what is there stays readable; with space they go on where
// they left off, any number of times.
func TestFullDisk(t *testing.T) {
	for _, depth := range []int{1, 4} {
		synctest.Test(t, func(t *testing.T) {
			disk := newDisk(t, sim.Options{Capacity: 200 << 10, Depth: depth})
			m := open(t, disk, wal.WithSegmentSize(16<<10))
			p := partition(t, m, "t", 0)
			var next int64
			for round := range 4 {
				for last := int64(-1); next > last; last, next = next, fillDisk(t, p) {
					synctest.Wait() // sealing a segment frees some space again
				}
				require.Len(t, offsets(t, p, 0), int(next))
				_, err := m.Append(bg, "other", 0, big(9000, 'x'))
				require.ErrorIs(t, err, wal.ErrNoSpace)
				_, err = m.Lookup("other", 0)
				require.ErrorIs(t, err, wal.ErrNoPartition, "its only append failed")
				after := crash(t, disk)
				after.SetCapacity(0)
				requireRecords(t, lookup(t, open(t, after), "t", 0), 0, next)
				disk.SetCapacity(int64(300+100*round) << 10)
			}
			got, err := p.Append(bg, big(1024, byte(next)))
			require.NoError(t, err)
			require.Equal(t, next, got)
			requireRecords(t, p, 0, next+1)
			require.NoError(t, m.Close())
			disk.SetCapacity(0)
			requireRecords(t, lookup(t, open(t, disk), "t", 0), 0, next+1)
		})
	}
}

// requireRecords demands the records of fillDisk.
func requireRecords(t *testing.T, p *wal.Partition, from, to int64) {
	t.Helper()
	next := from
	for r, err := range p.Read(bg, from) {
		require.NoError(t, err)
		require.Equal(t, next, r.Offset)
		require.Equal(t, big(1024, byte(next)).Value, r.Value)
		next++
	}
	require.Equal(t, to, next)
	require.Equal(t, to, p.NextOffset())
}

// Truncating makes space on a full disk: it needs none itself.
func TestTruncateOnFullDisk(t *testing.T) {
	for _, alignment := range []int{512, 4096} {
		for _, recycle := range []int{0, 2} {
			synctest.Test(t, func(t *testing.T) {
				disk := newDisk(t, sim.Options{Capacity: 200 << 10, Alignment: alignment})
				m := open(t, disk, wal.WithSegmentSize(32<<10), wal.WithRecycleLimit(recycle))
				appendValues(t, partition(t, m, "idle", 7), 3)
				idle := lookup(t, m, "idle", 7)
				require.NoError(t, idle.TruncateBefore(bg, 3))
				p := partition(t, m, "t", 0)
				for range 5 {
					next := fillDisk(t, p)
					require.NoError(t, p.TruncateBefore(bg, next-10))
					require.Equal(t, next-10, p.FirstOffset())
					synctest.Wait() // retention does its work
					requireRecords(t, p, next-10, next)
					got, err := p.Append(bg, big(1024, byte(next)))
					require.NoError(t, err)
					require.Equal(t, next, got)
				}
				next, first := p.NextOffset(), p.FirstOffset()
				require.NoError(t, m.Close())
				m = open(t, disk)
				requireRecords(t, lookup(t, m, "t", 0), first, next)
				require.EqualValues(t, 3, lookup(t, m, "idle", 7).NextOffset())
			})
		}
	}
}

// Lack of space that shows only when a group is written fails what is not acknowledged
// yet, all of it: none of it turns up later.
func TestNoSpaceWhileWriting(t *testing.T) {
	for _, errno := range []syscall.Errno{syscall.ENOSPC, syscall.EDQUOT, syscall.EFBIG} {
		for after := range 6 {
			synctest.Test(t, func(t *testing.T) {
				disk := newDisk(t, sim.Options{Depth: 4, Seed: uint64(after)})
				var failures recorder[error]
				m := open(t, disk, wal.WithHooks(wal.Hooks{Failed: func(err error, _ bool) { failures.add(err) }}))
				p, q := partition(t, m, "t", 0), partition(t, m, "u", 0)
				appendValues(t, p, 5)
				disk.Inject(sim.Fault{Op: sim.OpWrite, Name: anySegment, Err: errno, After: after})
				disk.Stall()
				var acks []wal.Ack
				for range 4 {
					for _, part := range []*wal.Partition{p, q} {
						ack, err := part.AppendAsync(bg, record("of the group"), record("as well"))
						require.NoError(t, err)
						acks = append(acks, ack)
					}
					synctest.Wait()
				}
				disk.Resume()
				failed := 0
				for i, ack := range acks {
					err := ack.Wait(bg)
					require.Equal(t, err, ack.Wait(bg), "it stays the same")
					if err == nil {
						require.Zero(t, failed, "append %d after one that failed", i)
						continue
					}
					require.ErrorIs(t, err, wal.ErrNoSpace)
					require.ErrorIs(t, err, errno)
					failed++
				}
				require.Empty(t, failures.all(), "lack of space is no failure of the log")
				disk.ClearFaults()
				before := p.NextOffset()
				require.Len(t, offsets(t, p, 0), int(before))
				ack, err := p.AppendAt(bg, before, record("again"))
				require.NoError(t, err)
				require.NoError(t, ack.Wait(bg))
				want := collect(t, m)
				for _, mode := range []sim.Mode{sim.DropAll, sim.KeepAll} {
					image := disk.Image(sim.Image{Mode: mode})
					checkAtEnd(t, image)
					require.Equal(t, want, collect(t, open(t, image)))
				}
				require.NoError(t, m.Close())
				require.Equal(t, want, collect(t, open(t, disk)))
			})
		}
	}
}

// collect returns the values of all records, by partition and offset.
func collect(t tester, m *wal.Manager) map[string]map[int64]string {
	t.Helper()
	all := map[string]map[int64]string{}
	for _, info := range m.Partitions() {
		p := lookup(t, m, info.Topic, info.Partition)
		records := map[int64]string{}
		for r, err := range p.Read(bg, p.FirstOffset()) {
			require.NoError(t, err)
			records[r.Offset] = string(r.Value)
		}
		all[p.String()] = records
	}
	return all
}

// Nor does a failure to prepare ahead matter once there is space when it counts.
func TestNoSpaceWhilePreparing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := newDisk(t, sim.Options{})
		m := open(t, disk, wal.WithSegmentSize(16<<10))
		p := partition(t, m, "t", 0)
		hit := disk.Inject(sim.Fault{Op: sim.OpCreate, After: 1, Err: syscall.ENOSPC})
		for i := range int64(40) {
			_, err := p.Append(bg, big(1024, byte(i)))
			require.NoError(t, err)
			synctest.Wait()
		}
		require.Equal(t, 1, hit.Hits())
		requireRecords(t, p, 0, 40)
	})
}

// A producer with many appends in flight whose order counts: whatever of them fails on a full
// disk, what is in the log is a prefix, also when there is space again in between.
func TestAppendAfterKeepsOrder(t *testing.T) {
	for seed := range uint64(40) {
		synctest.Test(t, func(t *testing.T) {
			disk := newDisk(t, sim.Options{Depth: 1 + int(seed%4), Seed: seed})
			m := open(t, disk, wal.WithSegmentSize(16<<10))
			p := partition(t, m, "t", 0)
			disk.Inject(sim.Fault{Op: sim.OpWrite, Name: anySegment, Err: syscall.ENOSPC, After: int(seed % 7), Times: 1 + int(seed%2)})
			var acks []wal.Ack
			var last wal.Ack
			var failed error
			for i := range 40 {
				ack, err := p.AppendAfter(bg, last, valueAt(int64(i)))
				if failed != nil {
					require.ErrorIs(t, err, wal.ErrNoSpace, "append %d follows one that failed", i)
				}
				if err != nil {
					failed = err
					continue
				}
				acks, last = append(acks, ack), ack
				if i%5 == 4 {
					synctest.Wait()
				}
			}
			good := 0
			for i, ack := range acks {
				switch err := ack.Wait(bg); {
				case err == nil:
					require.Equal(t, i, good, "acknowledged behind one that failed")
					good++
				default:
					require.ErrorIs(t, err, wal.ErrNoSpace)
				}
			}
			require.Less(t, good, 40, "the fault struck")
			require.Len(t, offsets(t, p, 0), good)
			_, err := p.AppendAfter(bg, last, valueAt(0))
			require.ErrorIs(t, err, wal.ErrNoSpace)
			disk.ClearFaults()
			ack, err := p.AppendAfter(bg, wal.Ack{}, valueAt(int64(good)))
			require.NoError(t, err)
			require.NoError(t, ack.Wait(bg))
			require.EqualValues(t, good, ack.Offset())
			ack, err = p.AppendAfter(bg, ack, valueAt(int64(good+1)))
			require.NoError(t, err)
			require.NoError(t, ack.Wait(bg))
			require.NoError(t, m.Close())
		})
	}
}

// An append to one log cannot follow one to another.
func TestAppendAfterOfAnotherLog(t *testing.T) {
	m, other := open(t, newDisk(t, sim.Options{})), open(t, newDisk(t, sim.Options{}))
	ack, err := partition(t, other, "t", 0).AppendAsync(bg, valueAt(0))
	require.NoError(t, err)
	_, err = partition(t, m, "t", 0).AppendAfter(bg, ack, valueAt(0))
	require.ErrorIs(t, err, wal.ErrInvalid)
}

// A log that is opened on a disk without space for another segment takes a truncation, which
// makes some: in a small segment. After a crash even without any space left, since what the
// crash left reserved is given back first.
func TestTruncateAfterOpeningOnAFullDisk(t *testing.T) {
	for _, closed := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			opts := []wal.Option{wal.WithSegmentSize(64 << 10), wal.WithRecycleLimit(0)}
			disk := newDisk(t, sim.Options{})
			m := open(t, disk, opts...)
			p := partition(t, m, "t", 0)
			for i := range 100 {
				_, err := p.Append(bg, big(1024, byte(i)))
				require.NoError(t, err)
			}
			left := int64(0)
			if closed {
				require.NoError(t, m.Close())
				left = 24 << 10 // a header, a truncation, the declarations of those that stay
			} else {
				disk = crash(t, disk)
			}
			disk.SetCapacity(disk.Used() + left)
			m = open(t, disk, opts...)
			p = lookup(t, m, "t", 0)
			_, err := p.Append(bg, big(30<<10, 'x'))
			if closed {
				require.ErrorIs(t, err, wal.ErrNoSpace)
				require.ErrorContains(t, err, "CHRONIK_WAL_SEGMENT_SIZE", "the error says what to do")
			}
			require.NoError(t, p.TruncateBefore(bg, 90))
			synctest.Wait()
			requireRecords(t, p, 90, 100)
			got, err := p.Append(bg, big(1024, 100))
			require.NoError(t, err, "there is space again")
			require.EqualValues(t, 100, got)
			require.NoError(t, m.Close())
			requireRecords(t, lookup(t, open(t, disk), "t", 0), 90, 101)
		})
	}
}

// Space that comes back is used for retention, though it is too little for a segment: what
// was truncated when there was none for the rest of the work goes as soon as there is some.
func TestRetentionGoesOnWithLittleSpace(t *testing.T) {
	held := 0
	for truncations := range int64(48) {
		synctest.Test(t, func(t *testing.T) {
			disk := newDisk(t, sim.Options{Capacity: 200 << 10})
			m := open(t, disk, wal.WithSegmentSize(32<<10), wal.WithRecycleLimit(0))
			idle := partition(t, m, "idle", 7) // only the oldest segment names it
			appendValues(t, idle, 3)
			require.NoError(t, idle.TruncateBefore(bg, 3))
			p := partition(t, m, "t", 0)
			next := fillDisk(t, p)
			synctest.Wait()
			used := disk.Used()
			disk.SetCapacity(used)
			for offset := range truncations { // they take the space that is kept for them
				if err := p.TruncateBefore(bg, offset+1); err != nil {
					require.ErrorIs(t, err, wal.ErrNoSpace)
					return
				}
			}
			if err := p.TruncateBefore(bg, next-10); err != nil {
				require.ErrorIs(t, err, wal.ErrNoSpace)
				return
			}
			synctest.Wait()
			if m.Stats().Dropped == 0 {
				held++
			}
			disk.SetCapacity(used + 16<<10)
			for range 3 {
				_, err := p.Append(bg, big(1024, byte(next)))
				if err == nil {
					return
				}
				require.ErrorIs(t, err, wal.ErrNoSpace)
				synctest.Wait()
			}
			require.Fail(t, "no way back", "after %d truncations", truncations)
		})
	}
	require.Positive(t, held, "retention always had the space it takes")
}

// Where there is no space to move the records of a partition that lags, the keeper waits before
// it tries again: the appends that failed may be its own. Nothing else has to happen then.
func TestMovesWithoutSpaceAreTriedAgainLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := newDisk(t, sim.Options{Capacity: 400 << 10})
		var warnings atomic.Int64
		m := open(t, disk, wal.WithSegmentSize(32<<10), wal.WithRecycleLimit(0), wal.WithMoveLimit(60<<10),
			wal.WithLogger(hclog.New(&hclog.LoggerOptions{Output: writerFunc(func(line []byte) {
				if !bytes.Contains(line, []byte("cannot move old records")) {
					return
				}
				if warnings.Add(1) == 10 {
					disk.SetCapacity(0) // it would go on for ever
				}
			})})))
		for range 12 {
			must(m.Append(bg, "slow", 0, big(1024, 's')))
		}
		p := partition(t, m, "busy", 0)
		next := fillDisk(t, p)
		synctest.Wait()
		disk.SetCapacity(disk.Used())
		require.NoError(t, p.TruncateBefore(bg, next))
		synctest.Wait()
		require.EqualValues(t, 1, warnings.Load())
		for range 3 {
			_, err := p.Append(bg, big(1024, 'b'))
			require.ErrorIs(t, err, wal.ErrNoSpace)
			synctest.Wait()
		}
		require.EqualValues(t, 1, warnings.Load(), "a failed append is no reason to try")
		time.Sleep(11 * time.Second)
		synctest.Wait()
		require.EqualValues(t, 3, warnings.Load(), "it is tried every five seconds")
		require.Zero(t, m.Stats().MovedBytes)
		disk.SetCapacity(0)
		time.Sleep(5 * time.Second)
		synctest.Wait()
		require.Positive(t, m.Stats().MovedBytes, "with space it goes on, though nobody appends")
		require.EqualValues(t, 3, warnings.Load())
	})
}

type writerFunc func([]byte)

func (f writerFunc) Write(b []byte) (int, error) {
	f(b)
	return len(b), nil
}

// Lack of space is no failure: that retention's own write met it leaves the log its one retry.
func TestNoSpaceLeavesTheRetry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := newDisk(t, sim.Options{})
		m := open(t, disk, wal.WithSegmentSize(16<<10))
		appendValues(t, partition(t, m, "idle", 0), 1)
		require.NoError(t, lookup(t, m, "idle", 0).TruncateBefore(bg, 1))
		p := partition(t, m, "t", 0)
		for i := range 40 {
			must(p.Append(bg, big(1024, byte(i))))
		}
		synctest.Wait()
		hit := disk.Inject(sim.Fault{Op: sim.OpWrite, Name: anySegment, Err: syscall.ENOSPC, After: 1})
		require.NoError(t, p.TruncateBefore(bg, 39))
		synctest.Wait()
		require.Equal(t, 1, hit.Hits(), "the declaration that retention writes found no space")
		must(p.Append(bg, big(1024, 1)))
		hit = disk.Inject(sim.Fault{Op: sim.OpWrite, Name: anySegment})
		_, err := p.Append(bg, big(1024, 2))
		require.Equal(t, 1, hit.Hits())
		require.NoError(t, err, "the first failure is not final")
	})
}
