package crash

import (
	"fmt"
	"slices"

	wal "github.com/chronik-go/wal/core"
)

// view is what is known of a partition at a crash point: the crash must leave the state
// after some number of its operations, from lo to hi.
type view struct {
	part   *part
	lo     int // what a power failure must leave
	loKill int // what the death of the process must leave
	hi     int // what was submitted
	begun  []bool
	// lost says of the operations that failed in the end whether they may be there: from
	// their submission until a later operation is acknowledged.
	lost map[*op]bool
}

// views follows the notes of a trace.
type views struct {
	h      *history
	opened bool
	list   map[key]*view
	taken  int // notes taken in
}

func newViews(h *history) *views {
	v := &views{h: h, list: map[key]*view{}}
	for k, p := range h.parts {
		v.list[k] = &view{part: p, begun: make([]bool, len(p.ops)), lost: map[*op]bool{}}
	}
	return v
}

// take takes in a note.
func (v *views) take(n note) {
	if n.kind == noteOpened {
		v.opened = true
		return
	}
	if n.op == nil {
		return
	}
	x, done := v.list[n.op.part.key], n.op.index+1
	if n.op.index < 0 {
		if n.kind == noteBegun {
			x.lost[n.op] = true
		}
		return
	}
	periodic := v.h.plan.mode == wal.FsyncPeriodic
	if n.kind != noteBegun && (!periodic || n.kind == noteDurable) {
		v.forgetLost(n.op)
	}
	switch n.kind {
	case noteBegun:
		x.begun[n.op.index] = true
		for x.hi < len(x.begun) && x.begun[x.hi] {
			x.hi++
		}
	case noteAcked, noteSeen:
		if !periodic {
			x.lo = max(x.lo, done)
		}
		if !periodic || !v.h.faulty { // a failed sync takes what was only written
			x.loKill = max(x.loKill, done)
		}
	case noteDurable:
		x.lo, x.loKill = max(x.lo, done), max(x.loKill, done)
	}
}

// forgetLost ends the time in which failed operations may come back: when one that was
// submitted after their failure is acknowledged, its segment says where the one before it
// ends.
func (v *views) forgetLost(acked *op) {
	for _, x := range v.list {
		for o := range x.lost {
			if o.failedAt < acked.begun {
				x.lost[o] = false
			}
		}
	}
}

// check compares what was recovered with what must, and may, be there. kill says that
// only the process died.
func (v *views) check(r *recovered, kill bool) *Violation {
	if r.err != nil {
		c := *r.err
		return &c
	}
	for k, x := range v.list {
		if bad := x.check(v.h, r.parts[k], kill); bad != nil {
			return bad
		}
	}
	for k, s := range r.parts {
		if v.list[k] == nil {
			return violation(Prefix, "%v was recovered, with %v; nobody made it", k, s)
		}
	}
	return v.checkTransactions(r, kill)
}

func (x *view) check(h *history, got state, kill bool) *Violation {
	lo := x.lo
	if kill {
		lo = x.loKill
	}
	states := x.part.states
	for i := lo; i <= x.hi; i++ {
		if states[i].equal(got) {
			return nil
		}
	}
	for _, l := range x.part.lost {
		if x.lost[l.op] && l.base >= lo && l.base <= x.hi && slices.ContainsFunc(l.states, got.equal) {
			return nil
		}
	}
	return x.explain(h, got, lo)
}

// explain says which guarantee is broken by a state that may not be.
func (x *view) explain(h *history, got state, lo int) *Violation {
	p, must := x.part, x.part.states[lo]
	detail := fmt.Sprintf("%v: recovered %v; must be %v", p.key, got, must)
	if lo < x.hi {
		detail += fmt.Sprintf(", or as after up to %d more operations", x.hi-lo)
	}
	if lo > 0 {
		detail += fmt.Sprintf("; the last one acknowledged is %v", p.ops[lo-1])
	}
	for _, r := range got.recs {
		o := h.known.find(r.hash)
		switch {
		case o == nil:
			return violation(Prefix, "%s; the record at offset %d is none that was appended", detail, r.offset)
		case p.possible(r, x.hi):
		case o.part.key != p.key:
			return violation(Prefix, "%s; the record at offset %d is one of %v", detail, r.offset, o.part.key)
		case o.part != p:
			return violation(NoResurrection, "%s; the record at offset %d was lost or truncated before the last recovery", detail, r.offset)
		default:
			return violation(Prefix, "%s; the record at offset %d belongs to %v", detail, r.offset, o)
		}
	}
	if o := p.torn(h, got, lo, x.hi); o != nil {
		return violation(AtomicBatch, "%s; a part of %v is there", detail, o)
	}
	for _, r := range got.recs {
		if !must.has(r) && r.offset < must.next && !p.comes(r, lo, x.hi) {
			return violation(NoResurrection, "%s; the record at offset %d was truncated before", detail, r.offset)
		}
	}
	for i := range lo {
		if p.states[i].equal(got) {
			if p.ops[i].kind != opAppend {
				return violation(NoResurrection, "%s; %v is undone", detail, p.ops[i])
			}
			return violation(AckedDurable, "%s; %v is gone", detail, p.ops[i])
		}
	}
	if got.next < must.next || len(got.recs) < len(must.recs) && got.first <= must.first {
		return violation(AckedDurable, "%s", detail)
	}
	return violation(Prefix, "%s", detail)
}

// possible reports whether a record was in the partition at some time up to hi.
func (p *part) possible(r rec, hi int) bool { return p.base.has(r) || p.comes(r, 0, hi) }

// comes reports whether one of the operations from lo to hi-1 appends the record.
func (p *part) comes(r rec, lo, hi int) bool {
	for _, o := range p.ops[lo:hi] {
		if i := r.offset - o.offset; o.kind == opAppend && i >= 0 && i < int64(len(o.hashes)) && o.hashes[i] == r.hash {
			return true
		}
	}
	return false
}

// torn returns an operation of which a part is there, and no truncation explains it.
func (p *part) torn(h *history, got state, lo, hi int) *op {
	present := map[*op]int{}
	for _, r := range got.recs {
		if o := h.known.find(r.hash); o != nil && o.part == p {
			present[o]++
		}
	}
	for _, o := range p.ops[lo:hi] {
		whole := o.offset >= got.first && o.offset+int64(len(o.hashes)) <= p.states[o.index+1].next
		if n := present[o]; n > 0 && n < len(o.hashes) && whole && !p.cutLater(o, hi) {
			return o
		}
	}
	return nil
}

func (p *part) cutLater(o *op, hi int) bool {
	for _, x := range p.ops[o.index+1 : hi] {
		if x.kind == opTruncateAfter {
			return true
		}
	}
	return false
}
