package wal

import (
	"math"
	"slices"

	"github.com/chronik-go/wal/core/format"
)

// part is what a segment holds of one partition, as recovery applies it.
type part struct {
	id uint32
	format.Declaration
	// declared is the LSN before which the declaration stands; 0: it is lost, and the one
	// here is made up from what other segments say.
	declared uint64
	// runs are what the segment holds or, where damage took some of it, steps.
	runs  []format.Run
	steps []step
	// known are the producers at the segment's end.
	known producers
}

// firstLSN is the LSN of the first entry that is there.
func (p *part) firstLSN() uint64 {
	if p.steps == nil && len(p.runs) > 0 {
		return p.runs[0].LSN
	}
	for _, s := range p.steps {
		if !s.missing {
			return s.LSN
		}
	}
	return math.MaxUint64
}

// begins is an LSN before which all stood that the partition held when the segment began. In a segment that a
// repair made anew that may be said in the segment itself: its declarations can be made anew too.
func (p *part) begins(g *segment) uint64 {
	lsn := p.firstLSN()
	switch {
	case lsn < math.MaxUint64 && (g.rebuilt || g.guessed && p.declared == 0): // or nobody knows where the segment began
		return lsn
	case g.rebuilt:
		return g.lastLSN.Load() + 1
	}
	return max(p.declared, g.FirstLSN)
}

// parts returns what segment i holds of each partition. Where its frames are damaged and
// its footer is not, the footer tells what is missing.
func (r *recovery) parts(i int) []part {
	g, f, sc := r.segments[i], r.footers[i], r.scans[i]
	if f != nil {
		list := make([]part, 0, len(f.Partitions))
		for j := range f.Partitions {
			p := &f.Partitions[j]
			pt := part{id: p.ID, Declaration: p.Declaration, declared: g.FirstLSN, runs: p.Runs, known: p.Producers}
			if i == 0 && g.guessed { // nobody knows where the segment began
				pt.declared = f.End.LSN + 1
				if len(p.Runs) > 0 {
					pt.declared = p.Runs[0].LSN
				}
			}
			if sc != nil && len(sc.flaws) > 0 {
				pt.steps = mergeSteps(p.Runs, f.End.LSN+1, sc, p.ID)
			}
			list = append(list, pt)
		}
		return list
	}
	list := make([]part, 0, len(sc.table.partitions))
	for id, p := range sc.table.partitions {
		pt := part{id: id, Declaration: p.Declaration, declared: sc.note(id).declared, runs: p.Runs, known: p.known}
		if len(sc.flaws) > 0 {
			pt.steps = sc.steps(id)
		}
		if pt.declared > 0 || r.makeUp(i, &pt) {
			list = append(list, pt)
		}
	}
	slices.SortFunc(list, func(a, b part) int { return int(a.id) - int(b.id) })
	return list
}

// mergeSteps puts together what the footer says of a partition, in a segment that ends
// before an LSN, and what a scan found of it. Control entries that no frame holds any more, and data that is missing, become
// missing steps.
func mergeSteps(runs []format.Run, end uint64, sc *scan, id uint32) (list []step) {
	var found []step
	if sc.table.partitions[id] != nil {
		found = slices.DeleteFunc(sc.steps(id), func(s step) bool { return s.missing })
	}
	for i, run := range runs {
		until := end
		if i+1 < len(runs) {
			until = runs[i+1].LSN
		}
		n := 0
		for n < len(found) && found[n].LSN < until {
			n++
		}
		list = append(list, mergeRun(run, until, found[:n])...)
		found = found[n:]
	}
	return list
}

// mergeRun puts together a run of a footer and what was found of it.
func mergeRun(run format.Run, until uint64, found []step) (list []step) {
	switch {
	case run.Flags&format.FlagMoved != 0:
		return found // what is missing of a copy shows as a hole, if at all
	case run.Kind != format.KindData && len(found) == 0:
		return []step{{Run: run, missing: true, after: run.LSN - 1, before: run.LSN + 1, last: run.LSN - 1}}
	case run.Kind != format.KindData:
		return found
	}
	at, after := run.Base-run.Gap, run.LSN-1
	for _, s := range found {
		if from := s.Base - s.Gap; from > at {
			list = append(list, missing(at, from, after, s.LSN))
		}
		list = append(list, s)
		at, after = s.End, s.last
	}
	if at < run.End {
		list = append(list, missing(at, run.End, after, until))
	}
	return list
}

