package crash

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"runtime"
	"time"

	wal "github.com/chronik-go/wal/core"
)

// ctx is that of all calls: none is cut short.
var ctx = context.Background()

func giveWay() { runtime.Gosched() }

func cmpKey(a, b key) int {
	return cmp.Or(cmp.Compare(a.topic, b.topic), cmp.Compare(a.num, b.num))
}

// producer submits operations, some of them without waiting for the ones before.
type producer struct {
	w       *workload
	m       *wal.Manager
	r       *rand.Rand
	own     []*part
	shared  []*part
	pending []pendingAck // in the order of submission
	// id is that under which it numbers records; sequences are where it goes on, as far as that is
	// certain.
	id        uint64
	sequences map[*part]int64
}

type pendingAck struct {
	op  *op
	ack wal.Ack
	// done, if set, is the result of a truncation on a goroutine of its own.
	done chan error
}

// cutGaps lets truncations of the suffix end inside a gap that AppendAt left.
const cutGaps = true

// maxPending bounds the operations of a producer that wait for their acknowledgement.
const maxPending = 4

func (p *producer) work() {
	defer p.rest()
	for range p.w.plan.ops {
		if !p.step() {
			return
		}
		for len(p.pending) >= maxPending || len(p.pending) > 0 && p.r.IntN(3) == 0 {
			if !p.await() {
				return
			}
		}
	}
}

// rest waits for what is outstanding: all of it, for after a failure some may be done.
func (p *producer) rest() {
	for len(p.pending) > 0 {
		p.await()
	}
}

// step submits one operation.
func (p *producer) step() bool {
	if p.r.IntN(8) == 0 {
		return p.transact()
	}
	part := p.own[p.r.IntN(len(p.own))]
	if len(p.shared) > 0 && p.r.IntN(4) == 0 {
		part = p.shared[p.r.IntN(len(p.shared))]
	}
	h, err := p.m.Partition(part.topic, part.num)
	if err != nil {
		p.w.report(violation(Recovers, "%v: %v", part.key, err))
		return false
	}
	x := p.r.IntN(100)
	switch now := part.now(); {
	case part.shared || x < 66 || now.next == 0:
		return p.append(h, part, -1)
	case x < 72:
		return p.append(h, part, now.next+1+p.r.Int64N(20))
	case x < 86:
		return p.truncateBefore(h, part, now)
	case x < 94:
		return p.truncateAfter(h, part, now)
	default:
		return p.sync(h, part)
	}
}

// now is the state after all that was submitted to a partition of one producer.
func (p *part) now() state {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.states) == 0 {
		p.states = append(p.states, p.base)
	}
	if p.shared {
		return state{}
	}
	for i := len(p.states) - 1; i < len(p.ops); i++ {
		next := p.states[i]
		if o := p.ops[i]; o.failed == nil && (o.kind != opAppend || o.placed) {
			next = next.after(o)
		}
		p.states = append(p.states, next)
	}
	return p.states[len(p.states)-1]
}

// begin notes that an operation is about to be submitted.
func (p *producer) begin(o *op) bool {
	p.w.known.add(o)
	o.begun = p.w.known.next()
	o.part.mu.Lock()
	o.part.ops = append(o.part.ops, o)
	o.part.mu.Unlock()
	return p.w.disk.Mark(note{noteBegun, o})
}

