package crash

import (
	"errors"
	"slices"

	wal "github.com/chronik-go/wal/core"
)

// transaction is appends that are all in the log or none of them. It does not change once it is
// submitted.
type transaction struct{ ops []*op }

// transact commits appends to some partitions, each its own and those of all producers, without
// waiting.
func (p *producer) transact() bool {
	tx, err := p.m.Begin()
	if err != nil {
		return p.failed(nil, err)
	}
	all := slices.Concat(p.own, p.shared)
	t := &transaction{}
	for range 2 + p.r.IntN(3) {
		o, records, err := p.add(tx, all[p.r.IntN(len(all))])
		switch {
		case errors.Is(err, wal.ErrTxLogs):
			continue
		case err != nil:
			return p.failed(nil, err)
		}
		for i := range records {
			o.hashes = append(o.hashes, hashRecord(&records[i]))
		}
		o.tx, t.ops = t, append(t.ops, o)
	}
	if p.r.IntN(6) == 0 { // nothing of it is ever there
		tx.Abort()
		return true
	}
	p.w.mu.Lock()
	p.w.transactions = append(p.w.transactions, t)
	p.w.mu.Unlock()
	return p.commit(tx, t)
}

// add adds an append to a transaction.
func (p *producer) add(tx *wal.Tx, part *part) (*op, []wal.Record, error) {
	h, err := p.m.Partition(part.topic, part.num)
	if err != nil {
		return nil, nil, err
	}
	o := &op{kind: opAppend, part: part, at: -1, id: p.w.known.next()}
	records := make([]wal.Record, 1+p.r.IntN(2))
	for i := range records {
		records[i] = p.record(o.id, i)
	}
	return o, records, tx.Append(h, records...)
}

func (p *producer) commit(tx *wal.Tx, t *transaction) bool {
	for _, o := range t.ops {
		if !o.part.shared {
			o.placed, o.offset = true, o.part.now().next
		}
		if !p.begin(o) {
			return false
		}
	}
	acks, err := tx.CommitAsync(ctx)
	if err != nil {
		goOn := true
		for _, o := range t.ops {
			o.placed = false
			goOn = p.failed(o, err) && goOn
		}
		return goOn
	}
	if !p.place(t, acks) {
		return false
	}
	for i, o := range t.ops {
		p.pending = append(p.pending, pendingAck{op: o, ack: acks[i]})
	}
	return true
}

// place notes the offsets that the appends of a transaction got. They may be others than expected
// where they took the places of operations that have failed since.
func (p *producer) place(t *transaction, acks []wal.Ack) bool {
	moved := false
	for i, o := range t.ops {
		moved = moved || !o.part.shared && acks[i].Offset() != o.offset
	}
	goOn := !moved || p.w.faulty == nil || p.drain()
	for _, o := range t.ops {
		if o.placed = !moved; moved {
			o.part.forget()
		}
	}
	for i, o := range t.ops {
		if got := acks[i].Offset(); moved && goOn && !o.part.shared && (p.w.faulty == nil || got != o.part.now().next) {
			p.w.report(violation(Prefix, "%v: %v gets offset %d", o.part.key, o, got))
			return false
		}
		if o.placed, o.offset = true, acks[i].Offset(); moved {
			o.part.forget()
		}
	}
	return goOn
}

// fate is what a recovered state tells of an operation.
type fate int

const (
	unclear fate = iota
	isIn
	isOut
)

// fate tells whether an operation is in a state that the partition may be in.
func (x *view) fate(o *op, got state, kill bool) fate {
	if o.index < 0 {
		return x.part.fateOfLost(o, got)
	}
	lo := x.lo
	if kill {
		lo = x.loKill
	}
	first, last := len(x.part.states), -1
	take := func(i int) { first, last = min(first, i), max(last, i) }
	for i := lo; i <= x.hi; i++ {
		if x.part.states[i].equal(got) {
			take(i)
		}
	}
	for _, l := range x.part.lost {
		if x.lost[l.op] && l.base >= lo && l.base <= x.hi && slices.ContainsFunc(l.states, got.equal) {
			take(l.base)
		}
	}
	switch {
	case first > o.index && last >= 0:
		return isIn
	case last >= 0 && last <= o.index:
		return isOut
	}
	return unclear
}

