package wal_test

import (
	"context"
	"fmt"
	"math"
	"runtime"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	wal "github.com/chronik-go/wal/core"
	"github.com/chronik-go/wal/core/backend/sim"
)

func begin(t tester, m *wal.Manager) *wal.Tx {
	t.Helper()
	tx, err := m.Begin()
	require.NoError(t, err)
	return tx
}

// three returns three partitions of topic t.
func three(t tester, m *wal.Manager) (list []*wal.Partition) {
	t.Helper()
	for id := range int32(3) {
		list = append(list, partition(t, m, "t", id))
	}
	return list
}

// commit commits one transaction with the next value of each partition.
func commit(t tester, m *wal.Manager, parts []*wal.Partition) {
	t.Helper()
	tx := begin(t, m)
	for _, p := range parts {
		require.NoError(t, tx.Append(p, valueAt(p.NextOffset())))
	}
	_, err := tx.Commit(bg)
	require.NoError(t, err)
}

// A transaction is one write and one sync; it tells where its records are, and they are there,
// also after a power failure.
func TestTransaction(t *testing.T) {
	for _, mode := range []wal.FsyncMode{wal.FsyncAlways, wal.FsyncBatch, wal.FsyncPeriodic} {
		disk := newDisk(t, sim.Options{})
		m := open(t, disk, wal.WithFsyncMode(mode))
		p := three(t, m)
		appendValues(t, p[1], 4)
		groups := m.Stats().Groups
		tx := begin(t, m)
		reused := valueAt(0)
		require.NoError(t, tx.Append(p[0], reused))
		copy(reused.Value, "????????")
		require.NoError(t, tx.Append(p[1], valueAt(4), valueAt(5)))
		require.NoError(t, tx.AppendAt(p[2], 10, valueAt(10)))
		require.NoError(t, tx.Append(p[1], valueAt(6)))
		require.NoError(t, tx.AppendAt(p[2], 12, valueAt(12)))
		require.EqualValues(t, 0, p[0].NextOffset(), "nothing is there before it is committed")
		got, err := tx.Commit(bg)
		require.NoError(t, err)
		require.Equal(t, []int64{0, 4, 10, 6, 12}, got)
		require.Equal(t, groups+1, m.Stats().Groups)
		require.NoError(t, m.Sync(bg))
		for _, m := range []*wal.Manager{m, openReadOnly(t, disk), open(t, crash(t, disk))} {
			requireValues(t, lookup(t, m, "t", 0), 0, 1)
			requireValues(t, lookup(t, m, "t", 1), 0, 7)
			require.Equal(t, []int64{10, 12}, offsets(t, lookup(t, m, "t", 2), 0))
		}
	}
}

// What a transaction does not take is told before anything of it is in the log, and leaves
// it as it was.
func TestTransactionRefused(t *testing.T) {
	disk := newDisk(t, sim.Options{})
	m := open(t, disk, wal.WithMaxRecordSize(1000))
	p := three(t, m)
	appendValues(t, p[2], 3)
	tx := begin(t, m)
	require.NoError(t, tx.Append(p[0], valueAt(0)))
	require.ErrorIs(t, tx.Append(p[0]), wal.ErrInvalid)
	require.ErrorIs(t, tx.Append(p[0], big(1001, 'x')), wal.ErrRecordTooLarge)
	require.ErrorIs(t, tx.AppendAt(p[0], -1, valueAt(0)), wal.ErrOffsetOutOfRange)
	require.ErrorIs(t, tx.AppendAt(p[0], math.MaxInt64, valueAt(0)), wal.ErrOffsetOutOfRange)
	require.ErrorIs(t, tx.Append(p[1], big(980, 'x')), wal.ErrTxTooLarge)
	other := open(t, newDisk(t, sim.Options{}))
	require.ErrorIs(t, tx.Append(partition(t, other, "t", 0), valueAt(0)), wal.ErrInvalid)
	require.NoError(t, tx.Append(p[1], big(900, 'y')))
	require.NoError(t, tx.AppendAt(p[2], 2, record("too low")))
	groups := m.Stats().Groups
	for range 2 { // that it fails does not end it
		_, err := tx.Commit(bg)
		require.ErrorIs(t, err, wal.ErrOffsetOutOfRange)
		require.ErrorContains(t, err, "t/2")
	}
	ended, cancel := context.WithCancel(bg)
	cancel()
	_, err := tx.Commit(ended)
	require.ErrorIs(t, err, context.Canceled)
	require.Equal(t, groups, m.Stats().Groups)
	requireValues(t, p[2], 0, 3)
	appendValues(t, p[2], 1)
	require.NoError(t, p[2].TruncateAfter(bg, 1))
	got, err := tx.Commit(bg)
	require.NoError(t, err, "by now it fits")
	require.Equal(t, []int64{0, 0, 2}, got)

	require.ErrorIs(t, tx.Append(p[0], valueAt(1)), wal.ErrTxDone)
	_, err = tx.Commit(bg)
	require.ErrorIs(t, err, wal.ErrTxDone)
	tx.Abort() // deferred, say
	requireValues(t, p[0], 0, 1)

	tx = begin(t, m)
	require.NoError(t, tx.Append(p[0], valueAt(1)))
	tx.Abort()
	tx.Abort()
	_, err = tx.Commit(bg)
	require.ErrorIs(t, err, wal.ErrTxDone)
	requireValues(t, p[0], 0, 1)

	got, err = begin(t, m).Commit(bg)
	require.NoError(t, err)
	require.Empty(t, got)
}

