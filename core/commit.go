package wal

import (
	"time"

	"github.com/cespare/xxhash/v2"

	"github.com/chronik-go/wal/core/backend"
	"github.com/chronik-go/wal/core/format"
)

// maxDepth is how many groups may be in flight where the backend allows it.
const maxDepth = 4

// committer writes groups: it takes what arrived while the last group was on its way,
// makes a frame of it, and acknowledges it when the write is done.
type committer struct {
	s     *shard
	queue backend.Queue
	depth int

	active   *segment
	position int64 // where the next frame goes
	hash     *xxhash.Digest
	chain    uint32 // header CRC of the last frame sent
	// tail is the end of the acknowledged log: where it goes on after a failure.
	tail     format.Link
	inflight []*group // oldest first
	prelude  *backend.Buffer
	header   *backend.Buffer
	single   backend.Batch // for writes outside groups
	failures int
	nextSync time.Time // mode periodic; zero if nothing is to be synced
	dirty    []*Partition
	woken    []*waiter         // of the group acknowledged last; memory used again
	cut      []*Partition      // that the group acknowledged last truncates
	large    []*backend.Buffer // of dismissed groups, to be released
	expect   int               // entries of the group acknowledged last
	known    int               // partitions of the log
	// producers is how many those know together, counts how often some were counted.
	producers int
	counts    uint64
	timer     *time.Timer
	ended     chan struct{} // closed when the loop is over
	asked     bool          // the preparer works on, or holds, a file for this committer
	zeroed    int64
	zeroing   *zeroRequest
	usual     int // size of a group, bytes, smoothed
}

func (c *committer) init(s *shard, queue backend.Queue, depth int) {
	c.s, c.queue, c.depth = s, queue, depth
	c.timer = time.NewTimer(time.Hour)
	c.ended = make(chan struct{})
	s.sleep.bell = make(chan struct{}, 1)
	s.nextLSN = c.tail.LSN + 1
	s.acked.Store(c.tail.LSN)
	s.durable.Store(c.tail.LSN)
	c.chain = c.tail.Chain
}

// loop is the committer's goroutine.
func (c *committer) loop() {
	defer close(c.ended)
	defer c.timer.Stop()
	for {
		c.chores()
		if g := c.take(); g != nil {
			c.send(g)
			continue
		}
		if len(c.inflight) > 0 {
			c.collect()
			continue
		}
		if !c.park() {
			return
		}
	}
}

// take returns the group to send next, nil if none is to be sent now. It stays at the
// head of the queue until it is sent.
//
// While nothing is in flight, whatever has arrived goes out. A further group goes out
// only if it is full or carries at least as many entries as the one in flight: smaller
// ones would only split what a single group could carry.
func (c *committer) take() *group {
	if len(c.inflight) == 0 {
		c.letArrive()
	}
	s := c.s
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sleep.need = 0
	c.known = len(s.partitions)
	if len(c.inflight) >= c.depth || s.failure != nil {
		return nil
	}
	if len(s.queue) == 0 && s.openGroup != nil {
		switch n := len(c.inflight); {
		case n > 0 && len(s.openGroup.entries) < len(c.inflight[n-1].entries):
			return nil
		case n == 0 && s.cfg.fsync == FsyncBatch:
			if s.linger.wants(s.openGroup, s.cfg.batchDelay) && !s.ripe() {
				return nil
			}
			s.linger.sent(s.openGroup)
		}
		s.closeGroup()
	}
	s.linger.group = nil
	if len(s.queue) == 0 {
		return nil
	}
	return s.queue[0]
}

// letArrive gives way to producers that were just woken: those that append again at once
// make one group together, where a group of the first to come would leave the others
// behind for a whole write.
func (c *committer) letArrive() {
	for range 3 {
		s := c.s
		s.mu.Lock()
		enough := c.expect == 0 || len(s.queue) > 0 || s.openGroup != nil && len(s.openGroup.entries) >= c.expect
		s.mu.Unlock()
		if enough {
			return
		}
		giveWay()
	}
}

// send makes a frame of a group and submits it. Where that fails the log has failed or
// has no space, and the group is dealt with.
func (c *committer) send(g *group) {
	g.awaitEncoders()
	if !c.completeCut(g) {
		return
	}
	ready, err := c.makeRoom(g)
	if err != nil {
		c.giveUp(err)
		return
	}
	if !ready {
		return
	}
	prelude, err := c.declare(g)
	if err != nil {
		c.giveUp(err)
		return
	}
	c.s.mu.Lock()
	copy(c.s.queue, c.s.queue[1:])
	c.s.queue = c.s.queue[:len(c.s.queue)-1]
	c.s.mu.Unlock()
	c.write(g, prelude)
}

