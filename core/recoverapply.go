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
	g.flawed = r.damagedIn(g)
	for _, pt := range r.parts(i) {
		r.applyPart(g, &pt)
	}
}

func (r *recovery) applyPart(g *segment, pt *part) {
	p := r.partitions[pt.id]
	if p == nil {
		p = &Partition{topic: pt.Topic, num: pt.Partition, shard: r.s, id: pt.id}
		p.extents.begin(g, pt.Declaration)
		r.partitions[pt.id] = p
		r.begun[pt.id] = beginning{Declaration: pt.Declaration, seg: g, before: pt.begins(g)}
	}
	p.declared = g
	p.exists.Store(true)
	if p.topic != pt.Topic || p.num != pt.Partition {
		r.note(g.path, 0, 0, fmt.Sprintf("partition id %d is %s/%d here and %s before", pt.id, pt.Topic, pt.Partition, p))
		return
	}
	if pt.declared > 0 {
		r.meet(g, p, pt)
		r.seen[pt.id] = max(r.seen[pt.id], pt.declared-1) // what is lost from here on comes later
	}
	if g.flawed || g.rebuilt {
		r.starts[startKey{g.Number, pt.id}] = start{p.declaration(), pt.firstLSN(), len(r.mends), slices.Clone(p.known)}
	}
	if !g.flawed {
		p.known = nil // all that is known is told again
	}
	for _, known := range pt.known {
		p.known.set(known)
	}
	for _, run := range pt.runs {
		if pt.steps == nil {
			r.applyStep(g, p, step{Run: run, last: g.lastLSN.Load()})
		}
	}
	for _, st := range pt.steps {
		r.applyStep(g, p, st)
	}
}

// beginning is where a partition's first declaration stands.
type beginning struct {
	format.Declaration
	seg    *segment
	before uint64
}

// start is where a partition stood when a segment began.
type start struct {
	format.Declaration
	// lsn is that of the first entry that the segment still has of it.
	lsn uint64
	// mends is how many losses had shown by then.
	mends int
	// known are the producers.
	known producers
}

// startKey names a partition in a segment.
type startKey struct {
	segment uint64
	id      uint32
}

// meet brings a partition to the state that a declaration tells.
func (r *recovery) meet(g *segment, p *Partition, pt *part) {
	x := &p.extents
	r.loseUpTo(g, p, pt.Declaration, pt.declared)
	r.giveUpFilled(g, p, pt.Declaration, pt.declared)
	if run, differs := x.truncatedTo(pt.Declaration); differs {
		seen := r.seen[p.id]
		if run.Base == x.next && run.Flags&format.FlagGapLost != 0 {
			r.seen[p.id] = r.ended[p.id] // a declaration of the same end that shows less of the loss does not contradict it
		}
		r.mend(g, p, run, pt.declared)
		r.seen[p.id] = seen
	} else {
		x.learn(g, pt.Declaration)
	}
	delete(r.losing, p.id)
	if pt.First > x.first {
		x.truncateBefore(pt.First)
	}
}

// loseUpTo gives up what is missing below a state that is told, but for a declared gap below next.
func (r *recovery) loseUpTo(g *segment, p *Partition, d format.Declaration, before uint64) {
	to := d.Next
	if !d.GapLost {
		to -= d.Gap
	}
	if p.extents.next < to {
		r.lose(g, p, to, before)
	}
}

// lose gives up all offsets from next on up to one.
func (r *recovery) lose(g *segment, p *Partition, to int64, before uint64) {
	run := lostRun(p.extents.next, to)
	i, ok := r.losing[p.id]
	if !ok {
		r.mend(g, p, run, before)
		r.losing[p.id] = len(r.mends) - 1
		return
	}
	// Only truncations of the beginning came since: it may all have been one batch.
	m := r.mends[i]
	_ = p.extents.apply(g, run) // it was made to follow
	m.run.Base, m.run.End, m.run.Gap, m.lost = to, to, m.run.Gap+run.Gap, m.lost+run.Gap
	m.result.Next, m.result.Gap = to, m.result.Gap+run.Gap
	for _, between := range r.segments {
		k := startKey{between.Number, p.id}
		if s, ok := r.starts[k]; ok && s.mends > i {
			s.Declaration = raiseFirst(m.result, s.First)
			r.starts[k] = s
		}
	}
}