// fateOfLost is the fate of an operation that was reported as failed.
func (p *part) fateOfLost(o *op, got state) fate {
	for i, h := range o.hashes {
		if got.has(rec{o.offset + int64(i), h}) {
			return isIn
		}
	}
	if slices.ContainsFunc(p.lost, func(l *lostOp) bool { return l.kind != opAppend }) {
		return unclear // it may have been truncated
	}
	return isOut
}

// checkTransactions demands all of each transaction or nothing.
func (v *views) checkTransactions(r *recovered, kill bool) *Violation {
	for _, t := range v.h.transactions {
		var in, out *op
		for _, o := range t.ops {
			switch v.list[o.part.key].fate(o, r.parts[o.part.key], kill) {
			case isIn:
				in = o
			case isOut:
				out = o
			}
		}
		if in != nil && out != nil {
			return violation(AtomicTransaction, "of one transaction %v: %v is there, with %v, and %v: %v is not, with %v",
				in.part.key, in, r.parts[in.part.key], out.part.key, out, r.parts[out.part.key])
		}
	}
	return nil
}

// readRest demands that a reader who has seen some of a transaction finds the rest of it.
func (w *workload) readRest(m *wal.Manager, seen map[*transaction]*op) bool {
	for t, first := range seen {
		for _, o := range t.ops {
			if o.part == first.part {
				continue
			}
			found, ok := w.finds(m, o)
			if !ok {
				return false
			}
			if !found && !o.part.truncatedSince(o) {
				w.report(violation(AtomicTransaction, "a reader has seen %v of %v, then not %v of %v, which is of the same transaction",
					first, first.part.key, o, o.part.key))
				return false
			}
		}
	}
	return true
}

// finds reads a partition until it has found an operation.
func (w *workload) finds(m *wal.Manager, o *op) (found, ok bool) {
	p, err := m.Lookup(o.part.topic, o.part.num)
	if errors.Is(err, wal.ErrNoPartition) {
		return false, true
	}
	if err == nil {
		for x, e := range p.Read(ctx, p.FirstOffset()) {
			if err = e; e != nil {
				break
			}
			if w.known.find(hashRecord(&x)) == o {
				return true, true
			}
		}
	}
	if err != nil && !errors.Is(err, wal.ErrOffsetOutOfRange) {
		w.report(violation(ReadersWhole, "%v: read: %v", o.part.key, err))
		return false, false
	}
	return err != nil, true // truncated meanwhile: nobody can tell
}

// truncatedSince reports whether a truncation was submitted after an operation.
func (p *part) truncatedSince(o *op) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	i := slices.Index(p.ops, o)
	return i < 0 || slices.ContainsFunc(p.ops[i:], func(x *op) bool { return x.kind != opAppend })
}

// replay looks at all partitions at once, and demands all of each transaction or nothing.
func (w *workload) replay(m *wal.Manager) bool {
	there := map[*op]bool{}
	seen := map[*transaction]*op{}
	for e, err := range m.Replay(ctx) {
		if err != nil {
			w.report(violation(ReadersWhole, "replay beside the writer: %v", err))
			return false
		}
		if o := w.known.find(hashRecord(&e.Record)); o != nil && o.tx != nil {
			there[o], seen[o.tx] = true, o
		}
	}
	for t, first := range seen {
		for _, o := range t.ops {
			if !there[o] && !o.part.truncatedSince(o) {
				w.report(violation(AtomicTransaction, "a replay has %v of %v and not %v of %v, which is of the same transaction",
					first, first.part.key, o, o.part.key))
				return false
			}
		}
	}
	return true
}
