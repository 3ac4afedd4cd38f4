package wal

import (
	"fmt"
	"sort"

	"github.com/chronik-go/wal/core/format"
)

// extent says that a segment holds a range of a partition's offsets.
type extent struct {
	first, end int64 // end exclusive
	// gap is how many offsets directly below first never had a record, declared so.
	gap int64
	// lsn is that of the first batch: batches of the segment before it that hold these
	// offsets were truncated.
	lsn uint64
	seg *segment
	// moved: it is a copy of records that stood elsewhere before.
	moved bool
	// lost: there are no records. They were lost, and the segment is the one that says so.
	lost bool
}

// hold counts the extent, n times more, in the segment that has to stay for it.
func (e *extent) hold(n int64) {
	if e.lost {
		e.seg.losses.Add(n)
	} else {
		e.seg.live.Add(n)
	}
}

// extents is where a partition's live records are, in the order of offsets. The zero
// value is an empty partition.
//
// Applying the entries of a log in LSN order gives the same extents whether it is done
// one by one while they are written, by recovery from frames, or from footers.
type extents struct {
	list []extent
	// first is the lowest offset not truncated, next the one the next record gets.
	first, next int64
	// pending is a declared gap directly below next whose record has not come yet.
	pending int64
	// applied is the LSN up to which entries are taken in: what stands in the same segment with a
	// higher one came later, if only to the offsets of something that was truncated meanwhile.
	applied uint64
	cuts    cuts
	// cut: a truncation came after the last extent, so the next run begins its own:
	// what stands between them in the segment is dead.
	cut bool
}

// begin sets the state that a partition's first declaration, in a segment, tells.
func (x *extents) begin(seg *segment, d format.Declaration) {
	x.first, x.next = d.First, d.Next
	x.without(seg, d.Gap, d.GapLost)
}

// without takes in that offsets directly below next have no record: they never had one, or a
// segment says that it was lost.
func (x *extents) without(seg *segment, gap int64, lost bool) {
	gap = max(0, min(gap, x.next-x.first))
	if !lost {
		x.pending = gap
	} else if gap > 0 {
		x.add(extent{first: x.next - gap, end: x.next, gap: x.pending, seg: seg, lost: true})
		x.pending = 0
	}
}

// add puts an extent behind the others.
func (x *extents) add(e extent) {
	x.list = append(x.list, e)
	e.hold(1)
}

// meet brings the state that a reader had to that of a later declaration. What lies
// between stood in segments that the writer dropped before the reader looked: of it there
// is only what comes as moved batches.
func (x *extents) meet(seg *segment, d format.Declaration) {
	low, cut := min(x.next, d.Next-d.Gap), min(x.next, d.Next)
	if x.holds(low, x.next) {
		cut = low
	}
	if cut < x.next {
		x.cuts.after(cut)
	}
	if cut < x.next || d.Next > x.next {
		x.cutTo(low)
		x.next = d.Next
		x.without(seg, d.Gap, d.GapLost)
	}
	if d.First > x.first {
		x.truncateBefore(d.First)
		x.cuts.before(x.first)
	}
}

// learn takes in what a declaration of this state tells about offsets below next that have no
// record: the segments that told it first were dropped, or told of a gap only.
func (x *extents) learn(seg *segment, d format.Declaration) {
	gap, lost := x.gapBelow(d.Next)
	if gap < d.Gap || gap > 0 && d.GapLost && !lost {
		gap = max(gap, d.Gap)
		x.cutTo(d.Next - gap)
		x.next = d.Next
		x.without(seg, gap, d.GapLost)
	}
}

// holds reports whether there is a record in a range of offsets.
func (x *extents) holds(from, to int64) bool {
	for _, e := range x.list {
		if !e.lost && e.first < to && from < e.end {
			return true
		}
	}
	return false
}

// apply takes in a run of a segment. It returns an error if the run does not follow
// from what came before: then records are lost, and it goes on behind them.
func (x *extents) apply(seg *segment, r format.Run) error {
	x.applied = max(x.applied, r.LSN)
	switch r.Kind {
	case format.KindData:
		if r.Flags&format.FlagMoved != 0 {
			x.move(seg, r)
			return nil
		}
		return x.append(seg, r)
	case format.KindTruncateBefore:
		x.truncateBefore(r.Base)
		x.cuts.before(x.first)
	case format.KindTruncateAfter:
		x.truncateAfter(seg, r)
		x.cuts.after(x.next)
	case format.KindLost:
		return x.lose(seg, r)
	}
	return nil
}

func (x *extents) append(seg *segment, r format.Run) (err error) {
	if r.Base-r.Gap != x.next {
		if r.Base < x.next {
			return fmt.Errorf("offsets %d to %d come a second time", r.Base, min(r.End, x.next)-1)
		}
		err = fmt.Errorf("offsets %d to %d are missing", x.next, r.Base-r.Gap-1)
	}
	e := extent{first: r.Base, end: r.End, gap: r.Gap + x.pending, lsn: r.LSN, seg: seg}
	joins := e.gap == 0 && !x.cut && err == nil
	x.pending, x.cut, x.next = 0, false, r.End
	if n := len(x.list); n > 0 && joins {
		last := &x.list[n-1]
		if last.seg == seg && !last.moved && !last.lost && last.end == r.Base && last.lsn < r.LSN {
			last.end = r.End
			return nil
		}
	}
	x.add(e)
	return err
}

