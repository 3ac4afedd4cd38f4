package wal

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"time"
)

// Read returns the records from an offset on, up to what is acknowledged when the iteration
// gets there. From NextOffset it is empty; below FirstOffset or beyond NextOffset it yields
// ErrOffsetOutOfRange; if the records are truncated while they are read, *TruncatedError.
//
// The iteration ends at the first error, but for *LostError, which stands for records that
// are lost: going on goes on behind them. The records' memory is the caller's.
//
// In a log that is open read-only, ErrOffsetOutOfRange may also mean that the running writer
// has dropped the segment, and moved what was live in it: read on after a Refresh.
func (p *Partition) Read(ctx context.Context, from int64) iter.Seq2[Record, error] {
	return p.iterate(ctx, from, false)
}

// Follow is Read, but at the end it waits for more records, and where the writer has moved
// records for the Refresh that finds them. It ends with an error only: that of ctx, ErrClosed
// when the Manager is closed, or one of Read's.
func (p *Partition) Follow(ctx context.Context, from int64) iter.Seq2[Record, error] {
	return p.iterate(ctx, from, true)
}

// ReadFrom is Read from the first record that has a timestamp at or after t.
func (p *Partition) ReadFrom(ctx context.Context, t time.Time) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		from, err := p.seekTime(t)
		if err != nil {
			yield(Record{}, err)
			return
		}
		begun := false
		for r, err := range p.iterate(ctx, from, false) {
			if err == nil && !begun && r.Timestamp.Before(t) {
				continue
			}
			begun = begun || err == nil
			if !yield(r, err) {
				return
			}
		}
	}
}

func (p *Partition) iterate(ctx context.Context, from int64, follow bool) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		c := newCursor(p, from)
		defer c.close()
		for n := 0; ; n++ {
			if n%64 == 0 && ctx.Err() != nil {
				yield(Record{}, ctx.Err())
				return
			}
			r, err := c.record()
			if errors.Is(err, io.EOF) && !follow {
				return
			}
			if reason := c.waits(err); reason != nil && follow {
				if err = p.await(ctx, reason); err == nil {
					continue
				}
			}
			if !yield(r, err) || err != nil && !isLost(err) {
				return
			}
		}
	}
}

func isLost(err error) bool {
	var lost *LostError
	return errors.As(err, &lost)
}

// await waits until there is no reason to any more. That is asked when something has happened to
// the partition, with its lock held.
func (p *Partition) await(ctx context.Context, reason func() bool) error {
	p.mu.Lock()
	if !reason() {
		p.mu.Unlock()
		return nil
	}
	if p.waiting == nil {
		p.waiting = make(chan struct{})
	}
	ch := p.waiting
	p.mu.Unlock()
	if p.shard.closing.Load() {
		return ErrClosed
	}
	select {
	case <-ch:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// seekTime returns an offset below which all live records are older than t, or close to
// the last such one.
func (p *Partition) seekTime(t time.Time) (int64, error) {
	if t.Unix() < minUnix {
		return p.FirstOffset(), nil
	}
	nanos := t.UnixNano()
	if t.Unix() > maxUnix {
		return p.NextOffset(), nil
	}
	p.mu.RLock()
	from, id := p.extents.first, uint32(0)
	list := append([]extent(nil), p.extents.list...)
	for _, e := range list {
		e.seg.pins.Add(1)
		id = p.id // there are records, so it has one
	}
	p.mu.RUnlock()
	defer func() {
		for _, e := range list {
			p.shard.unpin(e.seg)
		}
	}()
	for _, e := range list {
		if e.lost {
			continue
		}
		if e.seg.maxTime.Load() < nanos {
			from = e.end
			continue
		}
		at, err := e.seg.seekTime(&p.shard.footers, id, e.first, nanos)
		switch {
		case err != nil && p.shard.dropped(e.seg):
			return 0, fmt.Errorf("%s: segment %s: %w", p, e.seg.path, errDropped)
		case err != nil:
			return 0, err
		}
		return min(max(from, at), e.end), nil
	}
	return from, nil
}
