package wal

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/chronik-go/wal/core/format"
)

// MaxProducers is how many producers a partition knows. With one more, the one is forgotten that
// has not appended for longest; what it appends next is taken whatever its sequence number.
const MaxProducers = 64

// producers are those that a partition knows, by their last append.
type producers []format.Producer

// find returns what is known of a producer.
func (x producers) find(id uint64) (format.Producer, bool) {
	for _, p := range x {
		if p.ID == id {
			return p, true
		}
	}
	return format.Producer{}, false
}

// set takes in what is known of a producer from now on.
func (x *producers) set(p format.Producer) {
	list := slices.DeleteFunc(*x, func(other format.Producer) bool { return other.ID == p.ID })
	if len(list) >= MaxProducers {
		list = slices.Delete(list, 0, 1)
	}
	*x = append(list, p)
}

// cut forgets the sequence numbers whose records are gone, from an offset on.
func (x *producers) cut(next int64) {
	list := (*x)[:0]
	for _, p := range *x {
		if p.Count = int(min(int64(p.Count), next-p.Base)); p.Count > 0 {
			list = append(list, p)
		}
	}
	*x = list
}

// apply takes in an entry of the partition.
func (x *producers) apply(e format.Entry) {
	switch e.Kind {
	case format.KindProducer:
		x.set(e.Producer())
	case format.KindTruncateAfter:
		x.cut(e.Base)
	}
}

// appended returns what is known of a producer after an append of it.
func (x producers) appended(id uint64, sequence, base int64, count int) format.Producer {
	p, ok := x.find(id)
	if ok && p.Next() == sequence && p.End() == base && p.Count <= math.MaxInt32-count {
		p.Count += count
		return p
	}
	return format.Producer{ID: id, First: sequence, Base: base, Count: count}
}

// SequenceError is returned for an append whose sequence number is not the one that its
// producer goes on with, and of which not all was appended before either. It wraps ErrSequence.
type SequenceError struct {
	Topic     string
	Partition int32
	Producer  uint64
	// Sequence is that of the append, Next the one that is due.
	Sequence, Next int64
}

func (e *SequenceError) Error() string {
	return fmt.Sprintf("%v: %s/%d: producer %d appends %d, %d is due", ErrSequence, e.Topic, e.Partition, e.Producer, e.Sequence, e.Next)
}

func (e *SequenceError) Unwrap() error { return ErrSequence }

// errAppended: the records of a request were appended before.
var errAppended = errors.New("appended before")

// AppendOnce is AppendAsync for a producer that numbers its records in this partition: the first
// one of these has a sequence number, the others follow. What was appended before is not
// appended again, also not after a crash, so after an unknown outcome it is repeated just as it was. The Ack is then
// that of the records that are there, and says so; see Ack.Duplicate.
//
// A producer is whatever the caller calls one, by an id that is not 0, and random or given out by the caller. It has at most one
// append after the other on its way here: two goroutines must not append as one producer. The sequence
// number is that of its last record here plus 1; see NextSequence. A producer that the partition does
// not know begins with any. Else it is a *SequenceError.
//
// What is known of a producer lasts as long as the partition, whatever is truncated before or moved. TruncateAfter takes the
// sequence numbers of what it drops with it: they are appended again. Damage may do the same to those that it
// takes. A partition knows MaxProducers producers.
func (p *Partition) AppendOnce(ctx context.Context, producer uint64, sequence int64, records ...Record) (Ack, error) {
	r, err := p.request(records)
	if err != nil {
		return Ack{}, err
	}
	if producer == 0 || sequence < 0 || sequence > math.MaxInt64-int64(len(records)) {
		return Ack{}, fmt.Errorf("%w: %s: append of producer %d with sequence number %d", ErrInvalid, p, producer, sequence)
	}
	r.producer, r.sequence = producer, sequence
	if err := p.begin(ctx, &r); err != nil {
		return Ack{}, err
	}
	r.pack(records)
	defer r.unpack()
	sl, _, err := p.shard.reserve(ctx, &r, false)
	if errors.Is(err, errAppended) {
		return r.before, nil
	}
	if err != nil {
		return Ack{}, err
	}
	p.shard.submit(sl, &r, records)
	return sl.ack, nil
}

// NextSequence returns the sequence number that a producer goes on with, behind what of it is
// acknowledged; it is not ok if the partition does not know the producer.
func (p *Partition) NextSequence(producer uint64) (next int64, ok bool) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	known, ok := p.known.find(producer)
	if !ok {
		return 0, false
	}
	return known.Next(), true
}

// Duplicate reports whether the append was a repetition of one that was made before, by its sequence
// number, so that nothing was appended. Its Offset is then that of the record which is there, or -1 if
// that is not known any more: the producer has appended since, and not right behind it. What the
// records hold is not compared: read at Offset to tell a repetition with other contents.
func (a Ack) Duplicate() bool { return a.repeated }

// checkSequence tells whether an append goes on where its producer was. Where it was made before
// it is errAppended, and its Ack is there. The caller holds the append lock.
func (p *Partition) checkSequence(r *request) error {
	known, ok := p.producers.find(r.producer)
	switch end := r.sequence + int64(r.entry.Count); {
	case !ok || r.sequence == known.Next():
		return nil
	case end > known.Next():
		return &SequenceError{p.topic, p.num, r.producer, r.sequence, known.Next()}
	}
	// As of the newest append of any producer, and so of this one: its group is not an earlier one.
	r.before = Ack{shard: p.shard, lsn: p.onceLSN, generation: p.shard.generation.Load(), offset: -1, repeated: true}
	if r.sequence >= known.First {
		r.before.offset = known.Base + r.sequence - known.First
	}
	return errAppended
}

// mark is what a group states of a producer, behind one of its entries.
type mark struct {
	entry    int
	producer format.Producer
}

// markProducer notes what is known of a producer after its append, which just got its place at
// the end of a group. The caller holds the append lock.
func (s *shard) markProducer(g *group, r *request, lsn uint64) {
	p := r.part
	known := p.producers.appended(r.producer, r.sequence, r.entry.Base, r.entry.Count)
	p.producers.set(known)
	p.onceLSN = lsn
	g.marks = append(g.marks, mark{len(g.entries) - 1, known})
}

// directory is how many entries the group's frame has.
func (g *group) directory() int { return len(g.entries) + len(g.marks) }

// eachEntry calls do for the entries of the group's frame. The index is that of the entry in
// the group, which those that state something of a producer share with their append's.
func (g *group) eachEntry(do func(i int, e format.Entry)) {
	marks := g.marks
	for i := range g.entries {
		do(i, g.entries[i].Entry)
		if len(marks) > 0 && marks[0].entry == i {
			do(i, marks[0].producer.Entry(g.entries[i].Partition))
			marks = marks[1:]
		}
	}
}
