package conformance

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/stretchr/testify/require"

	wal "github.com/chronik-go/wal/core"
)

// crew is goroutines that end when stop is called, and the errors that they ran into.
type crew struct {
	ctx  context.Context
	stop context.CancelFunc
	wg   sync.WaitGroup
	mu   sync.Mutex
	errs []error
}

func (e *engine) crew() *crew {
	c := &crew{}
	c.ctx, c.stop = context.WithCancel(e.ctx)
	e.Cleanup(func() { c.stop(); c.wg.Wait() })
	return c
}

// do runs f on a goroutine. Its error ends all of them.
func (c *crew) do(f func(ctx context.Context) error) {
	c.wg.Go(func() {
		if err := f(c.ctx); err != nil {
			c.mu.Lock()
			c.errs = append(c.errs, err)
			c.mu.Unlock()
			c.stop()
		}
	})
}

// wait returns what went wrong, once all goroutines are done.
func (c *crew) wait() error {
	c.wg.Wait()
	return errors.Join(c.errs...)
}

// readOver reads a partition over and over until ctx ends. What it sees is whole, in order and
// acknowledged, up to what was acknowledged when it began.
func readOver(ctx context.Context, p *wal.Partition) error {
	for ctx.Err() == nil {
		first, next := p.FirstOffset(), p.NextOffset()
		at := first
		cut := false
		for r, err := range p.Read(ctx, first) {
			if errors.Is(err, wal.ErrOffsetOutOfRange) || errors.Is(err, context.Canceled) {
				cut = true // truncated meanwhile, or it is over
				break
			}
			if err != nil {
				return fmt.Errorf("read at %d: %w", at, err)
			}
			if err := sameRecord(p, r, at, 0); err != nil {
				return err
			}
			if at++; r.Offset >= p.NextOffset() {
				return fmt.Errorf("%v: a reader sees offset %d, acknowledged is what is below %d", p, r.Offset, p.NextOffset())
			}
		}
		if !cut && at < next {
			return fmt.Errorf("%v: a reader ends at %d, acknowledged was %d", p, at, next)
		}
	}
	return nil
}

// followTo follows a partition from one offset up to another and demands each record once.
func followTo(ctx context.Context, p *wal.Partition, from, to int64) error {
	next := from
	for r, err := range p.Follow(ctx, from) {
		if err != nil {
			return fmt.Errorf("follow at %d: %w", next, err)
		}
		if err := sameRecord(p, r, next, 0); err != nil {
			return err
		}
		if next++; next == to {
			return nil
		}
	}
	return fmt.Errorf("%v: the iteration of a follower ends at %d without an error", p, next)
}

func logReaders(t *T) {
	for _, mode := range []wal.FsyncMode{wal.FsyncAlways, wal.FsyncPeriodic} {
		e := t.engine(wal.WithFsyncMode(mode), wal.WithRecycleLimit(2))
		m := e.openLog()
		p := e.part(m, "a", 0)
		e.fillLog(p, 1, 0)
		c := e.crew()
		for range 3 {
			c.do(func(ctx context.Context) error { return readOver(ctx, p) })
		}
		c.do(func(ctx context.Context) error { return replayOver(ctx, m) })
		c.do(func(ctx context.Context) error {
			defer c.stop()
			for range 60 {
				if err := appendLog(ctx, p, 50, 0); err != nil {
					return err
				}
				if err := p.TruncateBefore(ctx, max(0, p.NextOffset()-400)); err != nil {
					return err
				}
			}
			return nil
		})
		require.NoError(e, c.wait())
		// The files of those that readers held to the last go a little later.
		require.True(e, e.eventually(func() bool { return m.Stats().Dropped > 0 }), "segments went while they were read")
		e.holds(p, 2601, 3001, 0)
	}
}

// replayOver replays a log over and over: each record once, whole, and in order.
func replayOver(ctx context.Context, m *wal.Manager) error {
	for ctx.Err() == nil {
		last := map[string]int64{}
		for x, err := range m.Replay(ctx) {
			if errors.Is(err, context.Canceled) {
				return nil
			}
			if err != nil {
				return fmt.Errorf("replay: %w", err)
			}
			p, err := m.Lookup(x.Topic, x.Partition)
			if err != nil {
				return err
			}
			if before, ok := last[p.String()]; ok && x.Offset != before+1 {
				return fmt.Errorf("replay: %v: offset %d behind %d", p, x.Offset, before)
			}
			last[p.String()] = x.Offset
			if err := sameRecord(p, x.Record, x.Offset, 0); err != nil {
				return fmt.Errorf("replay: %w", err)
			}
		}
	}
	return nil
}

func logFollowers(t *T) {
	e := t.engine()
	m := e.openLog()
	p := e.part(m, "a", 0)
	e.fillLog(p, 10, 0)
	const total = int64(2000)
	c := e.crew()
	for i := range int64(4) {
		c.do(func(ctx context.Context) error { return followTo(ctx, p, 3*i, total) })
	}
	e.fillLog(p, int(total)-10, 0)
	require.NoError(e, c.wait())

	// Each record comes at once, not with the next one.
	seen := newEvents[int64]()
	each := e.crew()
	each.do(func(ctx context.Context) error {
		for r, err := range p.Follow(ctx, total) {
			if err != nil {
				return err
			}
			if seen.add(r.Offset); r.Offset == total+39 {
				break
			}
		}
		return nil
	})
	for n := range int64(40) {
		e.fillLog(p, 1, 0)
		require.Equal(e, total+n, await(e, seen, "a record to its follower"))
	}
	require.NoError(e, each.wait())

	// From here on nothing comes any more.
	ended := e.crew()
	ctx, cancel := context.WithCancel(e.ctx)
	ends := newEvents[error]()
	for _, ctx := range []context.Context{ctx, e.ctx, e.ctx} {
		ended.do(func(context.Context) error {
			for _, err := range p.Follow(ctx, total+40) {
				ends.add(err)
			}
			return nil
		})
	}
	cancel()
	require.ErrorIs(e, await(e, ends, "the end of a follower"), context.Canceled)
	require.NoError(e, p.TruncateAfter(e.ctx, total-5))
	for range 2 {
		require.ErrorIs(e, await(e, ends, "the end of a follower behind a truncation"), wal.ErrOffsetOutOfRange)
	}
	ended.do(func(context.Context) error {
		for _, err := range p.Follow(e.ctx, p.NextOffset()) {
			ends.add(err)
		}
		return nil
	})
	e.closeLog(m)
	require.ErrorIs(e, await(e, ends, "the end of a follower of a closed log"), wal.ErrClosed)
	require.NoError(e, ended.wait())
}
