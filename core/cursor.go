package wal

import (
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/chronik-go/wal/core/format"
)

// cursor reads one partition's batches in the order of offsets. It holds the segment it
// reads, so that its file stays. Not for concurrent use.
type cursor struct {
	p    *Partition
	id   uint32 // the partition's, as long as an extent is held
	next int64  // offset to read next

	extent  extent // the one being read; its segment is held
	held    bool
	reader  frameReader
	frameAt int64       // position of the last frame that was read
	matched int64       // position behind the last frame that held something of the partition
	pending []batchSpan // of the frame before position, not yet given out

	batch  []byte // records left of the current batch
	offset int64  // of the first of them
	end    int64  // offset behind the last record to be given out of it

	cut uint64 // how many truncations it knows of
	// torn: damage was met since the last batch, so offsets may be missing.
	torn bool
}

// batchSpan is what one batch, as it lies in a frame, gives to a cursor.
type batchSpan struct {
	format.Entry
	lsn  uint64
	data []byte
	bad  error // the data is not what was written
}

func newCursor(p *Partition, from int64) *cursor {
	return &cursor{p: p, next: from, cut: p.cut.Load()}
}

func (c *cursor) close() {
	if c.held {
		c.reader.release()
		c.p.shard.unpin(c.extent.seg)
		c.held = false
	}
}

// record returns the next record. io.EOF: there is none yet. *LostError: those up to its
// To are lost; the next call goes on behind them.
func (c *cursor) record() (Record, error) {
	for {
		if c.p.cut.Load() != c.cut { // also after advance: it may have found what is cut off by now
			if err := c.meetCut(); err != nil {
				return Record{}, err
			}
		}
		if c.offset < c.end {
			break
		}
		if err := c.advance(); err != nil {
			return Record{}, err
		}
	}
	r, rest, err := format.ReadRecord(c.batch)
	if err != nil {
		return Record{}, c.damaged(fmt.Errorf("record at offset %d: %w", c.offset, err))
	}
	r.Offset = c.offset
	c.batch = rest
	c.offset++
	c.next = c.offset
	return r, nil
}

// waits returns what a follower has to wait for after an error of record, as the reason to wait
// on; nil: nothing would change it.
func (c *cursor) waits(err error) (reason func() bool) {
	x := &c.p.extents
	switch {
	case errors.Is(err, io.EOF): // for more
		return func() bool { return x.next == c.next && x.cuts.count == c.cut }
	case errors.Is(err, errDropped): // for a look at where the writer has moved it
		was := c.extent
		c.close()
		return func() bool {
			e, ok := x.find(c.next)
			return ok && e.seg == was.seg && e.lsn == was.lsn && x.cuts.count == c.cut
		}
	}
	return nil
}

// meetCut takes in that the partition was truncated since the last record.
func (c *cursor) meetCut() error {
	c.p.mu.RLock()
	defer c.p.mu.RUnlock()
	x := &c.p.extents
	end := x.cuts.since(c.cut)
	c.cut = x.cuts.count
	if c.next < x.first || c.next > end {
		return &TruncatedError{Topic: c.p.topic, Partition: c.p.num, Due: c.next, GoOn: max(x.first, min(c.next, end))}
	}
	c.extent.end, c.end = min(c.extent.end, end), min(c.end, end)
	return nil
}

// advance finds the batch that holds the next offset, and skips what precedes that in it.
func (c *cursor) advance() error {
	b, err := c.nextBatch()
	if err != nil {
		return err
	}
	if b.bad != nil && c.isDamage(b.bad) {
		return c.lose(min(b.End(), c.extent.end))
	}
	if b.bad != nil {
		return c.damaged(b.bad)
	}
	raw, err := c.p.shard.cfg.decode(nil, c.stored(b))
	if errors.Is(err, format.ErrCorrupt) && c.isDamage(err) {
		return c.lose(min(b.End(), c.extent.end))
	}
	if err != nil {
		c.pending = slices.Insert(c.pending, 0, b) // the next call meets it again
		return c.damaged(err)
	}
	c.batch, c.offset, c.end = raw, b.Base, min(b.End(), c.extent.end)
	for c.offset < c.next {
		var rest []byte
		if _, rest, err = format.ReadRecord(c.batch); err != nil {
			return c.damaged(fmt.Errorf("record at offset %d: %w", c.offset, err))
		}
		c.batch = rest
		c.offset++
	}
	return nil
}

// stored says of a batch what its decoding asks.
func (c *cursor) stored(b batchSpan) *stored {
	return &stored{b.Entry, b.lsn, c.p.topic, c.p.num, &c.extent.seg.SegmentHeader, b.data}
}

