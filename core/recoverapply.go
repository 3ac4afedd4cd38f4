package wal

import (
	"fmt"
	"slices"

	"github.com/chronik-go/wal/core/format"
)

// apply takes what segment i holds into the partitions. Segments are applied in order;
// within one, partitions do not depend on each other.
func (r *recovery) apply(i int) {
	g := r.segments[i]
	if f := r.footers[i]; f != nil {
		for j := range f.Partitions {
			r.applyPartition(g, &f.Partitions[j])
		}
		return
	}
	t := r.scans[i].table
	ids := make([]uint32, 0, len(t.partitions))
	for id := range t.partitions {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	for _, id := range ids {
		r.applyPartition(g, &t.partitions[id].FooterPartition)
	}
}

func (r *recovery) applyPartition(g *segment, f *format.FooterPartition) {
	p := r.partitions[f.ID]
	if p == nil {
		p = &Partition{topic: f.Topic, num: f.Partition, shard: r.s, id: f.ID}
		p.extents.first, p.extents.next = f.First, f.Next
		r.partitions[f.ID] = p
	}
	p.declared = g
	p.exists.Store(true)
	x := &p.extents
	if p.topic != f.Topic || p.num != f.Partition {
		r.add(Damage{Segment: g.path, Reason: fmt.Sprintf(
			"partition id %d is %s/%d here and %s before", f.ID, f.Topic, f.Partition, p)})
		return
	}
	switch {
	case f.Next > x.next:
		r.lost(g, p, x.next, f.Next, "the segment continues behind records that are missing")
		x.next = f.Next
		x.cut = true
	case f.Next < x.next:
		// A truncation of the suffix was lost with its segment.
		r.lost(g, p, f.Next, f.Next, fmt.Sprintf("the next offset is %d here and %d before", f.Next, x.next))
		x.truncateAfter(f.Next)
	}
	if f.First > x.first {
		x.truncateBefore(f.First)
	}
	for _, run := range f.Runs {
		next := x.next
		if err := x.apply(g, run); err != nil {
			r.lost(g, p, next, max(next, run.Base-run.Gap), err.Error())
		}
	}
}

// lost notes that offsets of a partition are missing. If some damage explains it, it is
// noted there.
func (r *recovery) lost(g *segment, p *Partition, from, to int64, reason string) {
	span := PartitionSpan{Topic: p.topic, Partition: p.num, From: from, To: to}
	at := -1
	for i, d := range r.damage {
		if d.Segment <= g.path && (at < 0 || d.Segment >= r.damage[at].Segment) {
			at = i
		}
	}
	if at >= 0 {
		r.damage[at].Partitions = append(r.damage[at].Partitions, span)
		return
	}
	r.add(Damage{Segment: g.path, Reason: reason, Partitions: []PartitionSpan{span}})
}

// checkHoles looks for offsets below a partition's next one that no segment holds: what
// stood in segments that are gone. Holes that were noted on the way are not noted again.
func (r *recovery) checkHoles() {
	var first *segment
	if len(r.segments) > 0 {
		first = r.segments[0]
	}
	for _, p := range r.sorted() {
		p.extents.holes(func(from, to int64) {
			if !r.noted(p, from, to) {
				r.lost(first, p, from, to, "records before this segment are missing")
			}
		})
	}
}

func (r *recovery) noted(p *Partition, from, to int64) bool {
	for _, d := range r.damage {
		for _, s := range d.Partitions {
			if s.Topic == p.topic && s.Partition == p.num && s.From <= from && to <= s.To {
				return true
			}
		}
	}
	return false
}

// sorted returns the partitions in the order of their ids.
func (r *recovery) sorted() []*Partition {
	list := make([]*Partition, 0, len(r.partitions))
	for _, p := range r.partitions {
		list = append(list, p)
	}
	slices.SortFunc(list, func(a, b *Partition) int { return int(a.id) - int(b.id) })
	return list
}

// finish makes the recovered state the shard's own.
func (r *recovery) finish() {
	r.s.partitions = r.sorted()
	for _, p := range r.s.partitions {
		r.s.lastID = max(r.s.lastID, p.id)
		p.next, p.first = p.extents.next, p.extents.first
		p.visible.Store(p.next)
		p.lowest.Store(p.first)
		p.stable.Store(p.next)
	}
	r.s.damage = r.damage
	r.s.count.tornTail.Store(r.tornTail)
}