// giveUpFilled gives up what filled a declared gap, if less of it is left in a state that is told:
// the gap had been cut off and filled. It reports whether there is that.
func (r *recovery) giveUpFilled(g *segment, p *Partition, d format.Declaration, before uint64) bool {
	low := d.Next - d.Gap
	gap, lost := p.extents.gapBelow(low)
	if gap = min(gap, low-d.First); gap <= 0 || lost || d.GapLost {
		return false
	}
	r.mend(g, p, truncateRun(low, gap, true), before)
	return true
}

// truncatedTo is the run of a truncation that is missing: it leads to the state that is told by a
// later declaration. Not all of that need be so now: what was lost since had records then.
func (x *extents) truncatedTo(d format.Declaration) (run format.Run, differs bool) {
	if d.Next > x.next {
		return truncateRun(d.Next, d.Gap, d.GapLost), true
	}
	gap, lost := x.gapBelow(d.Next)
	switch {
	case gap > 0 && d.GapLost && !lost: // the gap was filled, and that lost before
		gap, lost = max(gap, d.Gap), true
	case gap < d.Gap: // the range was cut off, if it had records
		differs = x.holds(d.Next-d.Gap, d.Next)
		gap, lost = d.Gap, d.GapLost
	}
	return truncateRun(d.Next, gap, lost), differs || d.Next < x.next
}

func truncateRun(next, gap int64, lost bool) format.Run {
	run := format.Run{Kind: format.KindTruncateAfter, Base: next, End: next, Gap: gap}
	if lost {
		run.Flags = format.FlagGapLost
	}
	return run
}

// applyStep takes in a run. Where it does not follow from what came before, entries between
// are missing, and it tells which ones at least.
func (r *recovery) applyStep(g *segment, p *Partition, st step) {
	x := &p.extents
	if st.Flags&format.FlagMoved == 0 {
		due := st.Base - st.Gap
		if st.Kind == format.KindTruncateBefore || st.Kind == format.KindTruncateAfter {
			due = max(x.next, due)
		}
		switch {
		case due > x.next:
			r.lose(g, p, due, st.LSN)
		case due < x.next:
			gap, lost := x.gapBelow(due)
			r.mend(g, p, truncateRun(due, gap, lost), st.LSN)
		}
	}
	if st.missing {
		r.addMend(g, p, st)
	} else {
		r.checkFilled(g, p, st)
		_ = x.apply(g, st.Run) // it follows, now that what is missing is mended
	}
	if st.Flags&format.FlagMoved == 0 && st.Kind != format.KindTruncateBefore { // those tell nothing of the next offset
		r.seen[p.id] = max(r.seen[p.id], st.last)
		r.ended[p.id] = r.seen[p.id]
		delete(r.losing, p.id)
	}
}

// checkFilled gives up what filled a gap of which a truncation tells less than there was, if
// damage came between. The truncation shows that, but not by itself: the segment that declares
// the gap may go one day.
func (r *recovery) checkFilled(g *segment, p *Partition, st step) {
	if st.Kind != format.KindTruncateAfter {
		return
	}
	f := r.explain(r.seen[p.id], st.LSN)
	if f == nil || f.lsn <= r.seen[p.id] {
		return
	}
	d := format.Declaration{First: p.extents.first, Next: st.Base, Gap: st.Gap, GapLost: st.Flags&format.FlagGapLost != 0}
	if r.giveUpFilled(g, p, d, st.LSN) {
		r.mends[len(r.mends)-1].optional = true
	}
}

// mend is an entry that stands for what is lost: a repair writes it.
type mend struct {
	part *Partition
	seg  *segment // in which the loss shows
	run  format.Run
	// state is that of the partition before it, result behind it.
	state, result format.Declaration
	// lost is how many offsets directly below the run's base are lost by it.
	lost int64
	// The entry's LSN lies between these.
	after, before uint64
	// optional: without it the log says the same, as long as all its segments are there.
	optional bool
	// left: no LSN is free for it, and none is needed.
	left bool
}

func lostRun(from, to int64) format.Run {
	return format.Run{Kind: format.KindLost, Base: to, End: to, Gap: to - from}
}