func (p *producer) append(h *wal.Partition, part *part, at int64) bool {
	n := 1
	if p.r.IntN(3) == 0 {
		n += p.r.IntN(5)
	}
	o := &op{kind: opAppend, part: part, at: at, id: p.w.known.next()}
	records := make([]wal.Record, n)
	for i := range records {
		records[i] = p.record(o.id, i)
		o.hashes = append(o.hashes, hashRecord(&records[i]))
	}
	if at < 0 && p.r.IntN(3) == 0 {
		sequence, ok := p.sequence(h, part)
		if !ok {
			return false
		}
		o.producer, o.sequence = p.id, sequence
	}
	if !part.shared { // nobody else can take its place
		o.placed, o.offset = true, max(part.now().next, at)
	}
	want := o.offset
	if !p.begin(o) {
		return false
	}
	var ack wal.Ack
	var err error
	if at >= 0 {
		ack, err = p.appendAt(h, part, at, records)
	} else if o.producer != 0 {
		ack, err = p.appendOnce(h, o, records)
	} else {
		ack, err = h.AppendAsync(ctx, records...)
	}
	if err != nil {
		o.placed = false // it never got that far
		return p.failed(o, err)
	}
	if !part.shared && ack.Offset() != want {
		if p.w.faulty == nil || !p.drain() || !part.takesPlace(o, ack.Offset()) {
			p.w.report(violation(Prefix, "%v: %v gets offset %d", part.key, o, ack.Offset()))
			return false
		}
	}
	o.placed, o.offset = true, ack.Offset()
	p.pending = append(p.pending, pendingAck{op: o, ack: ack})
	return true
}

// record makes a record that no other operation makes.
func (p *producer) record(id uint64, i int) wal.Record {
	size := p.w.plan.value/2 + p.r.IntN(p.w.plan.value)
	switch p.r.IntN(40) {
	case 0:
		size = 3000 + p.r.IntN(9000)
	case 1:
		size = 0
	}
	v := make([]byte, size)
	fill := rand.New(rand.NewPCG(id, uint64(i)))
	for k := 0; k+8 <= len(v); k += 8 {
		binary.LittleEndian.PutUint64(v[k:], fill.Uint64())
	}
	if p.w.plan.dictionaries {
		copy(v, phrase)
	}
	var k [12]byte
	binary.LittleEndian.PutUint64(k[:], id)
	binary.LittleEndian.PutUint32(k[8:], uint32(i))
	r := wal.Record{Key: k[:], Value: v, Timestamp: time.Unix(1_700_000_000, int64(id))}
	if p.r.IntN(8) == 0 {
		r.Headers = []wal.Header{{Key: "trace", Value: k[:4]}, {Key: "", Value: nil}}
	}
	return r
}

func (p *producer) truncateBefore(h *wal.Partition, part *part, now state) bool {
	if now.first >= now.next {
		return true
	}
	at := now.first + 1 + p.r.Int64N(now.next-now.first)
	if p.r.IntN(2) == 0 {
		at = now.next
	}
	if !p.drain() { // a truncation is no news for what is not acknowledged yet
		return false
	}
	o := &op{kind: opTruncateBefore, part: part, at: at}
	return p.begin(o) && p.done(o, h.TruncateBefore(ctx, at))
}

func (p *producer) truncateAfter(h *wal.Partition, part *part, now state) bool {
	if now.first >= now.next {
		return true
	}
	at := now.first - 1 + p.r.Int64N(now.next-now.first+1)
	if !cutGaps {
		if at = now.first - 1; len(now.recs) > 0 && p.r.IntN(4) > 0 {
			at = now.recs[p.r.IntN(len(now.recs))].offset
		}
	}
	if p.r.IntN(2) == 0 && !p.drain() {
		return false
	}
	o := &op{kind: opTruncateAfter, part: part, at: at}
	delete(p.sequences, part)
	if !p.begin(o) {
		return false
	}
	if p.w.faulty == nil && at+1 < now.next && p.r.IntN(2) == 0 {
		return p.replace(h, part, o)
	}
	return p.done(o, h.TruncateAfter(ctx, at))
}

// replace truncates the suffix and appends in its place without waiting in between. The log
// takes that append at its offset only once it has taken the truncation.
func (p *producer) replace(h *wal.Partition, part *part, o *op) bool {
	cut := pendingAck{op: o, done: make(chan error, 1)}
	go func() { cut.done <- h.TruncateAfter(ctx, o.at) }()
	p.pending = append(p.pending, cut)
	return p.append(h, part, o.at+1)
}