// makeUp makes up the declaration of a partition that has lost it in segment i. The name
// is what other segments say; without one nothing of it can be used. A log that is there
// from its beginning knows each partition from offset 0, if its first entries may be lost; else
// they tell where it stood, and the first offset is what the next segment says: what should be
// there from that on and is not stood before.
func (r *recovery) makeUp(i int, pt *part) bool {
	var at offsetsKnown
	if !r.fromBeginning() || !r.lostBefore(i, pt.firstLSN()) {
		at = knownOffsets(pt.steps)
	}
	known := pt.Topic != ""
	for j := range r.segments {
		if d, ok := r.declarationIn(j, pt.id); ok && j != i {
			if !known {
				pt.Topic, pt.Partition, known = d.Topic, d.Partition, true
			}
			if j > i {
				at.first = min(at.first, d.First)
				if at.least > 0 {
					at.least = max(at.least, d.Next)
				} else {
					at.least = d.First
				}
				break
			}
		}
	}
	if d := r.oddDeclaration(i, pt.id); !known && d != nil {
		pt.Topic, pt.Partition, known = d.Topic, d.Partition, true
		at.first = min(at.first, d.First)
	}
	pt.Next = at.next
	if at.next == math.MaxInt64 {
		pt.Next = at.least
	}
	pt.First = min(at.first, pt.Next)
	return known
}

// oddDeclaration returns what a footer says of a partition that no segment declares: that of segment i, or else any; nil
// if there is none. What keeps the footer from being taken for one does not concern its names, which never
// change, nor how far the partition was truncated then: later it was no less.
func (r *recovery) oddDeclaration(i int, id uint32) *format.Declaration {
	for _, f := range append([]*format.Footer{r.odd[i]}, r.odd...) {
		if f == nil {
			continue
		}
		for k := range f.Partitions {
			if p := &f.Partitions[k]; p.ID == id {
				return &p.Declaration
			}
		}
	}
	return nil
}

// fromBeginning reports whether the log is there from its first entry on.
func (r *recovery) fromBeginning() bool {
	first := r.segments[0]
	return first.FirstLSN == 1 && (first.Number == 1 || !first.guessed)
}

// lostBefore reports whether entries before an LSN of segment i may be lost by the damage at hand.
// What an earlier repair left out did not matter.
func (r *recovery) lostBefore(i int, lsn uint64) bool {
	for j, g := range r.segments[:i+1] {
		if j > 0 && g.Predecessor.Segment > r.segments[j-1].Number {
			return true
		}
		if !g.flawed {
			continue
		}
		if r.scans[j] == nil {
			return true
		}
		end := lsn
		if j < i {
			end = r.segments[j+1].FirstLSN
		}
		if lost, behind := unused(r.scans[j].used, g.FirstLSN); behind < end || len(lost) > 0 && lost[0].first < end {
			return true
		}
	}
	return false
}

// offsetsKnown is what is known of the offsets that a partition had when a segment began.
type offsetsKnown struct {
	// next is the next one, first not below the first one; math.MaxInt64: unknown.
	next, first int64
	// least is what next was at least.
	least int64
}

// knownOffsets tells what a partition's entries in a segment say of the offsets that it had
// before them. Copies lie below the next one, and so does where its beginning was truncated.
func knownOffsets(steps []step) offsetsKnown {
	at := offsetsKnown{next: math.MaxInt64, first: math.MaxInt64}
	for _, s := range steps {
		if s.Flags&format.FlagMoved == 0 && s.Kind != format.KindTruncateBefore {
			at.next = s.Base - s.Gap
			break
		}
		at.first = min(at.first, s.Base)
		at.least = max(at.least, s.End)
	}
	return at
}

// declarationIn returns the declaration of a partition in segment i.
func (r *recovery) declarationIn(i int, id uint32) (d format.Declaration, ok bool) {
	if f := r.footers[i]; f != nil {
		for j := range f.Partitions {
			if f.Partitions[j].ID == id {
				return f.Partitions[j].Declaration, true
			}
		}
		return d, false
	}
	p := r.scans[i].table.partitions[id]
	if p == nil || r.scans[i].note(id).declared == 0 {
		return d, false
	}
	return p.Declaration, true
}
