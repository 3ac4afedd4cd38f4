package wal_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	wal "github.com/chronik-go/wal/core"
	"github.com/chronik-go/wal/core/backend/sim"
)

// submit appends n records without waiting.
func submit(t tester, p *wal.Partition, n int) (acks []wal.Ack) {
	t.Helper()
	for range n {
		ack, err := p.AppendAsync(bg, record("x"))
		require.NoError(t, err)
		acks = append(acks, ack)
	}
	return acks
}

func waitFor(t tester, acks []wal.Ack) {
	t.Helper()
	for _, ack := range acks {
		require.NoError(t, ack.Wait(bg))
	}
}

// What arrives while the disk is busy goes out together, with one write and one sync.
func TestGroupCommit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := newDisk(t, sim.Options{})
		m := open(t, disk)
		list := []*wal.Partition{partition(t, m, "t", 0), partition(t, m, "t", 1), partition(t, m, "t", 2)}
		for _, p := range list {
			appendValues(t, p, 1)
		}
		disk.Stall()
		first := submit(t, list[0], 1)
		synctest.Wait()
		before := m.Stats()
		var acks []wal.Ack
		for range 20 {
			for _, p := range list {
				acks = append(acks, submit(t, p, 1)...)
			}
		}
		synctest.Wait()
		start := disk.Ops()
		disk.Resume()
		waitFor(t, append(first, acks...))
		after := m.Stats()
		require.EqualValues(t, 2, after.Groups-before.Groups, "the one in flight, and all the others")
		require.EqualValues(t, 61, after.Appends-before.Appends)
		require.EqualValues(t, 2, after.Syncs-before.Syncs)
		writes := 0
		for i := start; i < disk.Trace().Len(); i++ {
			if disk.Trace().Op(i).Op == sim.OpSync {
				writes++
			}
		}
		require.Equal(t, 2, writes)
	})
}

// inFlight counts the batches that were submitted and have not completed.
func inFlight(disk *sim.Disk) (n int) {
	trace := disk.Trace()
	for i := range trace.Len() {
		switch trace.Op(i).Op {
		case sim.OpSubmit:
			n++
		case sim.OpSync, sim.OpWrite:
			n--
		}
	}
	return n
}

// A second group goes out while one is in flight if it holds as many appends, or is full;
// a smaller one would only split what one write can carry.
func TestSecondGroupInFlight(t *testing.T) {
	for name, c := range map[string]struct {
		first, second int
		large         bool
		want          int
	}{
		"fewer":          {5, 4, false, 1},
		"as many":        {5, 5, false, 2},
		"more":           {1, 3, false, 2},
		"fewer but full": {5, 1, true, 2},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				disk := newDisk(t, sim.Options{Depth: 2})
				m := open(t, disk, wal.WithFsyncMode(wal.FsyncBatch), wal.WithBatchLimits(1<<30, c.first, time.Minute))
				p := partition(t, m, "t", 0)
				appendValues(t, p, 1)
				disk.Stall()
				acks := submit(t, p, c.first) // it lingers until it holds so many
				synctest.Wait()
				require.Equal(t, 1, inFlight(disk))
				if c.large {
					for range 2 { // the second does not fit into the group of the first
						ack, err := p.AppendAsync(bg, big(9000, 'x'))
						require.NoError(t, err)
						acks = append(acks, ack)
					}
				} else {
					acks = append(acks, submit(t, p, c.second)...)
				}
				synctest.Wait()
				require.Equal(t, c.want, inFlight(disk))
				acks = append(acks, submit(t, p, 100)...)
				synctest.Wait()
				require.Equal(t, 2, inFlight(disk), "no more than the disk takes")
				require.EqualValues(t, 1, m.Stats().Groups)
				disk.Resume()
				waitFor(t, acks)
			})
		})
	}
}

// Whatever the order in which the disk completes writes, appends are acknowledged in
// theirs: when one is, so are all before it.
func TestAcknowledgedInOrder(t *testing.T) {
	for seed := range uint64(20) {
		synctest.Test(t, func(t *testing.T) {
			disk := newDisk(t, sim.Options{Depth: 4, Seed: seed})
			m := open(t, disk)
			p := partition(t, m, "t", 0)
			appendValues(t, p, 1)
			disk.Stall()
			var acks []wal.Ack
			for range 12 {
				acks = append(acks, submit(t, p, 1)...)
				synctest.Wait()
			}
			require.Equal(t, 4, inFlight(disk))
			ended, cancel := context.WithCancel(bg)
			cancel()
			for range 13 {
				open := false
				for i, ack := range acks {
					err := ack.Wait(ended)
					require.False(t, open && err == nil, "append %d before one that came first", i)
					open = open || err != nil
				}
				require.EqualValues(t, p.NextOffset(), len(offsets(t, p, 0)))
				disk.Complete(1)
				synctest.Wait()
			}
			disk.Resume()
			waitFor(t, acks)
			require.NoError(t, m.Close())
		})
	}
}

