package wal

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/chronik-go/wal/core/format"
)

// request is what an append or control entry asks of the shard.
type request struct {
	part  *Partition
	entry format.Entry // Base is set by place
	at    int64        // explicit offset, or -1
	after Ack          // an append that must not have failed; the zero Ack for none
	tx    *Tx          // it stands for all appends of a transaction, or nil
	// producer, if not 0, numbers its records, and this one's first has a sequence number. before
	// is the append that it repeats; see checkSequence.
	producer uint64
	sequence int64
	before   Ack
	start    time.Time
	// generation is the partition's truncation count that a moved batch was read
	// under.
	truncations uint64
	codec       Codec   // that compresses the data, nil for none
	packed      *packed // the data if it was made beforehand
}

// slot is the place that a request got.
type slot struct {
	ack   Ack
	group *group
	entry *entry
	buf   []byte // for the data
	wake  wakeup
}

// Ack is an append that was submitted. It is a value: it may be copied, kept, and waited
// for any number of times, from any goroutine.
type Ack struct {
	shard      *shard
	lsn        uint64
	generation uint32
	offset     int64
	repeated   bool
}

// Offset returns the offset of the first record. It counts only once Wait returned nil.
func (a Ack) Offset() int64 { return a.offset }

// Wait returns nil once the records are acknowledged: as durable as the FsyncMode
// promises. ctx bounds the wait, not the write: after ctx.Err() the records may still
// become durable.
func (a Ack) Wait(ctx context.Context) error {
	if a.shard == nil {
		return fmt.Errorf("%w: the Ack of no append", ErrInvalid)
	}
	for {
		if done, err := a.outcome(); done {
			return err
		}
		if err := a.shard.await(ctx, a); err != nil {
			return err
		}
	}
}