// mend makes good for an entry that is missing before an LSN.
func (r *recovery) mend(g *segment, p *Partition, run format.Run, before uint64) {
	run.LSN = r.seen[p.id] + 1
	r.addMend(g, p, step{Run: run, before: before})
}

func (r *recovery) addMend(g *segment, p *Partition, st step) {
	m := &mend{
		part: p, seg: g, run: st.Run, state: p.declaration(), after: max(st.after, r.seen[p.id]), before: st.before,
	}
	switch m.run.Kind {
	case format.KindLost:
		m.lost = m.run.Gap
	case format.KindTruncateAfter:
		had, lost := p.extents.gapBelow(min(m.run.Base, p.extents.next))
		if !lost && m.run.Base <= p.extents.next && had > m.run.Gap { // it was filled
			m.run.Gap, m.run.Flags = had, m.run.Flags|format.FlagGapLost
		}
		if !lost && m.run.Flags&format.FlagGapLost != 0 {
			m.lost = m.run.Gap
		}
	}
	_ = p.extents.apply(g, m.run) // it was made to follow
	m.result = p.declaration()
	r.mends = append(r.mends, m)
	delete(r.losing, p.id)
}

// checkLosses tells for everything that is missing, and was not truncated, what damage it
// is lost by.
func (r *recovery) checkLosses() {
	for _, m := range r.mends {
		spans := m.part.missing(m.run.Base-m.lost, m.run.Base)
		r.blame(m, spans, fmt.Sprintf("%s: entries before LSN %d are missing", m.part, m.before))
	}
	for _, p := range r.sorted() {
		r.checkHoles(p)
	}
}

// checkHoles looks for offsets below a partition's next one that no segment holds: what
// stood in segments that are gone.
func (r *recovery) checkHoles(p *Partition) {
	var spans []PartitionSpan
	p.extents.holes(func(from, to int64) {
		spans = append(spans, PartitionSpan{p.topic, p.num, from, to})
	})
	if len(spans) == 0 {
		return
	}
	// Before the first hole there are copies that were moved to later segments, or nothing.
	b := r.begun[p.id]
	state := b.Declaration
	state.Next, state.Gap, state.GapLost = max(b.First, min(spans[0].From, b.Next-1)), 0, false
	// What was truncated since stays so, even if the truncation should be lost one day.
	state.First = max(b.First, min(p.extents.first, state.Next))
	m := &mend{part: p, seg: b.seg, run: lostRun(state.Next, b.Next), state: state, before: b.before}
	r.holes = append(r.holes, m)
	if r.explain(0, m.before) == nil && r.segments[0].Predecessor.Segment > 0 {
		r.blameBefore()
	}
	r.blame(m, spans, fmt.Sprintf("%s: records before this segment are missing", p))
}

// blameBefore notes that what stood before the first segment is missing.
func (r *recovery) blameBefore() {
	first := r.segments[0]
	number := first.Predecessor.Segment
	if r.blameRefused(number, number, 1) {
		return
	}
	r.flaws = append(r.flaws, flaw{lsn: 1, Damage: Damage{
		Segment: r.s.path(segmentName(number)), Reason: fmt.Sprintf("segment %d, and maybe others before it, is missing", number),
	}})
}

// missing returns the parts of a range of offsets that should have records and have none.
func (p *Partition) missing(from, to int64) (spans []PartitionSpan) {
	add := func(a, b int64) {
		if a, b = max(a, from), min(b, to); a < b {
			spans = append(spans, PartitionSpan{p.topic, p.num, a, b})
		}
	}
	p.extents.holes(add)
	for _, e := range p.extents.list {
		if e.lost {
			add(e.first, e.end)
		}
	}
	return joinSpans(spans)
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
		p.known.cut(p.next) // a truncation may be lost
		p.producers = slices.Clone(p.known)
		p.extents.applied = r.s.commit.tail.LSN // a footer tells of runs only where they begin
		p.cut.Store(p.extents.cuts.count)
		p.visible.Store(p.next)
		p.lowest.Store(p.first)
		p.stable.Store(p.next)
	}
	r.s.damage = r.damage()
	r.s.count.tornTail.Store(r.tornTail)
}
