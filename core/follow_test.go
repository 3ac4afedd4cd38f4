package wal_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	wal "github.com/chronik-go/wal/core"
	"github.com/chronik-go/wal/core/backend/sim"
)

// follower reads a partition in a goroutine of its own.
type follower struct {
	seen recorder[int64]
	done <-chan error
}

func follow(ctx context.Context, p *wal.Partition, from int64) *follower {
	f := &follower{}
	f.done = run(func() error {
		for r, err := range p.Follow(ctx, from) {
			if err != nil {
				return err
			}
			f.seen.add(r.Offset)
		}
		return nil
	})
	return f
}

// Followers get each record as soon as it is acknowledged, and wait without looking: as
// long as nothing comes, nothing runs.
func TestFollow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := newDisk(t, sim.Options{})
		m := open(t, disk, small, wal.WithRotationAge(1000*time.Hour))
		p := partition(t, m, "t", 0)
		ctx, cancel := context.WithCancel(bg)
		var list []*follower
		for range 20 {
			list = append(list, follow(ctx, p, 0)) // before there is any record
		}
		for n := range 150 { // over several segments
			appendValues(t, p, 1)
			synctest.Wait()
			for _, f := range list {
				require.Len(t, f.seen.all(), n+1)
			}
		}
		list = append(list, follow(ctx, p, 150), follow(ctx, p, 149))
		synctest.Wait()
		require.Empty(t, list[20].seen.all())
		require.Len(t, list[21].seen.all(), 1)

		looks, ops := m.Stats(), 0
		disk.BeforeOp(func(sim.OpInfo) { ops++ })
		start := time.Now()
		time.Sleep(999 * time.Hour) // the clock jumps, for all are asleep
		require.Equal(t, 999*time.Hour, time.Since(start))
		require.Zero(t, ops)
		require.Equal(t, looks, m.Stats())
		disk.BeforeOp(nil)

		appendValues(t, p, 1)
		synctest.Wait()
		require.Len(t, list[20].seen.all(), 1)
		cancel()
		for _, f := range list {
			require.ErrorIs(t, <-f.done, context.Canceled)
		}
	})
}

// A follower is held up by nobody: not by other partitions, not by one who reads slowly.
func TestFollowersDoNotHoldEachOtherUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := newDisk(t, sim.Options{})
		m := open(t, disk, small)
		p, q := partition(t, m, "t", 0), partition(t, m, "t", 1)
		gate := make(chan struct{})
		slow := run(func() (n int) {
			for _, err := range p.Follow(bg, 0) {
				if err != nil {
					return n
				}
				n++
				<-gate
			}
			return n
		})
		fast, other := follow(bg, p, 0), follow(bg, q, 0)
		appendValues(t, p, 100)
		synctest.Wait()
		require.Len(t, fast.seen.all(), 100)
		require.Empty(t, other.seen.all())
		appendValues(t, q, 1)
		synctest.Wait()
		require.Len(t, other.seen.all(), 1)
		close(gate)
		synctest.Wait()
		require.NoError(t, m.Close())
		require.Equal(t, 100, <-slow)
		require.ErrorIs(t, <-fast.done, wal.ErrClosed)
		require.ErrorIs(t, <-other.done, wal.ErrClosed)
	})
}

// Close ends followers wherever they are, also of a partition that has nothing yet, and
// of a log that is open read-only.
func TestCloseEndsFollowers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := newDisk(t, sim.Options{})
		m := open(t, disk)
		p := partition(t, m, "t", 0)
		appendValues(t, p, 3)
		list := []*follower{follow(bg, p, 0), follow(bg, p, 3), follow(bg, partition(t, m, "new", 0), 0)}
		ro := open(t, disk, wal.WithReadOnly())
		list = append(list, follow(bg, lookup(t, ro, "t", 0), 0))
		synctest.Wait()
		require.NoError(t, m.Close())
		require.NoError(t, ro.Close())
		for _, f := range list {
			require.ErrorIs(t, <-f.done, wal.ErrClosed)
		}
	})
}

// A follower at the end learns of a truncation there although it waits, and although
// other records take the place of those it had.
func TestTruncationWakesFollowers(t *testing.T) {
	for _, again := range []int{0, 40, 50, 60} {
		synctest.Test(t, func(t *testing.T) {
			disk := newDisk(t, sim.Options{})
			m := open(t, disk)
			p := partition(t, m, "t", 0)
			appendValues(t, p, 100)
			beyond, before := follow(bg, p, 0), follow(bg, p, 100)
			synctest.Wait()
			require.NoError(t, p.TruncateAfter(bg, 49))
			for range again {
				appendValues(t, p, 1)
			}
			for _, f := range []*follower{beyond, before} {
				var cut *wal.TruncatedError
				err := <-f.done
				require.ErrorIs(t, err, wal.ErrOffsetOutOfRange)
				require.ErrorAs(t, err, &cut)
				require.Equal(t, wal.TruncatedError{Topic: "t", Due: 100, GoOn: 50}, *cut)
			}
			rest := follow(bg, p, 50)
			appendValues(t, p, 1)
			synctest.Wait()
			require.Len(t, rest.seen.all(), again+1)
			require.NoError(t, p.TruncateBefore(bg, p.NextOffset()))
			appendValues(t, p, 1)
			synctest.Wait()
			require.Len(t, rest.seen.all(), again+2, "it was not behind")
			require.NoError(t, m.Close())
			require.ErrorIs(t, <-rest.done, wal.ErrClosed)
		})
	}
}

// After the log has failed a follower still gets what is acknowledged, and then waits.
func TestFollowAfterFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := newDisk(t, sim.Options{})
		m := open(t, disk)
		p := partition(t, m, "t", 0)
		appendValues(t, p, 5)
		disk.Inject(sim.Fault{Op: sim.OpWrite, Times: sim.Forever})
		_, err := p.Append(bg, record("x"))
		require.ErrorIs(t, err, wal.ErrFailed)
		f := follow(bg, p, 0)
		synctest.Wait()
		require.Len(t, f.seen.all(), 5)
		require.ErrorIs(t, m.Close(), wal.ErrFailed)
		require.ErrorIs(t, <-f.done, wal.ErrClosed)
	})
}
