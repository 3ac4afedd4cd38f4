package wal_test

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	wal "github.com/chronik-go/wal/core"
	"github.com/chronik-go/wal/core/backend/sim"
)

// Readers of all kinds beside writers, while segments rotate, old ones are dropped and
// used again, and a lagging partition is moved: none misses a record, sees one twice, or
// one that is not whole. What is to be seen is the same in each run; the order in which
// the goroutines get there is not.
func TestReadersBesideWriters(t *testing.T) {
	for _, mode := range []wal.FsyncMode{wal.FsyncAlways, wal.FsyncPeriodic} {
		t.Run(mode.String(), func(t *testing.T) {
			disk := newDisk(t, sim.Options{Depth: 4, NoTrace: true})
			m := open(t, disk, small, aLittle, wal.WithFsyncMode(mode), wal.WithBufferSize(32<<10))
			const n = 3000 / every * min(every, 3)
			p, busy, slow := partition(t, m, "t", 0), partition(t, m, "busy", 0), partition(t, m, "slow", 0)
			appendSlow(t, slow, 10)
			appendValues(t, p, 1)
			ro := openReadOnly(t, disk)
			ctx, cancel := context.WithCancel(bg)
			defer cancel()

			var readers, writers, others sync.WaitGroup
			check := func(err error) {
				if err != nil {
					t.Error(err)
				}
			}
			for range 3 {
				readers.Go(func() { check(followTo(p, n)) })
			}
			readers.Go(func() { check(followTo(lookup(t, ro, "t", 0), n)) })
			writers.Go(func() {
				for i := int64(1); i < n; i++ {
					if _, err := p.Append(bg, valueAt(i)); err != nil {
						t.Error(err)
						return
					}
				}
			})
			writers.Go(func() {
				for i := range 60 {
					appendAndTruncate(busy, 30)
					if i%20 == 0 {
						_, err := slow.Append(bg, slowRecord(slow.NextOffset()))
						check(err)
					}
				}
			})
			others.Go(func() { // a reader that looks from time to time
				for ctx.Err() == nil {
					check(ro.Refresh(bg))
				}
			})
			others.Go(func() {
				for ctx.Err() == nil {
					check(replayWhole(m, "t"))
					check(replayWhole(m, "slow"))
				}
			})
			writers.Wait()
			readers.Wait()
			cancel()
			others.Wait()
			requireSlow(t, slow, 0, 13)
			require.Positive(t, m.Stats().Dropped)
			want := collect(t, m)
			require.NoError(t, m.Close()) // else it may drop what is being compared
			require.NoError(t, ro.Refresh(bg))
			require.Equal(t, want, collect(t, ro))
		})
	}
}

// followTo follows a partition up to an offset and says what is wrong with what it sees.
func followTo(p *wal.Partition, to int64) error {
	next := int64(0)
	for r, err := range p.Follow(bg, 0) {
		switch {
		case err != nil:
			return err
		case r.Offset != next:
			return fmt.Errorf("offset %d instead of %d", r.Offset, next)
		case string(r.Value) != string(valueAt(next).Value):
			return fmt.Errorf("offset %d is %q", next, r.Value)
		}
		if next++; next == to {
			return nil
		}
	}
	return nil
}

// replayWhole says what is wrong with a topic's records in a Replay: all those that are
// acknowledged when it begins come, and none comes twice. Moved ones come late.
func replayWhole(m *wal.Manager, topic string) error {
	p, err := m.Lookup(topic, 0)
	if err != nil {
		return err
	}
	end := p.NextOffset()
	seen := map[int64]bool{}
	for e, err := range m.Replay(bg) {
		switch {
		case err != nil:
			return err
		case e.Topic != topic:
			continue
		case seen[e.Offset]:
			return fmt.Errorf("%s: offset %d comes again", topic, e.Offset)
		}
		seen[e.Offset] = true
	}
	for o := range end {
		if !seen[o] {
			return fmt.Errorf("%s: offset %d of %d is missing", topic, o, end)
		}
	}
	return nil
}