// nextBatch returns the live batch that holds the next offset.
func (c *cursor) nextBatch() (batchSpan, error) {
	for {
		if !c.held || c.next >= c.extent.end {
			if err := c.enterExtent(); err != nil {
				return batchSpan{}, err
			}
		}
		if len(c.pending) == 0 {
			if err := c.scan(); err != nil {
				return batchSpan{}, err
			}
			continue
		}
		b := c.pending[0]
		c.pending = c.pending[1:]
		if b.Base <= c.next && c.next < b.End() {
			return b, nil
		}
	}
}

// enterExtent finds where the next offset is and gets ready to read there. It returns
// io.EOF at the end of what is visible.
func (c *cursor) enterExtent() error {
	p := c.p
	p.mu.RLock()
	x := &p.extents
	if x.cuts.count != c.cut { // since record looked
		p.mu.RUnlock()
		if err := c.meetCut(); err != nil {
			return err
		}
		return c.enterExtent()
	}
	if c.next < x.first || c.next > x.next {
		first, next := x.first, x.next
		p.mu.RUnlock()
		return fmt.Errorf("%w: %s: offset %d, %s", ErrOffsetOutOfRange, p, c.next, rangeText(first, next))
	}
	e, ok := x.find(c.next)
	next, end, gone := x.next, x.next-x.pending, e.first-e.gap
	switch {
	case ok && e.lost:
		e.end = x.lostUntil(e)
	case ok && c.next >= gone:
		e.seg.pins.Add(1)
		c.id = p.id
	}
	p.mu.RUnlock()
	switch {
	case !ok:
		return c.endOfExtents(next, end)
	case c.next < gone:
		return c.lose(gone)
	case e.lost:
		c.next = max(c.next, e.first)
		return c.lose(e.end)
	}
	grown := c.held && c.extent.seg == e.seg && c.extent.first == e.first && c.extent.lsn == e.lsn
	if grown {
		c.extent.end = e.end
		c.reader.limit = e.seg.end.Load()
		p.shard.unpin(e.seg)
		return nil
	}
	c.next = max(c.next, e.first)
	return c.enter(e)
}

// endOfExtents is called when no extent holds the next offset or a higher one, at a moment
// when records up to end should be there and the rest up to next is a declared gap.
func (c *cursor) endOfExtents(next, end int64) error {
	if c.next < end {
		return c.lose(end)
	}
	c.next = max(c.next, next)
	return io.EOF
}

// lose reports that the records up to an offset are lost, and goes on behind them.
func (c *cursor) lose(to int64) error {
	from := c.next
	c.next = to
	return &LostError{PartitionSpan{c.p.topic, c.p.num, from, to}}
}

// enter gets ready to read an extent whose segment the caller has pinned.
func (c *cursor) enter(e extent) error {
	before, from := c.reader.window, int64(0)
	if c.goesOn(e) {
		from = c.frameAt
	}
	c.close()
	c.extent, c.held, c.pending = e, true, nil
	at, err := e.seg.seek(&c.p.shard.footers, c.id, c.next)
	if err != nil {
		return c.damaged(err)
	}
	at = max(at, from)
	c.reader = frameReader{
		window: window{file: e.seg.file, limit: e.seg.end.Load(), chunk: readerChunk, fresh: true},
		epoch:  e.seg.Epoch, sum: e.seg.Checksum, alignment: e.seg.Alignment, position: at, loose: true,
	}
	if from > 0 { // what was read of the segment need not be read again
		c.reader.buf, c.reader.at = before.buf, before.at
	}
	c.matched, c.frameAt = at, 0
	return nil
}

// goesOn reports whether an extent stands no earlier in its segment than the last frame that was read
// there: where a partition leaves offsets out, that frame may hold many extents.
func (c *cursor) goesOn(e extent) bool {
	was := c.extent
	return c.held && was.seg == e.seg && was.lsn < e.lsn && !was.moved && !was.lost && !e.moved
}

// readerChunk is how much a reader reads at once, bytes.
const readerChunk = 256 << 10

// scan walks frames up to one that holds batches of the extent from the next offset on.
// It returns without any if the extent is to be looked up again.
func (c *cursor) scan() error {
	for c.held {
		c.frameAt = c.reader.position
		f, err := c.frame()
		if errors.Is(err, io.EOF) {
			return c.missing(nil)
		}
		if err != nil {
			return c.missing(err)
		}
		c.collect(f)
		if len(c.pending) > 0 {
			if first := c.pending[0].Base; c.torn && first > c.next {
				c.torn = false
				return c.lose(first)
			}
			c.torn = false
			return nil
		}
		if err := c.skip(); err != nil {
			return err
		}
	}
	return nil
}