// Mode always sends what is there as soon as the disk is free.
func TestAlwaysDoesNotLinger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := newDisk(t, sim.Options{})
		m := open(t, disk, wal.WithBatchLimits(1<<30, 1<<30, time.Minute))
		start := time.Now()
		appendValues(t, partition(t, m, "t", 0), 5)
		require.Zero(t, time.Since(start))
		require.EqualValues(t, 5, m.Stats().Groups)
	})
}

// Mode batch lets a group linger: until it holds enough bytes or records, or for a delay.
func TestBatchLingers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const delay = time.Second
		disk := newDisk(t, sim.Options{Depth: 2})
		m := open(t, disk, wal.WithFsyncMode(wal.FsyncBatch), wal.WithBatchLimits(4000, 10, delay))
		p := partition(t, m, "t", 0)
		took := func(submit func()) time.Duration {
			t.Helper()
			groups := m.Stats().Groups
			start := time.Now()
			submit()
			require.EqualValues(t, 1, m.Stats().Groups-groups, "one group")
			return time.Since(start)
		}
		require.Equal(t, delay, took(func() { waitFor(t, submit(t, p, 1)) }), "alone: the delay")
		require.Equal(t, delay, took(func() { waitFor(t, submit(t, p, 9)) }))
		require.Zero(t, took(func() { waitFor(t, submit(t, p, 10)) }), "enough records")
		require.Zero(t, took(func() {
			_, err := p.Append(bg, record("1"), record("2"), record("3"), record("4"), record("5"),
				record("6"), record("7"), record("8"), record("9"), record("10"))
			require.NoError(t, err)
		}), "in one batch")
		require.Zero(t, took(func() {
			_, err := p.Append(bg, big(4000, 'x'))
			require.NoError(t, err)
		}), "enough bytes")
		require.Equal(t, delay, took(func() {
			acks := submit(t, p, 1)
			time.Sleep(delay / 2)
			waitFor(t, append(acks, submit(t, p, 1)...))
		}), "counted from the first of the group")
		require.Equal(t, delay/2, took(func() {
			acks := submit(t, p, 1)
			time.Sleep(delay / 2)
			waitFor(t, append(acks, submit(t, p, 9)...))
		}))
		require.Equal(t, delay, took(func() { // nobody waits, and yet it goes out
			submit(t, p, 1)
			time.Sleep(delay)
			synctest.Wait()
		}))
		start := time.Now()
		submit(t, p, 1)
		require.NoError(t, m.Close())
		require.Zero(t, time.Since(start), "Close does not linger")
	})
}

// Producers that all wait for the group do not wait for the delay too, once that is known;
// those that come one after the other, sooner than the delay, share groups.
func TestBatchLingersWhereItPays(t *testing.T) {
	const delay = time.Second
	for _, producers := range []int{1, 2, 7, 16} {
		synctest.Test(t, func(t *testing.T) {
			m := open(t, newDisk(t, sim.Options{}), wal.WithFsyncMode(wal.FsyncBatch), wal.WithBatchLimits(1<<30, 1<<30, delay))
			start := time.Now()
			fill(t, m, producers, 1000)
			// About ten probes, each twice as late as the one before, and one delay for each producer
			// that has come to its end and that the next group waits for.
			require.Less(t, time.Since(start), time.Duration(25+producers)*delay, "a thousand appends each")
			require.NoError(t, m.Close())
		})
	}
	synctest.Test(t, func(t *testing.T) {
		m := open(t, newDisk(t, sim.Options{}), wal.WithFsyncMode(wal.FsyncBatch), wal.WithBatchLimits(1<<30, 1<<30, delay))
		p := partition(t, m, "t", 0)
		const n = 1000
		for range n {
			submit(t, p, 1)
			time.Sleep(delay / 10)
		}
		require.NoError(t, m.Close())
		require.Less(t, m.Stats().Groups, uint64(n/4))
	})
	synctest.Test(t, func(t *testing.T) {
		m := open(t, newDisk(t, sim.Options{}), wal.WithFsyncMode(wal.FsyncBatch), wal.WithBatchLimits(1<<30, 1<<30, delay))
		fill(t, m, 16, 2000)
		p := partition(t, m, "t", 0)
		start := time.Now()
		for i := range 500 {
			_, err := p.Append(bg, valueAt(int64(i)))
			require.NoError(t, err)
		}
		require.Less(t, time.Since(start), 12*delay, "the other producers have gone")
		require.NoError(t, m.Close())
	})
}

