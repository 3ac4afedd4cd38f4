package wal

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"github.com/chronik-go/wal/core/format"
)

// mostMissing bounds how many missing segments in a row are made anew.
const mostMissing = 1 << 20

// repairPlan is how one log is repaired.
type repairPlan struct {
	// rebuild are the segments to be made anew, in order.
	rebuild []*rebuild
	// refused are the files to be taken away.
	refused []refused
	marker  *refused // the close marker, if it is to be taken away
}

// rebuild is a segment to be made anew: from the sound frames of a damaged one, or, where
// there is none, as a place for what has to be said about what is lost.
//
// The new segment keeps the number and the LSNs, and ends, for its successor, where the old
// one did, so that no other segment needs to change.
type rebuild struct {
	index  int // of the damaged segment in recovery.segments; -1: there is none
	header format.SegmentHeader
	// follows is the rebuilt segment before this one, if the header's predecessor depends
	// on how that comes out.
	follows *rebuild
	// anywhere: the segment is the first, and nobody knows where it began.
	anywhere bool
	// end is where the segment ends. If open, its position and chain CRC are those that
	// come out.
	end  format.Link
	open bool
	// mends are the entries to be written in place of what is lost, by their LSN.
	mends []*mend
	// used are the LSNs of the sound entries.
	used []lsnRange
}

// misfitError says that a segment contradicts the rest of the log: it is sound by itself, but
// what it holds cannot come after what the others hold.
type misfitError struct{ segment, reason string }

func (m *mend) misfit() error {
	return &misfitError{m.seg.path, fmt.Sprintf("%s: no LSN is free between %d and %d for what is missing at offset %d",
		m.part, m.after, m.before, m.run.Base-m.run.Gap)}
}

func (e *misfitError) Error() string { return fmt.Sprintf("segment %s: %s", e.segment, e.reason) }

// plan makes the plan for the repair of a log that was examined.
func (r *recovery) plan() (*repairPlan, error) {
	p := &repairPlan{refused: r.refused, marker: r.badMarker}
	r.s.logID()          // is made up if all headers are lost
	var prev *rebuild    // the last one, if it comes directly before
	var tail format.Link // the end of what comes before
	for i, g := range r.segments {
		if i > 0 && g.Predecessor.Segment > r.segments[i-1].Number {
			if n := g.Predecessor.Segment - r.segments[i-1].Number; n > mostMissing {
				return nil, fmt.Errorf("segment %s: %d segments before it are missing: too many to make anew: %w", g.path, n, r.left())
			}
			end := g.Predecessor
			end.End = max(end.End, format.HeaderSize)
			prev = p.fill(r, prev, tail, end)
			tail = end
		}
		if !g.flawed {
			prev = nil
			if f := r.footers[i]; f != nil {
				tail = f.End
			} else {
				tail = r.scans[i].end()
			}
			continue
		}
		prev = r.rebuild(i, prev, tail)
		p.rebuild = append(p.rebuild, prev)
		tail = prev.end
	}
	if m := r.marker; m != nil && (len(r.segments) == 0 || m.End.Segment > tail.Segment) {
		if tail.Segment > 0 && m.End.Segment-tail.Segment > mostMissing {
			return nil, fmt.Errorf("%d segments are missing at the end: too many to make anew: %w", m.End.Segment-tail.Segment, r.left())
		}
		p.fill(r, prev, tail, m.End)
	}
	if err := p.place(r); err != nil {
		return nil, err
	}
	return p, nil
}

// left is the error of a repair that leaves the damage as it is.
func (r *recovery) left() error { return &DamageError{Damage: r.damage()} }

