package wal_test

import (
	"bytes"
	"errors"
	"fmt"
	"iter"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	wal "github.com/chronik-go/wal/core"
	"github.com/chronik-go/wal/core/backend/sim"
	"github.com/chronik-go/wal/core/format"
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

// movedUnderReader opens a log read-only whose writer then moves what is in a partition, ten records.
func movedUnderReader(t *testing.T, opts ...wal.Option) (disk *sim.Disk, ro *wal.Manager, p *wal.Partition) {
	t.Helper()
	disk = newDisk(t, sim.Options{})
	m := open(t, disk, small, aLittle, wal.WithRecycleLimit(2))
	slow, busy := partition(t, m, "slow", 0), partition(t, m, "busy", 0)
	appendSlow(t, slow, 10)
	churn(t, busy, 60)
	ro = openReadOnly(t, disk, opts...)
	for range 6 {
		churn(t, busy, 60)
	}
	require.Positive(t, m.Stats().MovedBytes)
	return disk, ro, lookup(t, ro, "slow", 0)
}

// Reading what a running writer has moved is told so, and nothing of it is missing once a Refresh
// has found where it is: a follower waits for that.
func TestReadOfWhatIsMoved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, ro, p := movedUnderReader(t)
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

// A Refresh, or a Close, that comes between the error and the wait for it is not missed.
func TestFollowerMissesNoRefresh(t *testing.T) {
	refresh := func(ro *wal.Manager) error { return ro.Refresh(bg) }
	for what, x := range map[string]struct {
		happen func(*wal.Manager) error
		opts   []wal.Option
	}{
		"Refresh":                    {refresh, nil},
		"Refresh, damage is allowed": {refresh, []wal.Option{wal.WithAllowDamage()}},
		"Close":                      {(*wal.Manager).Close, nil},
		"Close, damage is allowed":   {(*wal.Manager).Close, []wal.Option{wal.WithAllowDamage()}},
	} {
		t.Run(what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				disk, ro, p := movedUnderReader(t, x.opts...)
				happened := false
				disk.BeforeOp(func(i sim.OpInfo) {
					// It reads the header of the file when it looks why it read something else.
					if !happened && i.Op == sim.OpRead && i.Offset == 0 && i.Len == format.HeaderSize {
						happened = true
						require.NoError(t, x.happen(ro))
					}
				})
				end := run(func() error { return followSlow(p, 10) })
				synctest.Wait()
				require.True(t, happened)
				require.Len(t, end, 1)
				if strings.HasPrefix(what, "Close") {
					require.ErrorIs(t, <-end, wal.ErrClosed)
					return
				}
				require.NoError(t, <-end)
			})
		})
	}
}

// What a running writer overwrites under a reader is not lost, also to one that takes damage as it
// comes: it was moved.
func TestReadOfWhatIsOverwritten(t *testing.T) {
	for _, opts := range [][]wal.Option{nil, {wal.WithAllowDamage()}} {
		synctest.Test(t, func(t *testing.T) {
			disk := newDisk(t, sim.Options{NoTrace: true})
			m := open(t, disk, wal.WithSegmentSize(1<<20), wal.WithBufferSize(1<<20), wal.WithMoveLimit(4<<20), wal.WithRecycleLimit(2))
			slow, busy := partition(t, m, "slow", 0), partition(t, m, "busy", 0)
			must(slow.Append(bg, big(700<<10, 's')))
			must(busy.Append(bg, big(1000, 'x')))
			ro := openReadOnly(t, disk, opts...)
			p := lookup(t, ro, "slow", 0)
			reads := 0
			disk.BeforeOp(func(i sim.OpInfo) {
				if i.Op != sim.OpRead || i.Len < 100<<10 {
					return
				}
				if reads++; reads != 2 { // the second half of the frame
					return
				}
				for m.Stats().Recycled < 1 {
					must(busy.Append(bg, big(60<<10, 'x')))
					require.NoError(t, busy.TruncateBefore(bg, busy.NextOffset()))
					synctest.Wait()
				}
				for range 4 {
					must(busy.Append(bg, big(60<<10, 'x')))
				}
			})
			var last error
			for _, err := range p.Read(bg, 0) {
				last = err
			}
			disk.BeforeOp(nil)
			require.ErrorIs(t, last, wal.ErrOffsetOutOfRange)
			require.NotErrorIs(t, last, wal.ErrDamaged)
			require.NoError(t, ro.Refresh(bg))
			for r, err := range p.Read(bg, 0) {
				require.NoError(t, err)
				require.True(t, bytes.Equal(big(700<<10, 's').Value, r.Value))
			}
		})
	}
}