func (x *extents) lose(seg *segment, r format.Run) error {
	if r.Base-r.Gap != x.next {
		return fmt.Errorf("offsets %d to %d were given up where %d is next", r.Base-r.Gap, r.Base-1, x.next)
	}
	x.add(extent{first: x.next, end: r.Base, gap: x.pending, lsn: r.LSN, seg: seg, lost: true})
	x.pending, x.cut, x.next = 0, false, r.Base
	return nil
}

func (x *extents) truncateBefore(first int64) {
	x.first = max(x.first, first)
	n := 0
	for n < len(x.list) && x.list[n].end <= x.first {
		x.list[n].hold(-1)
		n++
	}
	x.list = x.list[n:]
	x.pending = max(0, min(x.pending, x.next-x.first))
	if len(x.list) == 0 {
		// Records behind first may still come, as moved batches.
		return
	}
	e := &x.list[0]
	e.first = max(e.first, x.first)
	e.gap = min(e.gap, e.first-x.first)
}

// truncateAfter drops the offsets from the run's base on. The run tells how many directly below
// that never had a record, or else how many had one that is lost: the segment that said so
// first may be gone, if this is not known already. Where there is more of a declared gap than it
// tells, that had been cut off and filled, and what filled it is lost. That takes the segment that declares the gap to
// be told, so it is the one that has to stay for it.
func (x *extents) truncateAfter(seg *segment, r format.Run) {
	x.first = min(x.first, r.Base)
	lost := r.Flags&format.FlagGapLost != 0
	if known, ok := x.gapBelow(r.Base); lost && ok && known >= r.Gap && r.Base <= x.next {
		x.cutTo(r.Base)
		return
	}
	gap, by := x.cutTo(max(x.first, r.Base-r.Gap))
	if by == nil {
		by = seg
	}
	x.without(by, gap, !lost)
	x.next = r.Base
	x.without(seg, r.Gap, lost)
}

// cutTo drops the offsets from one on, and returns how many directly below it never had a
// record, and which segment declares that with the record behind them; nil for none.
func (x *extents) cutTo(next int64) (gap int64, by *segment) {
	from := x.next - x.pending
	for n := len(x.list); n > 0 && x.list[n-1].end > next; n-- {
		e := &x.list[n-1]
		if e.first < next {
			e.end, from = next, next
			break
		}
		from, by = e.first-e.gap, e.seg
		e.hold(-1)
		x.list = x.list[:n-1]
	}
	x.next, x.pending, x.cut = next, 0, true
	return max(0, next-max(from, x.first)), by
}

// gapBelow returns how many offsets directly below next, not above x.next, have no record and
// why: they never had one, or it was lost.
func (x *extents) gapBelow(next int64) (gap int64, lost bool) {
	from := x.next - x.pending
	i := len(x.list)
	for ; i > 0 && x.list[i-1].first >= next; i-- {
		from = x.list[i-1].first - x.list[i-1].gap
	}
	if i == 0 || x.list[i-1].end < next {
		return max(0, next-max(from, x.first)), false
	}
	if !x.list[i-1].lost {
		return 0, false
	}
	for i--; i > 0 && x.list[i-1].lost && x.list[i-1].end == x.list[i].first; i-- {
	}
	return next - x.list[i].first, true
}

// move puts a copy in seg in place of what lies in a range. At the copy's LSN the range held
// just what the copy holds; see mover. After a repair the range may be a gap or what was lost:
// the original was, the copy was not.
func (x *extents) move(seg *segment, r format.Run) {
	first, end := max(r.Base, x.first), min(r.End, x.next)
	if first >= end {
		return
	}
	gapFrom, below := first-r.Gap, x.first // the copy's declared gap begins at the higher one
	var list []extent
	keep := func(e extent) {
		list = append(list, e)
		e.hold(1)
	}
	for _, e := range x.list {
		if from := e.first - e.gap; e.end > first && from < end {
			gapFrom = min(gapFrom, from)
		}
		if left := e; e.first < first {
			left.end = min(e.end, first)
			below = left.end
			keep(left)
		}
		if right := e; e.end > end {
			right.first = max(e.first, end)
			right.gap = min(e.gap, right.first-end)
			keep(right)
		}
		e.hold(-1)
	}
	if from := x.next - x.pending; from < end {
		gapFrom = min(gapFrom, from)
		x.pending = x.next - end
	}
	keep(extent{first: first, end: end, gap: first - max(gapFrom, below), lsn: r.LSN, seg: seg, moved: true})
	sort.Slice(list, func(i, j int) bool { return list[i].first < list[j].first })
	x.list = list
}

// lostUntil returns the end of what is lost from an extent on.
func (x *extents) lostUntil(e extent) int64 {
	for {
		next, ok := x.find(e.end)
		if !ok || !next.lost || next.first > e.end {
			return e.end
		}
		e = next
	}
}

// find returns the extent that holds offset or, if none does, the first one behind it.
func (x *extents) find(offset int64) (e extent, ok bool) {
	i := sort.Search(len(x.list), func(i int) bool { return x.list[i].end > offset })
	if i == len(x.list) {
		return extent{}, false
	}
	return x.list[i], true
}

// holes calls f for each range of offsets that should have records and does not.
func (x *extents) holes(f func(from, to int64)) {
	at := x.first
	for _, e := range x.list {
		if from, to := at, e.first-e.gap; from < to {
			f(from, to)
		}
		at = e.end
	}
	if to := x.next - x.pending; at < to {
		f(at, to)
	}
}

// count returns the number of live records.
func (x *extents) count() (n int64) {
	for _, e := range x.list {
		if !e.lost {
			n += e.end - e.first
		}
	}
	return n
}
