package wal

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"

	"github.com/chronik-go/wal/core/format"
)

// Entry is a record and where it belongs.
type Entry struct {
	Topic     string
	Partition int32
	Record
}

// Replay returns every live record of every partition, log by log and in the order they
// were appended, up to what is acknowledged when it begins. It is the fastest way to read
// all; records that were moved by retention come at the place of their copy. The records'
// memory is the caller's.
func (m *Manager) Replay(ctx context.Context) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		for _, s := range m.allShards() {
			if !s.replay(ctx, yield) {
				return
			}
		}
	}
}

func (s *shard) replay(ctx context.Context, yield func(Entry, error) bool) bool {
	list := s.segments.pinAll()
	defer func() {
		for _, g := range list {
			s.unpin(g)
		}
	}()
	s.mu.Lock()
	parts := map[uint32]*Partition{}
	for _, p := range s.partitions {
		parts[p.id] = p
	}
	s.mu.Unlock()
	for _, g := range list {
		if g.live.Load() > 0 && !s.replaySegment(ctx, g, parts, yield) {
			return false
		}
	}
	return true
}

func (s *shard) replaySegment(ctx context.Context, g *segment, parts map[uint32]*Partition, yield func(Entry, error) bool) bool {
	r := frameReader{
		window: window{file: g.file, limit: g.end.Load(), chunk: windowSize, fresh: true},
		epoch:  g.Epoch, alignment: g.Alignment, position: format.HeaderSize, loose: true,
	}
	for {
		if err := ctx.Err(); err != nil {
			yield(Entry{}, err)
			return false
		}
		f, err := r.next()
		var bad *badFrame
		switch {
		case errors.Is(err, io.EOF):
			return true
		case errors.As(err, &bad):
			// An open that allows damage told what is lost here; go on behind it.
			if !yield(Entry{}, fmt.Errorf("%w: %s: %w", ErrDamaged, g.at(r.position), err)) {
				return false
			}
			next, err := r.search(bad.position + r.alignment)
			if err != nil || next == nil {
				return true
			}
			r.position = next.Position
			continue
		case err != nil:
			yield(Entry{}, fmt.Errorf("read %s: %w", g.at(r.position), err))
			return false
		}
		if !s.replayFrame(f, g, parts, yield) {
			return false
		}
	}
}

var errStopped = errors.New("iteration was stopped")

func (s *shard) replayFrame(f *frame, g *segment, parts map[uint32]*Partition, yield func(Entry, error) bool) bool {
	err := f.each(func(e format.Entry, lsn uint64, data []byte) error {
		p := parts[e.Partition]
		if e.Kind != format.KindData || p == nil {
			return nil
		}
		live := p.liveIn(g, lsn, e)
		if len(live) == 0 {
			return nil
		}
		err := format.CheckData(e, data)
		if err == nil {
			data, err = s.cfg.decode(e, data)
		}
		if err != nil {
			return damagedAt(yield, g, f, err)
		}
		for offset := e.Base; offset < e.End(); offset++ {
			var rec Record
			if rec, data, err = format.ReadRecord(data); err != nil {
				return damagedAt(yield, g, f, err)
			}
			if !covers(live, offset) {
				continue
			}
			rec.Offset = offset
			if !yield(Entry{p.topic, p.num, rec}, nil) {
				return errStopped
			}
		}
		return nil
	})
	return err == nil
}

func damagedAt(yield func(Entry, error) bool, g *segment, f *frame, err error) error {
	if !yield(Entry{}, fmt.Errorf("%w: %s: %w", ErrDamaged, g.at(f.Position), err)) {
		return errStopped
	}
	return nil
}

// liveIn returns the parts of a batch that are live: not truncated, not moved elsewhere.
func (p *Partition) liveIn(g *segment, lsn uint64, e format.Entry) (live []extent) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	x, ok := p.extents.find(e.Base)
	if ok && x.seg == g && x.lsn <= lsn && x.first <= e.Base && x.end >= e.End() {
		return append(live, x) // the usual case: all of it
	}
	for _, x := range p.extents.list {
		if x.seg == g && x.lsn <= lsn && x.first < e.End() && x.end > e.Base {
			live = append(live, x)
		}
	}
	return live
}

func covers(list []extent, offset int64) bool {
	for _, x := range list {
		if x.first <= offset && offset < x.end {
			return true
		}
	}
	return false
}