// An explicit offset has to be above what the transaction itself has put there.
func TestTransactionAgainstItself(t *testing.T) {
	m := open(t, newDisk(t, sim.Options{}))
	p := partition(t, m, "t", 0)
	tx := begin(t, m)
	require.NoError(t, tx.AppendAt(p, 5, valueAt(5), valueAt(6)))
	require.NoError(t, tx.AppendAt(p, 6, valueAt(6)))
	_, err := tx.Commit(bg)
	require.ErrorIs(t, err, wal.ErrOffsetOutOfRange)
	tx = begin(t, m)
	require.NoError(t, tx.AppendAt(p, math.MaxInt64-1, valueAt(5)))
	require.NoError(t, tx.Append(p, valueAt(6)))
	_, err = tx.Commit(bg)
	require.ErrorIs(t, err, wal.ErrOffsetOutOfRange, "offsets are used up")
	require.Empty(t, m.Partitions())
}

func TestTransactionOfManyAppends(t *testing.T) {
	m := open(t, newDisk(t, sim.Options{}), wal.WithBufferSize(4<<20))
	p := three(t, m)
	appendValues(t, p[0], 1)
	tx := begin(t, m)
	for i := range wal.MaxTxAppends {
		require.NoError(t, tx.Append(p[i%2], record("%d", i)))
	}
	require.ErrorIs(t, tx.Append(p[2], valueAt(0)), wal.ErrTxTooLarge)
	groups := m.Stats().Groups
	_, err := tx.Commit(bg)
	require.NoError(t, err)
	require.Equal(t, groups+1, m.Stats().Groups)
	require.EqualValues(t, wal.MaxTxAppends/2+1, p[0].NextOffset())
	require.EqualValues(t, wal.MaxTxAppends/2, p[1].NextOffset())
	require.Zero(t, p[2].NextOffset())
	appendValues(t, p[2], 1)
}

// Only what is one log is written by one write.
func TestTransactionWithinOneLog(t *testing.T) {
	for name, opt := range map[string]wal.Option{"shards": wal.WithShards(8), "dedicated": wal.WithLayout(wal.LayoutDedicated)} {
		m := open(t, newDisk(t, sim.Options{}), opt)
		tx := begin(t, m)
		require.NoError(t, tx.Append(partition(t, m, "t", 0), valueAt(0)), name)
		refused := 0
		for id := int32(1); id < 20; id++ {
			if err := tx.Append(partition(t, m, "t", id), valueAt(0)); err != nil {
				require.ErrorIs(t, err, wal.ErrTxLogs)
				refused++
			}
		}
		require.Positive(t, refused, name)
		got, err := tx.Commit(bg)
		require.NoError(t, err)
		require.Len(t, got, 20-refused)
	}
}

func TestTransactionWhereNothingCanBeAppended(t *testing.T) {
	disk := newDisk(t, sim.Options{})
	m := open(t, disk)
	p := three(t, m)
	commit(t, m, p)
	_, err := openReadOnly(t, disk).Begin()
	require.ErrorIs(t, err, wal.ErrReadOnly)

	tx := begin(t, m)
	require.NoError(t, tx.Append(p[0], valueAt(1)))
	disk.Inject(sim.Fault{Op: sim.OpSync, Name: anySegment, Gate: true, Times: sim.Forever})
	_, err = tx.Commit(bg)
	require.ErrorIs(t, err, wal.ErrFailed)
	_, err = m.Begin()
	require.ErrorIs(t, err, wal.ErrFailed)
	disk.ClearFaults()

	m = open(t, newDisk(t, sim.Options{}))
	tx = begin(t, m)
	require.NoError(t, tx.Append(partition(t, m, "t", 0), valueAt(0)))
	require.NoError(t, m.Close())
	_, err = tx.Commit(bg)
	require.ErrorIs(t, err, wal.ErrClosed)
	_, err = m.Begin()
	require.ErrorIs(t, err, wal.ErrClosed)
}

// A full disk takes all of a transaction back, in each partition; a write that failed writes all
// of it once more.
func TestTransactionThatIsNotWritten(t *testing.T) {
	disk := newDisk(t, sim.Options{})
	m := open(t, disk)
	p := three(t, m)
	commit(t, m, p)
	fail := func() error {
		disk.Inject(sim.Fault{Op: sim.OpWrite, Name: anySegment, Err: errNoSpace})
		tx := begin(t, m)
		for _, x := range p {
			require.NoError(t, tx.Append(x, record("none")))
		}
		_, err := tx.Commit(bg)
		return err
	}
	require.ErrorIs(t, fail(), wal.ErrNoSpace)
	for _, x := range p {
		requireValues(t, x, 0, 1)
	}
	commit(t, m, p)
	disk.Inject(sim.Fault{Op: sim.OpWrite, Name: anySegment})
	commit(t, m, p)
	for _, m := range []*wal.Manager{m, open(t, crash(t, disk))} {
		for id := range int32(3) {
			requireValues(t, lookup(t, m, "t", id), 0, 3)
		}
	}
}