// fill adds segments in place of those that are missing, up to the one that ends at end.
// What is lost is said in the last of them; the others only keep the row whole.
func (p *repairPlan) fill(r *recovery, prev *rebuild, tail, end format.Link) *rebuild {
	for tail.Segment > 0 && tail.Segment+1 < end.Segment {
		b := &rebuild{index: -1, open: true, end: format.Link{Segment: tail.Segment + 1, LSN: tail.LSN}}
		b.header = format.SegmentHeader{Log: r.s.id, Number: b.end.Segment, FirstLSN: tail.LSN + 1, Predecessor: tail}
		if prev != nil && prev.open {
			b.follows = prev
		}
		p.rebuild = append(p.rebuild, b)
		b.end.End = format.HeaderSize
		b.end.Chain = tail.Chain
		prev, tail = b, b.end
	}
	b := &rebuild{index: -1, end: end}
	b.header = format.SegmentHeader{Log: r.s.id, Number: end.Segment, FirstLSN: tail.LSN + 1, Predecessor: tail}
	if tail.Segment == 0 && end.Segment > 1 {
		b.header.Predecessor = format.Link{Segment: end.Segment - 1, End: format.HeaderSize, LSN: end.LSN}
		b.header.FirstLSN = end.LSN + 1
	}
	if prev != nil && prev.open {
		b.follows = prev
	}
	p.rebuild = append(p.rebuild, b)
	return b
}

// rebuild plans to make segment i anew, behind what ends at tail.
func (r *recovery) rebuild(i int, prev *rebuild, tail format.Link) *rebuild {
	g, sc := r.segments[i], r.scans[i]
	b := &rebuild{index: i, header: g.SegmentHeader, used: sc.used}
	b.header.Log = r.s.id
	switch {
	case !g.guessed:
	case tail.Segment > 0:
		b.header.Predecessor, b.header.FirstLSN = tail, tail.LSN+1
		if prev != nil && prev.open {
			b.follows = prev
		}
	case g.Number == 1:
		b.header.Predecessor, b.header.FirstLSN = format.Link{}, 1
	default:
		b.header.Predecessor.End, b.anywhere = format.HeaderSize, true
	}
	end, exact := r.end(i)
	switch f := r.footers[i]; {
	case exact:
		b.end = end
	case f != nil:
		b.end = f.End
	default:
		b.open = true
		b.end = format.Link{Segment: g.Number, LSN: max(b.header.FirstLSN-1, sc.end().LSN)}
		if i+1 < len(r.segments) && r.segments[i+1].guessed && r.segments[i+1].Number == g.Number+1 {
			b.end.LSN = max(b.end.LSN, r.segments[i+1].FirstLSN-1)
		}
	}
	return b
}

// place gives each mend an LSN, one that was lost, and a segment. What was lost took LSNs in
// just the order in which the mends need them, so there is room; if not, some segment does
// not belong where it stands.
func (p *repairPlan) place(r *recovery) error {
	var free []lsnRange
	for _, b := range p.rebuild {
		if b.anywhere {
			b.begin(r.earliest(b.firstUsed()))
		}
		free = append(free, b.free()...)
	}
	all := slices.Concat(r.holes, r.mends)
	if err := p.placeAll(r, all, free); err != nil && !p.room(r, all, free) {
		return err
	}
	for _, m := range all {
		for _, b := range p.rebuild {
			if b.has(m) {
				b.mends = append(b.mends, m)
				break
			}
		}
	}
	for _, b := range p.rebuild {
		slices.SortFunc(b.mends, func(x, y *mend) int {
			if x.run.LSN < y.run.LSN {
				return -1
			}
			return 1
		})
	}
	return nil
}

// placeAll places mends in the segments to be made anew, and what is missing at a partition's
// beginning before all of them, if there is no room.
func (p *repairPlan) placeAll(r *recovery, all []*mend, free []lsnRange) error {
	left := placeNeeded(all, free)
	if len(left) == 0 {
		return nil
	}
	if len(r.holes) == 0 {
		return left[0].misfit()
	}
	if left := placeNeeded(r.mends, free); len(left) > 0 {
		return left[0].misfit()
	}
	for _, m := range r.mends {
		if !m.left {
			free = takeLSN(free, m.run.LSN)
		}
	}
	if left := placeNeeded(r.holes, free); len(left) > 0 {
		return p.before(r, left)
	}
	return nil
}