// A full write buffer makes appends wait. They go on in the order they came in, each as
// soon as there is room, or end with their context.
func TestFullBufferBlocks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := newDisk(t, sim.Options{})
		m := open(t, disk, wal.WithBufferSize(32<<10))
		p := partition(t, m, "t", 0)
		appendValues(t, p, 1)
		disk.Stall()
		var acks []wal.Ack
		full := func() bool {
			ctx, cancel := context.WithTimeout(bg, time.Second)
			defer cancel()
			ack, err := p.AppendAsync(ctx, big(3000, 'x'))
			if err != nil {
				require.ErrorIs(t, err, context.DeadlineExceeded)
				return true
			}
			acks = append(acks, ack)
			return false
		}
		for !full() {
			require.Less(t, len(acks), 15)
		}
		require.Greater(t, len(acks), 3)
		require.EqualValues(t, 1, m.Stats().QueueFull)

		var order recorder[int]
		type result struct {
			ack wal.Ack
			err error
		}
		var waiting []<-chan result
		var cancels []context.CancelFunc
		for i := range 12 {
			ctx, cancel := context.WithCancel(bg)
			defer cancel()
			cancels = append(cancels, cancel)
			size := []int{3000, 200, 20_000}[i%3] // the last kind gets a buffer of its own
			waiting = append(waiting, run(func() result {
				ack, err := p.AppendAsync(ctx, big(size, byte(i)))
				order.add(i)
				return result{ack, err}
			}))
			synctest.Wait()
		}
		require.Empty(t, order.all(), "those that would fit do not overtake")
		cancels[0]()
		cancels[5]()
		synctest.Wait()
		require.ElementsMatch(t, []int{0, 5}, order.all())
		for _, i := range order.all() {
			require.ErrorIs(t, (<-waiting[i]).err, context.Canceled)
		}
		disk.Resume()
		var last int64
		for i, w := range waiting {
			if i == 0 || i == 5 {
				continue
			}
			r := <-w
			require.NoError(t, r.err)
			require.NoError(t, r.ack.Wait(bg))
			require.Greater(t, r.ack.Offset(), last, "append %d", i)
			last = r.ack.Offset()
		}
		waitFor(t, acks)
		require.EqualValues(t, 1+len(acks)+10, p.NextOffset())
	})
}

// One who got a turn and cannot use it passes it on: nobody is left waiting for good.
func TestBlockedAppendsPassTheirTurnOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := newDisk(t, sim.Options{})
		m := open(t, disk, wal.WithBufferSize(32<<10))
		p, q := partition(t, m, "t", 0), partition(t, m, "t", 1)
		appendValues(t, p, 1)
		disk.Stall()
		for p.NextOffset() < 100 {
			ctx, cancel := context.WithTimeout(bg, time.Second)
			_, err := p.AppendAsync(ctx, big(3000, 'x'))
			cancel()
			if err != nil {
				break
			}
		}
		first := run(func() error { _, err := p.Append(bg, big(3000, 'x')); return err })
		synctest.Wait()
		var refused []<-chan error
		for range 5 { // by the time they get their turn, their offset is taken
			refused = append(refused, run(func() error { _, err := p.AppendAt(bg, 1, record("x")); return err }))
			synctest.Wait()
		}
		last := run(func() error { _, err := q.Append(bg, record("x")); return err })
		synctest.Wait()
		disk.Resume()
		require.NoError(t, <-first)
		for _, r := range refused {
			require.ErrorIs(t, <-r, wal.ErrOffsetOutOfRange)
		}
		require.NoError(t, <-last)
	})
}

// With WithNoWait a full buffer is an error at once, and room is room again.
func TestNoWait(t *testing.T) {
	for _, mode := range []wal.FsyncMode{wal.FsyncAlways, wal.FsyncBatch} {
		synctest.Test(t, func(t *testing.T) {
			disk := newDisk(t, sim.Options{})
			m := open(t, disk, wal.WithBufferSize(32<<10), wal.WithNoWait(), wal.WithFsyncMode(mode))
			p := partition(t, m, "t", 0)
			for range 3 {
				disk.Stall()
				var acks []wal.Ack
				for {
					ack, err := p.AppendAsync(bg, big(3000, 'x'))
					if err != nil {
						require.ErrorIs(t, err, wal.ErrBackpressure)
						break
					}
					acks = append(acks, ack)
					require.Less(t, len(acks), 15)
				}
				large, err := p.AppendAsync(bg, big(30_000, 'x'))
				require.NoError(t, err, "one large batch has a buffer of its own")
				acks = append(acks, large)
				_, err = p.AppendAsync(bg, big(30_000, 'x'))
				require.ErrorIs(t, err, wal.ErrBackpressure)
				require.Positive(t, m.Stats().QueueFull)
				disk.Resume()
				waitFor(t, acks)
				require.Equal(t, p.NextOffset(), acks[len(acks)-1].Offset()+1)
			}
		})
	}
}

// Nothing is left running once the log is closed, whatever it was doing.
func TestCloseLeavesNothingRunning(t *testing.T) {
	for _, written := range []bool{false, true} {
		disk := newDisk(t, sim.Options{Depth: 4, PreferWritten: written})
		m := open(t, disk, small, wal.WithShards(3), wal.WithFsyncMode(wal.FsyncPeriodic))
		fill(t, m, 8, 30)
		require.NoError(t, lookup(t, m, "t", 3).TruncateBefore(bg, 29))
		f := follow(bg, lookup(t, m, "t", 0), 0)
		require.NoError(t, m.Close())
		require.ErrorIs(t, <-f.done, wal.ErrClosed)
		require.Zero(t, disk.OpenHandles())
		goleak.VerifyNone(t)
	}
}
