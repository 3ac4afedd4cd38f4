package crash

import (
	"cmp"
	"fmt"
	"slices"
	"sync"

	"github.com/chronik-go/wal/core/backend/sim"
)

// key names a partition.
type key struct {
	topic string
	num   int32
}

func (k key) String() string { return fmt.Sprintf("%s/%d", k.topic, k.num) }

type opKind uint8

const (
	opAppend opKind = iota + 1
	opTruncateBefore
	opTruncateAfter
)

func (k opKind) String() string {
	return [...]string{opAppend: "append", opTruncateBefore: "truncate-before", opTruncateAfter: "truncate-after"}[k]
}

// op is one operation that a workload submitted. Its producer fills in the rest while
// the workload runs; afterwards it does not change.
type op struct {
	kind            opKind
	part            *part
	id              uint64
	at              int64    // of truncations: their argument; of appends: the offset asked for, or -1
	hashes          []uint64 // of an append: its records'
	placed          bool     // an append: the log gave it an offset
	offset          int64    // of its first record
	index           int      // place in part.ops; -1: it never got into the log
	acked           bool
	begun, failedAt uint64       // when it was submitted, and found to have failed
	failed          error        // it was reported as not done
	tx              *transaction // that it is part of, or nil
	producer        uint64       // who numbers its records, or 0
	sequence        int64        // of its first record
}

func (o *op) String() string {
	switch {
	case o.kind != opAppend:
		return fmt.Sprintf("%v %d", o.kind, o.at)
	case o.placed:
		return fmt.Sprintf("append %d at %d", len(o.hashes), o.offset)
	}
	return fmt.Sprintf("append %d", len(o.hashes))
}

// part is what a workload did to one partition.
type part struct {
	key
	base   state
	shared bool // several producers append to it; there is no truncation of its suffix
	mu     sync.Mutex
	ops    []*op // in the order of submission, once the workload has ended
	lost   []*lostOp
	// states are the partition after the first i operations.
	states []state
}

// The kinds of notes in the trace.
type noteKind uint8

const (
	noteOpened  noteKind = iota + 1 // an Open for writing has returned
	noteBegun                       // op is about to be submitted
	noteAcked                       // op was acknowledged
	noteDurable                     // op, and what came before, is known to be durable
	noteSeen                        // a reader saw op
	noteFailed                      // op was reported as failed
)

// note is what a workload leaves in the trace of the disk.
type note struct {
	kind noteKind
	op   *op
}

// history is a workload that has run.
type history struct {
	plan   plan
	parts  map[key]*part
	trace  *sim.Trace
	faulty bool
	// transactions are those that were submitted.
	transactions []*transaction
	// known tells whose a record is, by its hash, over all lives of the disk.
	known *known
}

// known is a registry of all records that a workload made.
type known struct {
	mu  sync.Mutex
	ops map[uint64]*op
	ids uint64
	// cuts are the partitions whose suffix was truncated, or nearly.
	cuts map[key]bool
}

// cut reports whether the suffix of a partition was ever truncated.
func (k *known) cut(name key) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.cuts[name]
}

func (k *known) add(o *op) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, h := range o.hashes {
		k.ops[h] = o
	}
	if o.kind == opTruncateAfter {
		if k.cuts == nil {
			k.cuts = map[key]bool{}
		}
		k.cuts[o.part.key] = true
	}
}

func (k *known) next() uint64 {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.ids++
	return k.ids
}

func (k *known) find(hash uint64) *op {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.ops[hash]
}

// settle puts the operations of each partition in order and computes its states.
func (h *history) settle() {
	for _, p := range h.parts {
		all := p.ops
		p.ops, p.lost = nil, nil
		for _, o := range all {
			o.index = -1
			switch {
			case o.kind == opAppend && !o.placed:
			case o.failed != nil:
				p.lost = append(p.lost, &lostOp{op: o, base: len(p.ops)})
			default:
				p.ops = append(p.ops, o)
			}
		}
		if p.shared {
			slices.SortStableFunc(p.ops, func(a, b *op) int { return cmp.Compare(a.offset, b.offset) })
		}
		p.states = append(p.states[:0], p.base)
		for i, o := range p.ops {
			o.index = i
			p.states = append(p.states, p.states[i].after(o))
		}
		p.settleLost()
	}
}

// lostOp is an operation that was submitted and then reported as not done. Until then a
// crash may leave it in the log.
type lostOp struct {
	*op
	base int // the operations before it that were done
	// states are what the partition may be with it as the last one: alone, or behind other
	// lost ones.
	states []state
}

func (p *part) settleLost() {
	for i, l := range p.lost {
		if l.fits(p.states[l.base]) {
			l.states = append(l.states, p.states[l.base].after(l.op))
		}
		if i > 0 && p.lost[i-1].base == l.base {
			for _, s := range p.lost[i-1].states {
				if l.fits(s) {
					l.states = append(l.states, s.after(l.op))
				}
			}
		}
	}
}

// fits reports whether the operation can follow the state.
func (o *op) fits(s state) bool {
	switch o.kind {
	case opTruncateBefore:
		return o.at <= s.next
	case opTruncateAfter:
		return o.at >= s.first-1 && o.at < s.next
	}
	return o.placed && (o.offset == s.next || o.at > s.next && o.offset == o.at)
}