// earliest returns an LSN from which on there is room for all mends and that leaves the LSNs
// far below for what a later repair may have to say.
func (r *recovery) earliest(lsn uint64) uint64 {
	n := uint64(1)
	for _, list := range [][]*mend{r.mends, r.holes} {
		for _, m := range list {
			lsn = min(lsn, m.before)
			n++
		}
	}
	return lsn - min(lsn-1, n)
}

// begin has a segment of which nobody knows where it began begin with an LSN.
func (b *rebuild) begin(lsn uint64) {
	b.header.FirstLSN, b.header.Predecessor.LSN = lsn, lsn-1
}

// firstUsed is the LSN of the first entry that is there.
func (b *rebuild) firstUsed() uint64 {
	if len(b.used) > 0 {
		return b.used[0].first
	}
	return b.end.LSN + 1
}

// before adds a segment before the first one, for records that stood there.
func (p *repairPlan) before(r *recovery, mends []*mend) error {
	end := r.segments[0].Predecessor
	if len(p.rebuild) > 0 && p.rebuild[0].index == 0 {
		end = p.rebuild[0].header.Predecessor
	}
	n := uint64(len(mends))
	if end.Segment == 0 || end.LSN < n {
		m := mends[0]
		return &misfitError{m.seg.path, fmt.Sprintf("%s: records at offset %d are missing, and there was nothing before",
			m.part, m.run.Base-m.run.Gap)}
	}
	b := &rebuild{index: -1, end: end}
	b.header = format.SegmentHeader{Log: r.s.id, Number: end.Segment, FirstLSN: 1}
	if end.Segment > 1 {
		b.header.FirstLSN = end.LSN - n + 1
		b.header.Predecessor = format.Link{Segment: end.Segment - 1, End: format.HeaderSize, LSN: end.LSN - n}
	}
	for i, m := range mends {
		m.run.LSN = end.LSN - n + 1 + uint64(i)
	}
	p.rebuild = slices.Insert(p.rebuild, 0, b)
	return nil
}

// room finds room for mends in sound segments too: where an earlier repair made one anew, it said
// nothing of what did not matter then, so LSNs are free. Those with mends are made anew once more.
func (p *repairPlan) room(r *recovery, mends []*mend, free []lsnRange) (found bool) {
	var list []*rebuild
	for i, g := range r.segments {
		if g.flawed || !g.rebuilt || r.scans[i] == nil {
			continue
		}
		b := r.rebuild(i, nil, format.Link{})
		list, free = append(list, b), append(free, b.free()...)
	}
	slices.SortFunc(free, func(a, b lsnRange) int { return cmp.Compare(a.first, b.first) })
	if len(list) == 0 || len(placeNeeded(mends, free)) > 0 {
		return false
	}
	for _, b := range list {
		if slices.ContainsFunc(mends, b.has) {
			p.rebuild = append(p.rebuild, b)
		}
	}
	slices.SortFunc(p.rebuild, func(x, y *rebuild) int { return cmp.Compare(x.header.Number, y.header.Number) })
	return true
}

// has reports whether a mend was placed in the segment.
func (b *rebuild) has(m *mend) bool {
	return !m.left && b.header.FirstLSN <= m.run.LSN && m.run.LSN <= b.end.LSN
}

// free returns the LSNs of the segment that no sound entry has.
func (b *rebuild) free() (list []lsnRange) {
	list, at := unused(b.used, b.header.FirstLSN)
	if at <= b.end.LSN && b.end.LSN < math.MaxUint64 {
		list = append(list, lsnRange{at, b.end.LSN + 1})
	}
	return list
}

// unused returns the LSNs from one on that lie before or between ranges, which are in order, and
// the first one behind all of them.
func unused(used []lsnRange, from uint64) (list []lsnRange, behind uint64) {
	for _, u := range used {
		if from < u.first {
			list = append(list, lsnRange{from, u.first})
		}
		from = max(from, u.end)
	}
	return list, from
}
