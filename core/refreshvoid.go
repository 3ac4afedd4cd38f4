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
	fresh := &shard{cfg: s.cfg, name: s.name, dir: s.dir, mu: newAppendLock(false), pool: s.pool}
	r, err := fresh.recover(func(r *recovery) { r.salvage = m.cfg.allowDamage })
	if err != nil {
		for _, g := range fresh.segments.all() {
			_ = g.file.Close()
		}
		return fmt.Errorf("read the log again: %w", err)
	}
	r.finish()
	old := s.segments.replace(fresh.segments.all())
	s.durable.Store(fresh.durable.Load())
	s.damage = fresh.damage
	s.mu.Lock()
	known := s.partitions
	s.partitions = nil
	s.mu.Unlock()
	for _, p := range known {
		p.adopt(fresh.partitionOf(p))
	}
	for _, p := range fresh.partitions {
		m.adopt(s, p)
	}
	s.retired = append(s.retired, old...)
	s.closeRetired()
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

// adopt takes a recovered partition into a shard: into its handle, if there is one.
func (m *Manager) adopt(s *shard, fresh *Partition) {
	key := partitionKey{fresh.topic, fresh.num}
	p := m.partitions[key]
	if p == nil {
		p = fresh
		p.shard = s
		m.partitions[key] = p
	}
	p.id = fresh.id
	p.exists.Store(true)
	s.mu.Lock()
	s.partitions = append(s.partitions, p)
	s.mu.Unlock()
}

// adopt puts another state in place of a partition's; nil is that of one that is not there.
// To its readers that is a truncation of what they may have seen beyond it.
func (p *Partition) adopt(fresh *Partition) {
	p.mu.Lock()
	defer p.mu.Unlock()
	before := p.extents
	if fresh == nil {
		p.extents = extents{}
		p.exists.Store(false)
	} else {
		p.extents = fresh.extents
	}
	x := &p.extents
	x.cuts = before.cuts
	x.cuts.after(min(before.next, x.next))
	p.cut.Store(x.cuts.count)
	p.lowest.Store(x.first)
	p.visible.Store(x.next)
	p.stable.Store(x.next)
	p.notify()
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