// write frames a group at the committer's position and submits it.
func (c *committer) write(g *group, prelude []byte) {
	g.batch.Writes = g.batch.Writes[:0]
	if prelude != nil {
		g.batch.Writes = append(g.batch.Writes, c.newWrite(prelude, c.prelude))
	}
	g.seg, g.position = c.active, c.position
	c.frame(g)
	buf := g.large
	if buf == nil {
		buf = c.s.ring.slab
	}
	g.batch.Writes = append(g.batch.Writes, c.newWrite(g.frame, buf))
	g.batch.Err, g.batch.Tag, g.complete = nil, g, false
	g.sent = time.Now()
	c.inflight = append(c.inflight, g)
	err := c.queue.Submit(&g.batch)
	c.sum(g.batch.Writes...) // while the device writes
	if err != nil {
		g.batch.Err, g.complete = err, true
		c.settle()
	}
}

// newWrite makes a write of whole blocks at the committer's position and moves that on. What is
// written has to be summed, in the same order.
func (c *committer) newWrite(data []byte, buf *backend.Buffer) backend.Write {
	w := backend.Write{
		File: c.active.file, Offset: c.position, Data: data, Buffer: buf,
		Sync: c.s.cfg.fsync != FsyncPeriodic,
	}
	c.position += int64(len(data))
	c.s.count.bytesWritten.Add(uint64(len(data)))
	return w
}

// sum takes writes into the segment's hash, which its footer tells.
func (c *committer) sum(writes ...backend.Write) {
	for i := range writes {
		_, _ = c.hash.Write(writes[i].Data) // a hash never fails
	}
}

// frame completes a group's bytes: directory, header, padding.
func (c *committer) frame(g *group) {
	at := g.n
	g.eachEntry(func(_ int, e format.Entry) {
		format.PutEntry(g.buf[at:], e)
		at += format.EntrySize
	})
	end := int(format.AlignUp(int64(at), c.s.alignment))
	clear(g.buf[at:end])
	g.frame = g.buf[:end]
	g.chain = c.seal(g.frame, at, g.directory(), g.firstLSN, g.position)
}

// seal writes the header of a frame that is complete but for it, and returns its CRC.
func (c *committer) seal(frame []byte, length, entries int, lsn uint64, position int64) uint32 {
	h := format.FrameHeader{
		Length: int64(length), Entries: entries, Epoch: c.active.Epoch, LSN: lsn,
		Durable: c.s.durable.Load(), Position: position, Chain: c.chain,
	}
	h.DirectoryCRC = format.CRC(frame[h.DirectoryAt():length])
	c.chain = format.PutFrameHeader(frame, h)
	return c.chain
}

// collect waits for something in flight to complete and settles what it can.
func (c *committer) collect() {
	s := c.s
	s.mu.Lock()
	if len(c.inflight) < c.depth && len(s.queue) == 0 {
		s.sleep.need = len(c.inflight[len(c.inflight)-1].entries)
	}
	s.sleep.waiting = true
	s.mu.Unlock()
	b, err := c.queue.Wait()
	s.mu.Lock()
	s.sleep.waiting, s.sleep.need = false, 0
	s.mu.Unlock()
	if err != nil {
		c.fail(err)
		return
	}
	if b == nil {
		return
	}
	if g, ok := b.Tag.(*group); ok {
		g.complete = true
		c.settle()
	}
}

// settle acknowledges, in order, what has completed.
func (c *committer) settle() {
	for len(c.inflight) > 0 && c.inflight[0].complete {
		g := c.inflight[0]
		err := g.batch.Failed()
		if err == nil {
			err = c.zerosFailed()
		}
		if err != nil {
			c.writeFailed(err)
			return
		}
		copy(c.inflight, c.inflight[1:])
		c.inflight = c.inflight[:len(c.inflight)-1]
		c.acknowledge(g)
	}
}

// drain waits until nothing is in flight.
func (c *committer) drain() {
	for len(c.inflight) > 0 {
		c.collect()
	}
}

// writeNow carries out one batch outside groups, with nothing else in flight.
func (c *committer) writeNow(w ...backend.Write) error {
	c.single = backend.Batch{Writes: append(c.single.Writes[:0], w...)}
	if err := c.queue.Submit(&c.single); err != nil {
		return err
	}
	for {
		b, err := c.queue.Wait()
		if err != nil { // the queue is broken, and the batch its own for ever
			c.fail(err)
			return err
		}
		if b == &c.single {
			return b.Failed()
		}
	}
}
