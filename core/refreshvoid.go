package wal

import (
	"errors"
	"fmt"
)

// errVoid: what a reader beside the writer has taken in is no ground to go on from. The writer
// has declared some of it void, a write that failed and whose bytes reached the file all the
// same; or it has dropped segments that the reader has not seen. What they did to the
// partitions, truncations for instance, can neither be undone nor made up for.
var errVoid = errors.New("what the reader knows is not what the log goes on from")

// rebuild recovers a log that is open read-only once more, and puts the result in place of
// what readers see. Their handles stay. The caller holds m.mu.
func (m *Manager) rebuild(s *shard) error {
	fresh := &shard{cfg: s.cfg, name: s.name, home: s.home, dir: s.dir, member: s.member, mu: newAppendLock(false), pool: s.pool}
	r, err := fresh.recover(func(r *recovery) { r.salvage = m.cfg.allowDamage })
	if err != nil {
		for _, g := range fresh.segments.all() {
			_ = g.file.Close()
		}
		return fmt.Errorf("read the log again: %w", err)
	}
	r.finish()
	old := s.segments.replace(fresh.segments.all())
	void := voided(old, fresh.segments.all())
	s.durable.Store(fresh.durable.Load())
	s.damage = fresh.damage
	s.together(s.partitions, func() {
		for _, p := range s.partitions {
			p.adopt(fresh.partitionOf(p), void)
		}
	})
	list := make([]*Partition, 0, len(fresh.partitions))
	for _, p := range fresh.partitions {
		list = append(list, m.adopt(s, p))
	}
	s.mu.Lock()
	s.partitions = list
	s.mu.Unlock()
	s.retired = append(s.retired, old...)
	s.closeRetired()
	return nil
}

// voided returns the segment of an earlier view that ends earlier by now, nil if none does. Only
// the last one can: the others had a successor, which tells where they end.
func voided(old, now []*segment) *segment {
	if len(old) == 0 {
		return nil
	}
	last := old[len(old)-1]
	for _, g := range now {
		if g.Epoch == last.Epoch && g.end.Load() < last.end.Load() {
			return last
		}
	}
	return nil
}

// partitionOf returns the shard's own state of a partition, nil if it has none.
func (s *shard) partitionOf(p *Partition) *Partition {
	for _, other := range s.partitions {
		if other.topic == p.topic && other.num == p.num {
			return other
		}
	}
	return nil
}

// adopt takes a recovered partition into a shard, into its handle if there is one, and returns
// that.
func (m *Manager) adopt(s *shard, fresh *Partition) *Partition {
	key := partitionKey{fresh.topic, fresh.num}
	p := m.partitions[key]
	if p == nil {
		p = fresh
		p.shard = s
		m.partitions[key] = p
	}
	p.mu.Lock()
	p.id = fresh.id
	p.mu.Unlock()
	p.exists.Store(true)
	return p
}

// adopt puts another state in place of a partition's; nil is that of one that is not there.
// To its readers that is a truncation of what they may have seen that is not as it was. The
// partition's lock is held.
func (p *Partition) adopt(fresh *Partition, void *segment) {
	before := p.extents
	if fresh == nil {
		p.extents, p.known = extents{}, nil
		p.exists.Store(false)
	} else {
		p.extents, p.known = fresh.extents, fresh.known
	}
	x := &p.extents
	x.cuts = before.cuts
	x.cuts.after(x.common(&before, void))
	p.cut.Store(x.cuts.count)
	p.lowest.Store(x.first)
	p.visible.Store(x.next)
	p.stable.Store(x.next)
	p.notify()
}

// common returns the offset up to which a partition's records are those of an earlier state:
// both have them in the same place, or they were moved since, and gaps are still gaps. That
// they were moved does not show what they were in a segment of which some is void.
func (x *extents) common(before *extents, void *segment) int64 {
	end := min(before.next, x.next)
	for _, e := range before.list {
		from := max(e.first-e.gap, x.first)
		if x.fills(from, e.first) {
			return min(from, end)
		}
		for at := max(e.first, x.first); at < e.end; {
			now, ok := x.find(at)
			same := ok && now.first <= at && (now.seg.Epoch == e.seg.Epoch && now.lsn == e.lsn || now.moved && e.seg != void)
			if !same && at == e.first {
				at = from // it may have been cut off with the gap below it
			}
			if !same {
				return min(at, end)
			}
			at = now.end
		}
	}
	if from := max(before.next-before.pending, x.first); x.fills(from, before.next) {
		return min(from, end)
	}
	return end
}

// fills reports whether there is a record between two offsets.
func (x *extents) fills(from, to int64) bool {
	e, ok := x.find(from)
	return ok && from < to && e.first < to
}

// closeRetired closes the segments of an earlier view that no reader holds any more.
func (s *shard) closeRetired() {
	left := s.retired[:0]
	for _, g := range s.retired {
		if g.pins.Load() > 1 {
			left = append(left, g)
			continue
		}
		_ = g.file.Close()
	}
	s.retired = left
}

// replace puts other segments in place of the list and returns it.
func (l *segmentList) replace(list []*segment) (old []*segment) {
	l.mu.Lock()
	defer l.mu.Unlock()
	old, l.list = l.list, list
	return old
}
