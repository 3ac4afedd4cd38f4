package wal

import (
	"fmt"
	"sort"

	"github.com/chronik-go/wal/core/format"
)

// extent says that a segment holds a range of a partition's offsets.
type extent struct {
	first, end int64 // end exclusive
	// gap is how many offsets directly below first have no record, declared so.
	gap int64
	// lost says that the gap's records were lost and given up by a repair; lostIn are the
	// segments that say so, and are needed as long as the gap is there.
	lost   bool
	lostIn []*segment
	// lsn is that of the first batch: batches of the segment before it that hold these
	// offsets were truncated.
	lsn uint64
	seg *segment
	// moved: it is a copy of records that stood elsewhere before.
	moved bool
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
	// pending is a gap below next whose record has not come yet; lost as in extent.
	pending     int64
	pendingLost bool
	pendingIn   []*segment
	cuts        cuts
	// cut: a truncation came after the last extent, so the next run begins its own:
	// what stands between them in the segment is dead.
	cut bool
}

// begin sets the state that a partition's first declaration tells.
func (x *extents) begin(d format.Declaration) {
	x.first, x.next, x.pending, x.pendingLost = d.First, d.Next, d.Gap, d.GapLost
}

// meet brings the state that a reader had to that of a later declaration. What lies
// between stood in segments that the writer dropped before the reader looked: of it there
// is only what comes as moved batches.
func (x *extents) meet(d format.Declaration) {
	switch {
	case d.Next > x.next:
		x.next, x.pending, x.pendingLost, x.cut = d.Next, d.Gap, d.GapLost, true
		x.pendingIn = forget(x.pendingIn)
	case d.Next < x.next:
		gap, _ := x.gapBelow(d.Next)
		x.truncateAfter(nil, format.Run{Base: d.Next, Gap: gap})
		x.pending, x.pendingLost = d.Gap, d.GapLost
		x.cuts.after(x.next)
	}
	if d.First > x.first {
		x.truncateBefore(d.First)
		x.cuts.before(x.first)
	}
}

// apply takes in a run of a segment. It returns an error if the run does not follow
// from what came before: then records are lost, and it goes on behind them.
func (x *extents) apply(seg *segment, r format.Run) error {
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
	e := extent{
		first: r.Base, end: r.End, gap: r.Gap + x.pending, lost: x.pendingLost, lostIn: x.pendingIn, lsn: r.LSN, seg: seg,
	}
	if r.Base-r.Gap != x.next {
		if r.Base < x.next {
			return fmt.Errorf("offsets %d to %d come a second time", r.Base, min(r.End, x.next)-1)
		}
		err = fmt.Errorf("offsets %d to %d are missing", x.next, r.Base-r.Gap-1)
	}
	joins := e.gap == 0 && !x.cut && err == nil
	x.pending, x.pendingLost, x.pendingIn, x.cut = 0, false, nil, false
	x.next = r.End
	if n := len(x.list); n > 0 && joins {
		if last := &x.list[n-1]; last.seg == seg && !last.moved && last.end == r.Base && last.lsn < r.LSN {
			last.end = r.End
			return nil
		}
	}
	x.list = append(x.list, e)
	seg.live.Add(1)
	return err
}

func (x *extents) lose(seg *segment, r format.Run) error {
	if r.Base-r.Gap != x.next {
		return fmt.Errorf("offsets %d to %d were given up where %d is next", r.Base-r.Gap, r.Base-1, x.next)
	}
	x.pending += r.Gap
	x.pendingLost = true
	x.pendingIn = append(x.pendingIn, seg)
	seg.losses.Add(1)
	x.next = r.Base
	return nil
}

// forget tells segments that what they say is lost matters no more.
func forget(list []*segment) []*segment {
	for _, g := range list {
		g.losses.Add(-1)
	}
	return nil
}

func (x *extents) truncateBefore(first int64) {
	x.first = max(x.first, first)
	n := 0
	for n < len(x.list) && x.list[n].end <= x.first {
		x.list[n].seg.live.Add(-1)
		forget(x.list[n].lostIn)
		n++
	}
	x.list = x.list[n:]
	if x.pending = min(x.pending, x.next-x.first); x.pending <= 0 {
		x.pending, x.pendingLost, x.pendingIn = 0, false, forget(x.pendingIn)
	}
	if len(x.list) == 0 {
		// Records behind first may still come, as moved batches.
		return
	}
	e := &x.list[0]
	e.first = max(e.first, x.first)
	if e.gap = min(e.gap, e.first-x.first); e.gap == 0 {
		e.lost, e.lostIn = false, forget(e.lostIn)
	}
}