// collect takes the batches of the extent, from the next offset on, out of a frame. Behind
// damage the first one may have a higher offset.
func (c *cursor) collect(f *frame) {
	expect := c.next
	_ = f.each(func(e format.Entry, lsn uint64, data []byte) error { // it never fails
		if e.Partition != c.id || e.Kind != format.KindData {
			return nil
		}
		c.matched = c.reader.position
		behind := c.torn && len(c.pending) == 0 && e.Base < c.extent.end
		if lsn < c.extent.lsn || e.Base > expect && !behind || e.End() <= expect {
			return nil
		}
		expect = e.End()
		c.pending = append(c.pending, batchSpan{e, lsn, data, format.CheckData(c.reader.sum, e, data)})
		return nil
	})
}

// skip jumps ahead by the index once it has read in vain for a while.
func (c *cursor) skip() error {
	if c.reader.position-c.matched < indexDistance {
		return nil
	}
	at, err := c.extent.seg.seek(&c.p.shard.footers, c.id, c.next)
	if err != nil {
		return c.damaged(err)
	}
	c.reader.position = max(c.reader.position, at)
	c.matched = c.reader.position
	return nil
}

// frame returns the next frame, from memory if it is still there.
func (c *cursor) frame() (*frame, error) {
	s, r := c.p.shard, &c.reader
	if r.position >= r.limit {
		return nil, io.EOF
	}
	if inWindow := r.position >= r.at && r.position < r.at+int64(len(r.buf)); !inWindow {
		if b := s.recent(c.extent.seg, r.position); b != nil {
			r.buf, r.at = b, r.position
			s.count.memoryReads.Add(1)
		} else {
			s.count.diskReads.Add(1)
		}
	}
	return r.next()
}

// recent returns a copy of the frame at a position of a segment, if it is in memory.
func (s *shard) recent(seg *segment, position int64) []byte {
	if s.cfg.readOnly || !seg.is(stateActive) {
		return nil
	}
	s.mu.Lock()
	g := s.ring.find(seg, position)
	if g == nil || s.closing.Load() {
		s.mu.Unlock()
		return nil
	}
	g.readers++
	data := g.frame
	s.mu.Unlock()
	b := append([]byte(nil), data...)
	s.mu.Lock()
	g.readers--
	if g.readers == 0 {
		s.unblock()
	}
	s.mu.Unlock()
	return b
}

// missing deals with an extent that does not hold what it should: it was truncated or
// dropped meanwhile, or it is damaged.
func (c *cursor) missing(cause error) error {
	p := c.p
	p.mu.RLock()
	first := p.extents.first
	e, ok := p.extents.find(c.next)
	same := ok && e.seg == c.extent.seg && e.lsn == c.extent.lsn && e.first <= c.next
	p.mu.RUnlock()
	if c.next < first || !same {
		c.close() // look again: the extents have changed
		return nil
	}
	if cause == nil && c.reader.limit < c.extent.seg.end.Load() {
		c.reader.limit = c.extent.seg.end.Load()
		return nil
	}
	if cause == nil {
		cause = fmt.Errorf("%w: the batch with offset %d is not there", format.ErrCorrupt, c.next)
	}
	var bad *badFrame
	if (errors.Is(cause, format.ErrCorrupt) || errors.As(cause, &bad)) && c.isDamage(cause) {
		return c.pass(bad)
	}
	return c.damaged(cause)
}

// isDamage reports whether a log that was opened despite damage is damaged here: the segment was
// not dropped by a running writer, and the log is open.
func (c *cursor) isDamage(cause error) bool {
	s := c.p.shard
	return s.cfg.allowDamage && s.overtaken(c.extent.seg, cause) == nil
}

// pass goes on behind damage in a log that was opened despite it: at the next frame or, if
// there is none, behind the extent.
func (c *cursor) pass(bad *badFrame) error {
	if bad == nil {
		return c.lose(c.extent.end)
	}
	behind, err := c.reader.behind(bad)
	if err != nil {
		return c.damaged(err)
	}
	c.torn, c.reader.position = true, behind
	return nil
}

// damaged wraps the error of reading what should be good.
func (c *cursor) damaged(cause error) error {
	at := c.extent.seg.at(c.reader.position)
	switch why := c.p.shard.overtaken(c.extent.seg, cause); {
	case errors.Is(why, errDropped):
		return fmt.Errorf("%s: offset %d: %s: %w", c.p, c.next, at, why)
	case why != nil:
		return why
	}
	var bad *badFrame
	if errors.Is(cause, format.ErrCorrupt) || errors.As(cause, &bad) {
		return fmt.Errorf("%w: %s: %s: %w", ErrDamaged, c.p, at, cause)
	}
	return fmt.Errorf("read %s: %s: %w", c.p, at, cause)
}