// Without space in the write buffer a transaction waits, or says so and can be committed later.
func TestTransactionAndBackpressure(t *testing.T) {
	disk := newDisk(t, sim.Options{})
	m := open(t, disk, wal.WithBufferSize(32<<10), wal.WithNoWait())
	p := three(t, m)
	disk.Stall()
	var acks []wal.Ack
	for full := false; !full; {
		ack, err := p[0].AppendAsync(bg, big(3000, 'x'))
		if full = err != nil; !full {
			acks = append(acks, ack)
		}
	}
	tx := begin(t, m)
	require.NoError(t, tx.Append(p[1], big(3000, 'y')))
	require.NoError(t, tx.Append(p[2], big(3000, 'z')))
	_, err := tx.CommitAsync(bg)
	require.ErrorIs(t, err, wal.ErrBackpressure)
	disk.Resume()
	waitFor(t, acks)
	_, err = tx.Commit(bg)
	require.NoError(t, err)
	require.EqualValues(t, 1, p[2].NextOffset())

	tx = begin(t, m) // larger than any group of the write buffer
	for _, x := range p {
		require.NoError(t, tx.Append(x, big(20_000, 'l')))
	}
	groups := m.Stats().Groups
	_, err = tx.Commit(bg)
	require.NoError(t, err)
	require.Equal(t, groups+1, m.Stats().Groups)
}

// Two goroutines may work on one transaction: one of them commits it.
func TestTransactionOfTwoGoroutines(t *testing.T) {
	m := open(t, newDisk(t, sim.Options{}))
	p := three(t, m)
	for range 50 {
		tx, before := begin(t, m), p[0].NextOffset()
		var taken [2]int
		var committed [2]bool
		var wg sync.WaitGroup
		for i := range 2 {
			wg.Add(1)
			go func() {
				defer wg.Done()
				for range 3 {
					if tx.Append(p[0], record("x")) == nil {
						taken[i]++
					}
				}
				_, err := tx.Commit(bg)
				committed[i] = err == nil
			}()
		}
		wg.Wait()
		require.NotEqual(t, committed[0], committed[1])
		require.EqualValues(t, taken[0]+taken[1], p[0].NextOffset()-before)
	}
}

// A transaction comes into view in one step. Each one puts one record into each of three
// partitions: whoever looks at one and then at another one never finds fewer, and who looks
// at all finds equally many.
func TestTransactionInView(t *testing.T) {
	disk := newDisk(t, sim.Options{NoTrace: true})
	m := open(t, disk, wal.WithSegmentSize(1<<20))
	p := three(t, m)
	commit(t, m, p)
	ro := openReadOnly(t, disk)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	goOn := func(f func()) {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for {
				select {
				case <-stop:
					return
				default:
					f()
					runtime.Gosched()
				}
			}
		}()
	}
	var problems recorder[string]
	demand := func(ok bool, format string, args ...any) {
		if !ok {
			problems.add(fmt.Sprintf(format, args...))
		}
	}
	count := func(p *wal.Partition, from int64) (n int64) {
		for _, err := range p.Read(bg, from) {
			demand(err == nil, "read: %v", err)
			n++
		}
		return from + n
	}
	for _, m := range []*wal.Manager{m, ro} {
		parts := []*wal.Partition{lookup(t, m, "t", 0), lookup(t, m, "t", 1), lookup(t, m, "t", 2)}
		goOn(func() {
			for i := range 9 { // in any order
				a, b := parts[i%3], parts[i/3]
				x := a.NextOffset()
				y := b.NextOffset()
				demand(x <= y, "next offset of %v is %d, then that of %v %d", a, x, b, y)
				durable := b.DurableOffset()
				demand(x <= durable, "next offset of %v is %d, then what is durable of %v ends at %d", a, x, b, durable)
				x = count(a, max(0, x-2))
				y = count(b, max(0, x-2))
				demand(x <= y, "%v has %d records, then %v %d", a, x, b, y)
			}
		})
		goOn(func() {
			infos := m.Partitions()
			demand(infos[0].NextOffset == infos[1].NextOffset && infos[1].NextOffset == infos[2].NextOffset, "%v", infos)
			var n [3]int
			for e, err := range m.Replay(bg) {
				demand(err == nil, "replay: %v", err)
				n[e.Partition]++
			}
			demand(n[0] == n[1] && n[1] == n[2], "a replay gives %v records", n)
		})
	}
	goOn(func() { demand(ro.Refresh(bg) == nil, "refresh") })
	for range 200 {
		commit(t, m, p)
	}
	close(stop)
	wg.Wait()
	require.Empty(t, problems.all())
}
