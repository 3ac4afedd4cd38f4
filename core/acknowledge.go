package wal

import (
	"time"

	"github.com/chronik-go/wal/core/format"
)

// acknowledge makes a group that was written visible: first to readers, then to those
// who wait for it.
func (c *committer) acknowledge(g *group) {
	s, seg := c.s, g.seg
	now := time.Now()
	c.tail = format.Link{Segment: seg.Number, End: g.position + int64(len(g.frame)), LSN: g.lastLSN(), Chain: g.chain}
	if s.cfg.fsync == FsyncPeriodic {
		if c.nextSync.IsZero() {
			c.nextSync = now.Add(s.cfg.syncInterval)
		}
	} else {
		s.durable.Store(c.tail.LSN)
		s.count.syncs.Add(1)
	}
	c.show(g)
	s.count.appendLatency.recordEntries(g.entries, now)
	s.count.groups.Add(1)
	s.count.appends.Add(uint64(len(g.entries)))
	s.count.records.Add(uint64(g.records))
	s.count.bytes.Add(uint64(g.n - format.FrameHeaderSize))
	s.count.rawBytes.Add(uint64(g.raw))
	s.count.groupWriteLatency.record(now.Sub(g.sent))
	c.expect = len(g.entries)
	written := len(g.frame)
	c.release(g)
	if c.active != nil {
		c.lookAhead(written)
	}
}

// show makes a group visible to readers, who go by the offsets of a partition and by the table
// of a segment. Both change in one step, under the segment's lock: a reader that knew of a
// truncation by one of them only would look for records where they are not.
func (c *committer) show(g *group) {
	seg := g.seg
	seg.mu.Lock()
	defer seg.mu.Unlock()
	g.eachEntry(func(i int, e format.Entry) {
		seg.table.add(e, g.firstLSN+uint64(i), g.position)
	})
	seg.table.frames++
	seg.reaches(c.tail)
	marks := g.marks
	for from := 0; from < len(g.entries); {
		to := g.transactionEnd(from)
		if to > from+1 {
			c.publishTogether(seg, g.entries[from:to], g.firstLSN+uint64(from))
		} else {
			to = g.runEnd(from)
			n := 0
			for n < len(marks) && marks[n].entry < to {
				n++
			}
			c.publishRun(seg, g.entries[from:to], g.firstLSN+uint64(from), marks[:n])
			marks = marks[n:]
		}
		from = to
	}
}

// transactionEnd returns the end of the transaction that begins with an entry: all that follow it
// with the flag. Most begin none.
func (g *group) transactionEnd(from int) (to int) {
	for to = from + 1; to < len(g.entries) && g.entries[to].Flags&format.FlagTransaction != 0; to++ {
	}
	return to
}

// runEnd returns the end of the run of entries that begins with one: batches of a partition that
// follow each other, as a producer with many appends in flight makes them.
func (g *group) runEnd(from int) (to int) {
	first := &g.entries[from]
	for to = from + 1; to < len(g.entries); to++ {
		before, e := &g.entries[to-1], &g.entries[to]
		if e.part != first.part || e.Kind != format.KindData || first.Kind != format.KindData ||
			e.Flags != first.Flags || e.Base != before.End() || g.transactionEnd(to) > to+1 {
			break
		}
	}
	return to
}

// publishRun makes a run of entries, the first of which has an LSN, visible to the readers of their
// partition, with what is known of producers then.
func (c *committer) publishRun(seg *segment, run []entry, lsn uint64, marks []mark) {
	p := run[0].part
	p.mu.Lock()
	c.publish(seg, run, lsn)
	if len(marks) > 0 {
		before := len(p.known)
		for i := range marks {
			p.known.set(marks[i].producer)
		}
		c.producers += len(p.known) - before
	}
	p.mu.Unlock()
}

// publishTogether makes the entries of a transaction visible in one step.
func (c *committer) publishTogether(seg *segment, list []entry, lsn uint64) {
	seen := map[*Partition]bool{}
	parts := make([]*Partition, 0, len(list))
	for i := range list {
		if p := list[i].part; !seen[p] {
			seen[p] = true
			parts = append(parts, p)
		}
	}
	c.s.together(parts, func() {
		for i := range list {
			c.publish(seg, list[i:i+1], lsn+uint64(i))
		}
	})
}

// publish is publishRun, of a partition whose lock is held.
func (c *committer) publish(seg *segment, run []entry, lsn uint64) {
	e, last := &run[0], &run[len(run)-1]
	p := e.part
	// What the log itself wrote follows from what came before: no error to look at.
	_ = p.extents.apply(seg, format.Run{
		Kind: e.Kind, Flags: e.Flags, Base: e.Base, End: last.End(), Gap: e.Gap, LSN: lsn,
	})
	p.extents.applied = lsn + uint64(len(run)) - 1
	if e.Kind == format.KindTruncateAfter {
		before := len(p.known)
		p.known.cut(e.Base)
		c.producers += len(p.known) - before
	}
	p.cut.Store(p.extents.cuts.count)
	p.lowest.Store(p.extents.first)
	p.visible.Store(p.extents.next)
	switch {
	case c.s.cfg.fsync != FsyncPeriodic:
		p.stable.Store(p.extents.next)
	case e.Kind == format.KindTruncateAfter: // what comes next at these offsets is not durable yet
		p.stable.Store(min(p.stable.Load(), e.Base))
	}
	p.exists.Store(true)
	p.notify()
	if c.s.cfg.fsync == FsyncPeriodic && !p.dirty {
		p.dirty = true
		c.dirty = append(c.dirty, p)
	}
	if e.Kind == format.KindTruncateBefore || e.Kind == format.KindTruncateAfter {
		c.cut = append(c.cut, p)
	}
}

// release ends a group: what it waited with is told, its memory can be used again.
func (c *committer) release(g *group) {
	s := c.s
	s.mu.Lock()
	s.acked.Store(c.tail.LSN)
	for _, p := range c.cut {
		p.cutting--
	}
	c.dismiss(g)
	s.unblock()
	s.mu.Unlock()
	if len(c.cut) > 0 {
		c.cut = c.cut[:0]
		s.keeper.wake()
	}
	c.wakeWaiters()
	c.releaseLarge()
}

// dismiss gives up a group's memory and notes whom to wake. The caller holds mu.
func (c *committer) dismiss(g *group) {
	for _, w := range g.waiters {
		w.group = nil
	}
	c.woken = append(c.woken, g.waiters...)
	if g.large != nil {
		c.s.large--
		if g.complete || g.sent.IsZero() { // else the backend may still read from it
			c.large = append(c.large, g.large)
		}
	}
	c.s.ring.finish(g)
}

// releaseLarge gives back the buffers of dismissed groups: that may take a while, so nobody
// waits for the append lock meanwhile.
func (c *committer) releaseLarge() {
	for i, b := range c.large {
		c.queue.Release(b)
		c.large[i] = nil
	}
	c.large = c.large[:0]
}

func (c *committer) wakeWaiters() {
	for i, w := range c.woken {
		w.ch <- struct{}{}
		c.woken[i] = nil
	}
	c.woken = c.woken[:0]
}
