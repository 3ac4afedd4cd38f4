package crash

import (
	wal "github.com/chronik-go/wal/core"
)

// appendOnce appends as a producer that numbers its records, where that has come to, and now and then
// repeats it at once: the repetition must find the first one, acknowledged or not.
func (p *producer) appendOnce(h *wal.Partition, o *op, records []wal.Record) (wal.Ack, error) {
	ack, err := h.AppendOnce(ctx, o.producer, o.sequence, records...)
	if err != nil {
		delete(p.sequences, o.part) // it may be that those before it failed
		return ack, err
	}
	if ack.Duplicate() {
		p.w.report(violation(AppendedOnce, "%v: %v of producer %d with sequence number %d is taken for a repetition",
			o.part.key, o, o.producer, o.sequence))
	}
	p.sequences[o.part] = o.sequence + int64(len(records))
	if p.w.faulty == nil && p.r.IntN(3) == 0 {
		again, err := h.AppendOnce(ctx, o.producer, o.sequence, records...)
		if err != nil || !again.Duplicate() || again.Offset() != ack.Offset() {
			p.w.report(violation(AppendedOnce, "%v: %v of producer %d with sequence number %d, repeated: offset %d, %v",
				o.part.key, o, o.producer, o.sequence, again.Offset(), err))
			return ack, nil
		}
		ack = again // which is not acknowledged before the first
	}
	return ack, nil
}

// sequence returns the number that the producer goes on with in a partition.
func (p *producer) sequence(h *wal.Partition, part *part) (next int64, ok bool) {
	if next, ok := p.sequences[part]; ok {
		return next, true
	}
	if !p.drain() { // what is under way may yet fail, or be a truncation
		return 0, false
	}
	next, known := h.NextSequence(p.id)
	if !known {
		next = int64(p.w.known.next() << 8)
	}
	return next, true
}

// newest is the last record of a producer in a partition: which one of which append.
type newest struct {
	op    *op
	index int
}

// newestOf finds the last record of each producer.
func newestOf(s state, k *known) map[uint64]newest {
	list := map[uint64]newest{}
	for _, x := range s.recs {
		if o := k.find(x.hash); o != nil && o.producer != 0 {
			list[o.producer] = newest{o, int(x.offset - o.offset)}
		}
	}
	return list
}

// checkSequences compares what a log knows of producers with their records that are there.
func checkSequences(m *wal.Manager, parts map[key]state, k *known) *Violation {
	for name, s := range parts {
		p, err := m.Lookup(name.topic, name.num)
		if err != nil {
			return violation(Prefix, "%v is listed and not found: %v", name, err)
		}
		for id, n := range newestOf(s, k) {
			next, ok := p.NextSequence(id)
			want := n.op.sequence + int64(n.index) + 1
			if !ok && k.cut(name) { // it may have been forgotten by that
				continue
			}
			if !ok || next != want {
				return violation(AppendedOnce, "%v: producer %d goes on with %d (known: %v), its last record there has sequence number %d",
					name, id, next, ok, want-1)
			}
		}
	}
	return nil
}

// repeat appends the last records of all producers again: nothing may be appended.
func (w *workload) repeat(m *wal.Manager, parts map[key]state) {
	for name, s := range parts {
		p, err := m.Lookup(name.topic, name.num)
		if err != nil {
			w.report(violation(Prefix, "%v is listed and not found: %v", name, err))
			return
		}
		for id, n := range newestOf(s, w.known) {
			if _, ok := p.NextSequence(id); !ok {
				continue // checkSequences has looked at that
			}
			ack, err := p.AppendOnce(ctx, id, n.op.sequence, make([]wal.Record, n.index+1)...)
			if err == nil {
				err = ack.Wait(ctx)
			}
			if err != nil || !ack.Duplicate() || ack.Offset() != n.op.offset {
				w.report(violation(AppendedOnce, "%v: %v of producer %d repeated after a recovery: offset %d, appended before: %v, %v",
					name, n.op, id, ack.Offset(), ack.Duplicate(), err))
				return
			}
		}
	}
}
