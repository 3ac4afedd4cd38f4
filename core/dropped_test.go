package wal_test

import (
	"errors"
	"fmt"
	"iter"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	wal "github.com/chronik-go/wal/core"
	"github.com/chronik-go/wal/core/backend/sim"
)

// A replay beside a writer that drops a segment, and uses its file again, is told so: that is
// no damage.
func TestReplayOfWhatIsDropped(t *testing.T) {
	for _, recycle := range []int{0, 2} {
		synctest.Test(t, func(t *testing.T) {
			disk := newDisk(t, sim.Options{})
			m := open(t, disk, wal.WithSegmentSize(16<<10), wal.WithRecycleLimit(recycle))
			p := partition(t, m, "t", 0)
			for range 8 {
				must(p.Append(bg, big(3000, 'x')))
			}
			ro := openReadOnly(t, disk)
			require.NoError(t, p.TruncateBefore(bg, 8))
			for range 20 {
				must(p.Append(bg, big(3000, 'y')))
				synctest.Wait()
			}
			require.Positive(t, m.Stats().Dropped)
			var failed []error
			seen := 0
			for e, err := range ro.Replay(bg) {
				if err != nil {
					failed = append(failed, err)
					continue
				}
				require.Equal(t, big(3000, 'x').Value, e.Value)
				seen++
			}
			if recycle > 0 {
				require.Len(t, failed, 1)
				require.ErrorIs(t, failed[0], wal.ErrOffsetOutOfRange)
				require.NotErrorIs(t, failed[0], wal.ErrDamaged)
			} else {
				require.Empty(t, failed, "a file that is removed can be read while it is open")
				require.Equal(t, 8, seen)
			}
			require.NoError(t, ro.Refresh(bg))
			for e, err := range ro.Replay(bg) {
				require.NoError(t, err)
				require.Equal(t, big(3000, 'y').Value, e.Value)
			}
		})
	}
}

// Reading what a running writer has moved is told so, and nothing of it is missing once a Refresh
// has found where it is: a follower waits for that.
func TestReadOfWhatIsMoved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := newDisk(t, sim.Options{})
		m := open(t, disk, small, aLittle, wal.WithRecycleLimit(2))
		slow, busy := partition(t, m, "slow", 0), partition(t, m, "busy", 0)
		appendSlow(t, slow, 10)
		churn(t, busy, 60)
		ro := openReadOnly(t, disk)
		p := lookup(t, ro, "slow", 0)
		for range 6 {
			churn(t, busy, 60)
		}
		require.Positive(t, m.Stats().MovedBytes)
		for name, read := range map[string]func() iter.Seq2[wal.Record, error]{
			"Read":     func() iter.Seq2[wal.Record, error] { return p.Read(bg, 0) },
			"ReadFrom": func() iter.Seq2[wal.Record, error] { return p.ReadFrom(bg, slowRecord(9).Timestamp) },
		} {
			var last error
			for _, err := range read() {
				last = err
			}
			require.ErrorIs(t, last, wal.ErrOffsetOutOfRange, name)
			require.ErrorContains(t, last, "refresh and read again", name)
		}
		end := run(func() error { return followSlow(p, 10) })
		synctest.Wait()
		require.Empty(t, end, "there was no Refresh yet")
		require.NoError(t, ro.Refresh(bg))
		require.NoError(t, <-end)
		requireSlow(t, p, 0, 10)
	})
}

// followSlow follows a partition up to an offset and compares.
func followSlow(p *wal.Partition, to int64) error {
	next := int64(0)
	for r, err := range p.Follow(bg, 0) {
		want := slowRecord(next)
		want.Offset = next
		if err != nil || !assert.ObjectsAreEqual(want, r) {
			return fmt.Errorf("at offset %d: %v, %w", next, r, err)
		}
		if next++; next == to {
			return nil
		}
	}
	return errors.New("it ended")
}
