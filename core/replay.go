package wal

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"sort"

	"github.com/chronik-go/wal/core/backend"
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
			if !s.replay(ctx, false, yield) {
				return
			}
		}
	}
}

// Visit calls visit with what Replay returns, until that returns false. It does not copy: a
// record's memory is valid until visit returns, for its goroutine only, and must not be written to.
// Close waits until visit returns, which then gets ErrClosed: visit must neither call it nor wait for
// who does.
//
// Where the backend maps files, the memory is the kernel's own. Should the device fail then, visit
// ends where it touches the record, and is called once more with the error, which is the last one.
// So visit must not be the body of a loop: range over Replay instead.
func (m *Manager) Visit(ctx context.Context, visit func(Entry, error) bool) {
	for _, s := range m.allShards() {
		if !s.replay(ctx, true, visit) {
			return
		}
	}
}

// replay yields the live records of a log. They are lent, or else they are the caller's. It
// reports whether to go on.
func (s *shard) replay(ctx context.Context, lend bool, yield func(Entry, error) bool) bool {
	snap := s.snapshot()
	if snap.lend = lend; lend {
		snap.decoding = &decoding{}
	}
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
	live     []extent   // memory for liveIn
	lend     bool       // records are not copied
	decoding *decoding  // if so, memory for those that are not stored as they are
}

// replayed is one partition in a snapshot.
type replayed struct {
	*Partition
	extents extents
}

func (s *shard) snapshot() *snapshot {
	s.showing.RLock() // all of a transaction or nothing, also of what it did to partitions that are new
	defer s.showing.RUnlock()
	s.mu.Lock()
	parts := append([]*Partition(nil), s.partitions...)
	s.mu.Unlock()
	snap := &snapshot{s: s, parts: map[uint32]*replayed{}}
	pinned := map[*segment]bool{}
	for _, p := range parts {
		r := &replayed{Partition: p}
		p.mu.RLock()
		r.extents.list = append(r.extents.list, p.extents.list...)
		r.extents.applied = p.extents.applied
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
		window: window{file: g.file, limit: g.end.Load(), chunk: windowSize, fresh: !snap.lend, ahead: true, pool: snap.s.pool},
		epoch:  g.Epoch, sum: g.Checksum, alignment: g.Alignment, position: format.HeaderSize, loose: true,
	}
	defer r.release()
	// Another process' writer may make the file another segment while it is looked at.
	if v, ok := g.file.(backend.Viewer); ok && snap.lend && !snap.s.cfg.readOnly {
		r.ahead = false
		return snap.replayViews(ctx, g, v, &r, yield)
	}
	return snap.replayFrames(ctx, g, &r, yield) == nil
}

// viewSize is how much of a segment is looked at, at once, bytes. One frame may take more.
const viewSize = 4 << 20

// replayViews is replayFrames without reading: it looks at one part of a segment after the other.
func (snap *snapshot) replayViews(ctx context.Context, g *segment, v backend.Viewer, r *frameReader, yield func(Entry, error) bool) bool {
	for size := int64(viewSize); ; {
		var err error
		position, at := r.position, r.position&^(format.MaxAlignment-1)
		failed := snap.s.view(v, at, int(min(size, r.limit-at)), func(data []byte) {
			r.show(data, at)
			err = snap.replayFrames(ctx, g, r, yield)
		})
		switch {
		case failed != nil:
			return snap.tell(yield, g, r.position, failed, false) == nil
		case !errors.Is(err, errShown):
			return err == nil
		case r.position == position:
			size *= 2 // there is a frame that is larger
		default:
			size = viewSize
		}
	}
}

// replayFrames yields what is live in the frames from where the reader stands. It returns nil
// at the end of the segment, and errShown at that of what is shown of it.
func (snap *snapshot) replayFrames(ctx context.Context, g *segment, r *frameReader, yield func(Entry, error) bool) error {
	for {
		if err := ctx.Err(); err != nil {
			yield(Entry{}, err)
			return errStopped
		}
		f, err := r.next()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case errors.Is(err, errShown):
			return err
		case err != nil:
			err = snap.replayBehind(err, g, r, yield)
		default:
			err = snap.replayFrame(f, g, yield)
		}
		if err != nil {
			return err
		}
	}
}

// replayBehind tells of what is wrong with a frame, and has the reader go on behind it.
func (snap *snapshot) replayBehind(err error, g *segment, r *frameReader, yield func(Entry, error) bool) error {
	bad, ok := errors.AsType[*badFrame](err)
	// An open that allows damage told what is lost here.
	if err := snap.tell(yield, g, r.position, err, ok); err != nil {
		return err
	}
	behind, err := r.behind(bad)
	if err != nil {
		return snap.tell(yield, g, r.position, err, false)
	}
	r.position = behind
	return nil
}

// tell yields an error of reading a segment. It returns nil to go on, which it does behind damage
// only, else errStopped.
func (snap *snapshot) tell(yield func(Entry, error) bool, g *segment, position int64, err error, damage bool) error {
	why := snap.s.overtaken(g, err)
	switch {
	case errors.Is(why, errDropped):
		why = fmt.Errorf("segment %s: %w", g.path, why)
	case why == nil && damage:
		if yield(Entry{}, fmt.Errorf("%w: %s: %w", ErrDamaged, g.at(position), err)) {
			return nil
		}
		return errStopped
	case why == nil:
		why = fmt.Errorf("read %s: %w", g.at(position), err)
	}
	yield(Entry{}, why)
	return errStopped
}

var errStopped = errors.New("iteration was stopped")

// replayFrame yields what is live in a frame.
func (snap *snapshot) replayFrame(f *frame, g *segment, yield func(Entry, error) bool) error {
	return f.each(func(e format.Entry, lsn uint64, data []byte) error {
		p := snap.parts[e.Partition]
		if e.Kind != format.KindData || p == nil {
			return nil
		}
		live := p.liveIn(snap.live[:0], g, lsn, e)
		if snap.live = live; len(live) == 0 {
			return nil
		}
		err := format.CheckData(g.Checksum, e, data)
		if err == nil {
			data, err = snap.s.cfg.decode(snap.decoding, &stored{e, lsn, p.topic, p.num, &g.SegmentHeader, data})
		}
		if err != nil {
			return snap.tell(yield, g, f.Position, err, errors.Is(err, format.ErrCorrupt))
		}
		for offset := e.Base; offset < e.End(); offset++ {
			var rec Record
			if rec, data, err = format.ReadRecord(data); err != nil {
				return snap.tell(yield, g, f.Position, err, true)
			}
			if !covers(live, offset) {
				continue
			}
			if snap.lend && snap.s.closing.Load() { // Close waits for this
				yield(Entry{}, ErrClosed)
				return errStopped
			}
			rec.Offset = offset
			if !yield(Entry{p.topic, p.num, rec}, nil) {
				return errStopped
			}
		}
		return nil
	})
}

// liveIn adds the parts of a batch that are live to a list: not truncated, not moved elsewhere, and
// in the log already when the snapshot was taken.
func (p *replayed) liveIn(live []extent, g *segment, lsn uint64, e format.Entry) []extent {
	if lsn > p.extents.applied {
		return live
	}
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
