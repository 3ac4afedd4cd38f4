package wal

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"sort"

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
//
// Where damage was met it yields ErrDamaged and goes on behind it. Beside a running writer,
// which may drop what is being read, it ends with ErrOffsetOutOfRange: Refresh, and begin again.
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
	snap := s.snapshot()
	defer snap.release()
	for _, g := range snap.segments {
		if !snap.replaySegment(ctx, g, yield) {
			return false
		}
	}
	return true
}

// snapshot is where the live records of a log were at one time. What is truncated or moved
// later stays where the snapshot says.
type snapshot struct {
	s        *shard
	parts    map[uint32]*replayed
	segments []*segment // pinned, in the order of the log
}

// replayed is one partition in a snapshot.
type replayed struct {
	*Partition
	extents extents
}

func (s *shard) snapshot() *snapshot {
	s.mu.Lock()
	parts := append([]*Partition(nil), s.partitions...)
	s.mu.Unlock()
	snap := &snapshot{s: s, parts: map[uint32]*replayed{}}
	pinned := map[*segment]bool{}
	for _, p := range parts {
		r := &replayed{Partition: p}
		p.mu.RLock()
		r.extents.list = append(r.extents.list, p.extents.list...)
		for _, e := range r.extents.list {
			if !pinned[e.seg] { // an extent in use keeps its segment until this
				pinned[e.seg] = true
				e.seg.pins.Add(1)
				snap.segments = append(snap.segments, e.seg)
			}
		}
		snap.parts[p.id] = r
		p.mu.RUnlock()
	}
	sort.Slice(snap.segments, func(i, j int) bool { return snap.segments[i].Number < snap.segments[j].Number })
	return snap
}

func (snap *snapshot) release() {
	for _, g := range snap.segments {
		snap.s.unpin(g)
	}
}

func (snap *snapshot) replaySegment(ctx context.Context, g *segment, yield func(Entry, error) bool) bool {
	r := frameReader{
		window: window{file: g.file, limit: g.end.Load(), chunk: windowSize, fresh: true, ahead: true},
		epoch:  g.Epoch, alignment: g.Alignment, position: format.HeaderSize, loose: true,
	}
	defer r.release()
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
		case err != nil && snap.s.dropped(g):
			yield(Entry{}, fmt.Errorf("segment %s: %w", g.path, errDropped))
			return false
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
		if !snap.replayFrame(f, g, yield) {
			return false
		}
	}
}

var errStopped = errors.New("iteration was stopped")

func (snap *snapshot) replayFrame(f *frame, g *segment, yield func(Entry, error) bool) bool {
	err := f.each(func(e format.Entry, lsn uint64, data []byte) error {
		p := snap.parts[e.Partition]
		if e.Kind != format.KindData || p == nil {
			return nil
		}
		live := p.liveIn(g, lsn, e)
		if len(live) == 0 {
			return nil
		}
		err := format.CheckData(e, data)
		if err == nil {
			data, err = snap.s.cfg.decode(e, data)
		}
		if err != nil {
			return snap.damagedAt(yield, g, f, err)
		}
		for offset := e.Base; offset < e.End(); offset++ {
			var rec Record
			if rec, data, err = format.ReadRecord(data); err != nil {
				return snap.damagedAt(yield, g, f, err)
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

// damagedAt tells that a batch of a frame is not what was written.
func (snap *snapshot) damagedAt(yield func(Entry, error) bool, g *segment, f *frame, err error) error {
	if snap.s.dropped(g) {
		yield(Entry{}, fmt.Errorf("segment %s: %w", g.path, errDropped))
		return errStopped
	}
	if !yield(Entry{}, fmt.Errorf("%w: %s: %w", ErrDamaged, g.at(f.Position), err)) {
		return errStopped
	}
	return nil
}

// liveIn returns the parts of a batch that are live: not truncated, not moved elsewhere.
func (p *replayed) liveIn(g *segment, lsn uint64, e format.Entry) (live []extent) {
	x, ok := p.extents.find(e.Base)
	if ok && !x.lost && x.seg == g && x.lsn <= lsn && x.first <= e.Base && x.end >= e.End() {
		return append(live, x) // the usual case: all of it
	}
	for _, x := range p.extents.list {
		if !x.lost && x.seg == g && x.lsn <= lsn && x.first < e.End() && x.end > e.Base {
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