// truncateAfter drops the offsets from the run's base on. What of a declared gap is left
// directly below it, the run tells: the segment that declares the gap may be gone. It tells
// nothing of what was lost after it was written. Where it tells of less gap than there was, the
// gap had been cut off and filled, with records that are lost; all of it counts as lost then.
// Of a gap that a segment before it does not tell, or not as lost, the run is what says so.
func (x *extents) truncateAfter(seg *segment, r format.Run) {
	gap, lost := x.gapBelow(r.Base)
	lostIn := x.pendingIn
	for n := len(x.list); n > 0 && x.list[n-1].end > r.Base; n = len(x.list) {
		e := &x.list[n-1]
		if e.first < r.Base {
			e.end = r.Base
			break
		}
		e.seg.live.Add(-1)
		forget(lostIn)
		lostIn = e.lostIn
		x.list = x.list[:n-1]
	}
	x.cut = true
	switch {
	case lost && gap >= r.Gap:
		x.pending, x.pendingLost, x.pendingIn = gap, true, lostIn
	case gap > r.Gap:
		seg.losses.Add(1)
		x.pending, x.pendingLost, x.pendingIn = gap, true, append(forget(lostIn), seg)
	default:
		x.pending, x.pendingLost, x.pendingIn = r.Gap, r.Flags&format.FlagGapLost != 0, forget(lostIn)
		if x.pendingLost {
			seg.losses.Add(1)
			x.pendingIn = append(x.pendingIn, seg)
		}
	}
	x.next = r.Base
	x.first = min(x.first, r.Base)
}

// gapBelow returns how many offsets directly below next, not above x.next, are declared to
// have no record, and whether they had.
func (x *extents) gapBelow(next int64) (gap int64, lost bool) {
	from, lost := x.next-x.pending, x.pendingLost
	for i := len(x.list) - 1; i >= 0 && x.list[i].end > next; i-- {
		e := &x.list[i]
		if e.first < next {
			return 0, false
		}
		from, lost = e.first-e.gap, e.lost
	}
	gap = max(0, next-max(from, x.first))
	return gap, lost && gap > 0
}

// move replaces what lies in a range by a copy in seg. At the copy's LSN the range held
// just what the copy holds; see mover. After a repair it may lie in a gap: the original was
// lost, the copy was not.
func (x *extents) move(seg *segment, r format.Run) {
	first, end := max(r.Base, x.first), min(r.End, x.next)
	if first >= end {
		return
	}
	moved := extent{first: first, end: end, gap: min(r.Gap, first-x.first), lsn: r.LSN, seg: seg, moved: true}
	var list []extent
	for _, e := range x.list {
		gapFrom := e.first - e.gap
		if e.end <= first || gapFrom >= end {
			list = append(list, e)
			continue
		}
		if e.first >= first && gapFrom < first { // the run may replace several extents
			moved.gap, moved.lost, moved.lostIn = first-gapFrom, e.lost, share(e.lostIn)
		}
		if e.first < first {
			left := e
			left.end = first
			list = append(list, left)
			left.seg.live.Add(1)
		}
		if e.end > end {
			right := e
			right.first = max(end, e.first)
			if right.gap = right.first - end; right.gap > 0 && e.lost {
				right.lostIn = share(e.lostIn)
			} else {
				right.lost, right.lostIn = false, nil
			}
			list = append(list, right)
			right.seg.live.Add(1)
		}
		e.seg.live.Add(-1)
		if e.first >= first {
			forget(e.lostIn)
		}
	}
	x.moveIntoPending(&moved)
	list = append(list, moved)
	seg.live.Add(1)
	sort.Slice(list, func(i, j int) bool { return list[i].first < list[j].first })
	x.list = list
}

// moveIntoPending splits the gap below next where a copy lies in it.
func (x *extents) moveIntoPending(moved *extent) {
	gapFrom := x.next - x.pending
	if moved.end <= gapFrom {
		return
	}
	if moved.first > gapFrom {
		moved.gap, moved.lost, moved.lostIn = moved.first-gapFrom, x.pendingLost, share(x.pendingIn)
	}
	if x.pending = x.next - moved.end; x.pending == 0 {
		x.pendingLost, x.pendingIn = false, forget(x.pendingIn)
	}
}

// share counts segments once more.
func share(list []*segment) []*segment {
	for _, g := range list {
		g.losses.Add(1)
	}
	return list[:len(list):len(list)]
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
		n += e.end - e.first
	}
	return n
}