// appendAt is AppendAt, once a truncation of the suffix that is on its way was taken.
func (p *producer) appendAt(h *wal.Partition, part *part, at int64, records []wal.Record) (wal.Ack, error) {
	for {
		cuts := p.cuts(part) // it may be done as soon as the log has refused the append
		ack, err := h.AppendAt(ctx, at, records...)
		if !errors.Is(err, wal.ErrOffsetOutOfRange) || !cuts {
			return ack, err
		}
		giveWay()
	}
}

// cuts reports whether a truncation of the partition is on its way.
func (p *producer) cuts(part *part) bool {
	for _, a := range p.pending {
		if a.done != nil && a.op.part == part && len(a.done) == 0 {
			return true
		}
	}
	return false
}

func (p *producer) done(o *op, err error) bool {
	if err != nil {
		return p.failed(o, err)
	}
	o.acked = true
	return p.w.disk.Mark(note{noteDurable, o})
}

func (p *producer) sync(h *wal.Partition, part *part) bool {
	last := p.acked(part)
	if err := h.Sync(ctx); err != nil {
		return p.failed(nil, err)
	}
	if last != nil {
		return p.w.disk.Mark(note{noteDurable, last})
	}
	return true
}

// acked returns the newest operation on a partition of this producer's own of which it
// knows that it was acknowledged.
func (p *producer) acked(part *part) *op {
	for i := len(part.ops) - 1; i >= 0; i-- {
		if !p.waitsFor(part.ops[i]) {
			return part.ops[i]
		}
	}
	return nil
}

func (p *producer) waitsFor(o *op) bool {
	for _, a := range p.pending {
		if a.op == o {
			return true
		}
	}
	return false
}

func (p *producer) drain() bool {
	for len(p.pending) > 0 {
		if !p.await() {
			return false
		}
	}
	return true
}

// await waits for the oldest outstanding acknowledgement.
func (p *producer) await() bool {
	a := p.pending[0]
	p.pending = p.pending[1:]
	if a.done != nil {
		return p.done(a.op, <-a.done)
	}
	if err := a.ack.Wait(ctx); err != nil {
		return p.failed(a.op, err)
	}
	a.op.acked = true
	if !p.w.disk.Mark(note{noteAcked, a.op}) {
		return false
	}
	if !a.op.part.shared {
		return p.watermarks(a.op)
	}
	return true
}

// watermarks compares what the partition says of itself with an acknowledgement, and
// notes what it calls durable.
func (p *producer) watermarks(o *op) bool {
	h, err := p.m.Partition(o.part.topic, o.part.num)
	if err != nil {
		return p.failed(nil, err)
	}
	end := o.offset + int64(len(o.hashes))
	for _, x := range o.part.ops {
		if x.kind == opTruncateAfter {
			end = min(end, x.at+1)
		}
	}
	durable := h.DurableOffset()
	if next := h.NextOffset(); next < end {
		p.w.report(violation(ReadersDurable, "%v: %v is acknowledged, NextOffset is %d", o.part.key, o, next))
		return false
	}
	if p.w.plan.mode != wal.FsyncPeriodic && durable < end {
		p.w.report(violation(ReadersDurable, "%v: %v is acknowledged, DurableOffset is %d", o.part.key, o, durable))
		return false
	}
	// Later truncations are synchronous, so all that was submitted since is appends.
	var last *op
	for _, x := range o.part.ops {
		if x.kind == opTruncateAfter {
			last = nil
		}
		if x.kind == opAppend && !p.waitsFor(x) && x.offset+int64(len(x.hashes)) <= durable {
			last = x
		}
	}
	if last != nil {
		return p.w.disk.Mark(note{noteDurable, last})
	}
	return true
}

// failed deals with the error of an operation. It reports whether the producer goes on.
func (p *producer) failed(o *op, err error) bool {
	clear(p.sequences) // those behind it failed with it
	switch {
	case p.w.disk.Crashed():
		return false
	case p.w.faulty == nil:
		p.w.report(violation(Recovers, "%v failed on a healthy disk: %v", o, err))
		return false
	case o == nil: // a sync or a look at a partition: it changes nothing that it fails
		return !errors.Is(err, wal.ErrFailed)
	}
	return p.w.faulty.failed(p, o, err)
}