// outcome tells whether it is decided what became of the append, without a lock in the
// usual case. The generation is read after the watermark: as long as it is the append's
// own, so was every LSN acknowledged up to then.
func (a Ack) outcome() (done bool, err error) {
	s := a.shard
	acked := s.acked.Load() >= a.lsn
	if s.generation.Load() == a.generation {
		return acked, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return true, s.rollbacks.outcome(a.generation, a.lsn)
}

// await waits until the group of an append is done or ctx ends.
func (s *shard) await(ctx context.Context, a Ack) error {
	s.mu.Lock()
	if s.generation.Load() != a.generation || s.acked.Load() >= a.lsn {
		s.mu.Unlock()
		return nil
	}
	w := s.join(s.groupOf(a.lsn))
	s.mu.Unlock()
	return s.waitOn(ctx, w)
}

// groupOf finds the group of an LSN that is not acknowledged. The caller holds mu.
func (s *shard) groupOf(lsn uint64) *group {
	groups := s.ring.groups
	for i := len(groups) - 1; i > 0; i-- {
		if groups[i].firstLSN <= lsn {
			return groups[i]
		}
	}
	return groups[0]
}

// join makes a waiter for a group. The caller holds mu.
func (s *shard) join(g *group) *waiter {
	w, ok := s.waiters.Get().(*waiter)
	if !ok {
		w = &waiter{ch: make(chan struct{}, 1)}
	}
	w.group = g
	g.waiters = append(g.waiters, w)
	return w
}

// waitOn waits until the waiter's group is done or ctx ends.
func (s *shard) waitOn(ctx context.Context, w *waiter) error {
	select {
	case <-w.ch:
		s.waiters.Put(w)
		return nil
	case <-ctx.Done():
	}
	s.mu.Lock()
	if g := w.group; g != nil {
		for i, other := range g.waiters {
			if other == w {
				g.waiters[i] = g.waiters[len(g.waiters)-1]
				g.waiters = g.waiters[:len(g.waiters)-1]
				break
			}
		}
		w.group = nil
		s.mu.Unlock()
		s.waiters.Put(w)
		return ctx.Err()
	}
	s.mu.Unlock()
	<-w.ch // it was signalled meanwhile
	s.waiters.Put(w)
	return nil
}

// reserve gives a request its offset, LSN and place in a group. Without join the caller
// waits by the Ack; with it a waiter is returned too.
func (s *shard) reserve(ctx context.Context, r *request, join bool) (sl slot, w *waiter, err error) {
	if err := ctx.Err(); err != nil {
		return slot{}, nil, err
	}
	s.mu.Lock()
	g, err := s.groupFor(ctx, r)
	if err != nil {
		s.mu.Unlock()
		return slot{}, nil, err
	}
	at := g.n
	sl = slot{ack: s.enter(g, r), group: g}
	sl.entry, sl.buf = &g.entries[len(g.entries)-1], g.buf[at:g.n:g.n]
	if join {
		w = s.join(g)
	}
	sl.wake = s.entered(g)
	s.mu.Unlock()
	return sl, w, nil
}

// enter puts a request into a group that has room for it. The caller holds mu.
func (s *shard) enter(g *group, r *request) Ack {
	r.part.place(r)
	if len(g.entries) == 0 {
		g.firstLSN, g.opened = s.nextLSN, r.start
	}
	g.n += int(r.entry.Length)
	g.records += r.entry.Count
	g.raw += r.entry.RawLength
	g.entries = append(g.entries, entry{Entry: r.entry, part: r.part, start: r.start})
	lsn := s.nextLSN
	s.nextLSN++
	if r.producer != 0 {
		s.markProducer(g, r, lsn)
	}
	return Ack{shard: s, lsn: lsn, generation: s.generation.Load(), offset: r.entry.Base}
}

// entered is called once all of a request is in a group, but for its data. The caller holds mu.
func (s *shard) entered(g *group) wakeup {
	g.encoding.Add(1)
	if g.large != nil || len(g.entries) == cap(g.entries) {
		s.closeGroup()
	}
	return s.sleep.arrived(s)
}

// groupFor returns an open group with room for a request, waiting for space if it must:
// first come, first served. The request is checked against the partition's state each
// time, since that may change during the wait. The caller holds mu, and holds it again
// when this returns.
func (s *shard) groupFor(ctx context.Context, r *request) (*group, error) {
	var place chan struct{} // in the row of those who wait
	defer func() {
		if place != nil {
			s.blocked = slices.DeleteFunc(s.blocked, func(other chan struct{}) bool { return other == place })
		}
		s.unblock() // whether this one took the space or not, the next may find some
	}()
	for {
		if err := s.writable(); err != nil {
			return nil, err
		}
		if err := s.follows(r.after); err != nil {
			return nil, err
		}
		if err := r.check(); err != nil {
			return nil, err
		}
		if len(s.blocked) == 0 || s.blocked[0] == place {
			if r.entry.Kind == format.KindTruncateAfter {
				s.closeGroup() // it comes first in its group; see committer.completeCut
			}
			g, err := s.room(r.size(), r.entries())
			if g != nil || err != nil {
				return g, err
			}
		}
		if place == nil {
			s.count.queueFull.Add(1)
			if s.cfg.noWait {
				return nil, fmt.Errorf("%w: %d bytes wait to be written", ErrBackpressure, s.ring.size)
			}
			place = make(chan struct{}, 1)
			s.blocked = append(s.blocked, place)
		}
		if err := s.block(ctx, place); err != nil {
			return nil, err
		}
	}
}

// check tells whether the request fits the state of what it is about. The caller holds mu.
func (r *request) check() error {
	if r.tx != nil {
		return r.tx.check()
	}
	return r.part.check(r)
}

// entries is how many entries the request makes.
func (r *request) entries() int {
	if r.tx != nil {
		return len(r.tx.appends)
	}
	return 1
}

// size is how much the request needs besides its entries: its data, and what it states of a
// producer.
func (r *request) size() int {
	size := int(r.entry.Length)
	if r.producer != 0 {
		size += format.EntrySize
	}
	return size
}

// room returns an open group with room for entries that have size bytes of data, nil if the ring
// is full.
func (s *shard) room(size, entries int) (*group, error) {
	if g := s.openGroup; g != nil && g.fits(size, entries) {
		return g, nil
	}
	s.closeGroup()
	need := format.FrameHeaderSize + size + entries*format.EntrySize
	if need <= s.ring.batchMax() {
		s.openGroup = s.ring.open(need, entries)
		return s.openGroup, nil
	}
	if s.large > 0 {
		return nil, nil
	}
	b, err := s.commit.queue.Buffer(int(format.AlignUp(int64(need), format.MaxAlignment)))
	if err != nil {
		return nil, fmt.Errorf("buffer for a batch of %d bytes: %w", size, err)
	}
	s.large++
	s.openGroup = s.ring.openLarge(b, entries)
	return s.openGroup, nil
}

// closeGroup ends the open group, if there is one; the committer takes it from the
// queue. The caller holds mu.
func (s *shard) closeGroup() {
	if g := s.openGroup; g != nil {
		s.ring.close(g)
		s.queue = append(s.queue, g)
		s.openGroup = nil
	}
}

// block waits until it is called to look again or ctx ends. The caller holds mu, and holds
// it again when this returns.
func (s *shard) block(ctx context.Context, place chan struct{}) (err error) {
	wake := s.sleep.interrupt()
	s.mu.Unlock()
	s.rouse(wake)
	select {
	case <-place:
	case <-ctx.Done():
		err = ctx.Err()
	}
	s.mu.Lock()
	return err
}

// unblock lets the first of the waiting appends look for space. It keeps its place in the
// row until it has found some, or gives up. The caller holds mu.
func (s *shard) unblock() {
	if len(s.blocked) > 0 {
		call(s.blocked[0])
	}
}

// unblockAll has all of them look. The caller holds mu.
func (s *shard) unblockAll() {
	for _, place := range s.blocked {
		call(place)
	}
}

func call(place chan struct{}) {
	select {
	case place <- struct{}{}:
	default: // it was called already
	}
}

// submit puts the data of a request that got a slot in place and tells the committer.
func (s *shard) submit(sl slot, r *request, records []format.Record) {
	r.put(sl.buf, records)
	s.finishEntry(sl.entry, sl.buf, sl.ack.lsn)
	sl.group.encoding.Add(-1)
	s.rouse(sl.wake)
}

// put puts the data of a request into buf: what is to be sealed into the place inside.
func (r *request) put(buf []byte, records []format.Record) {
	if r.entry.Codec&format.CodecSealed != 0 {
		buf = inside(buf)
	}
	if r.packed != nil {
		copy(buf, r.packed.data)
	} else {
		putRecords(buf, records, r.start.UnixNano())
	}
}

// finishEntry seals the data of an entry that has got its place in the log, and notes its checksum.
func (s *shard) finishEntry(e *entry, data []byte, lsn uint64) {
	if e.Codec&format.CodecSealed != 0 {
		s.sealer.seal(data, &e.Entry, lsn, e.part)
	}
	e.CRC = s.cfg.checksum.Sum(data)
}
