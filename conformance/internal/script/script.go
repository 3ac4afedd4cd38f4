// Package script is what the writers of the crash layers do: operations that follow from a
// seed, and the states of the partitions that they lead to. The process that writes and the
// one that checks compute the same, so all that passes between them is how far each producer
// came.
package script

import (
	"fmt"
	"math/rand/v2"
	"time"

	wal "github.com/chronik-go/wal/core"
)

// Plan is what the producers of one round do, and with which options the log is opened.
type Plan struct {
	// Seed decides all that follows, Round what this round does.
	Seed  uint64
	Round int
	// Producers is how many there are; each has a partition of its own. It and Large are
	// the same in all rounds.
	Producers int
	// Ops is how many operations each producer has in this round.
	Ops int
	// Lazy are the rounds, a bit each, that leave as much as they can to be synced later: in mode
	// periodic, and by appends alone.
	Lazy uint64
}

// NewPlan draws the first round of a seed.
func NewPlan(seed uint64, ops int) Plan {
	return Plan{Seed: seed, Producers: 2 + random(seed, 1).IntN(4), Ops: ops}
}

// Next is the plan of the round after this one.
func (p Plan) Next() Plan {
	p.Round++
	return p
}

// Lazily makes this round a lazy one.
func (p Plan) Lazily() Plan {
	p.Lazy |= 1 << p.Round
	return p
}

func (p Plan) lazy() bool { return p.Lazy>>p.Round&1 > 0 }

func (p Plan) String() string { return fmt.Sprintf("seed %d, round %d", p.Seed, p.Round) }

func random(seed, stream uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, stream)) }

func pick[T any](r *rand.Rand, of ...T) T { return of[r.IntN(len(of))] }

// Mode is when operations of this round count as acknowledged.
func (p Plan) Mode() wal.FsyncMode {
	if p.lazy() {
		return wal.FsyncPeriodic
	}
	return pick(random(p.Seed, 2), wal.FsyncAlways, wal.FsyncAlways, wal.FsyncBatch, wal.FsyncPeriodic)
}

// Options are the options of the log: segments so small that some rounds see many of them.
func (p Plan) Options() []wal.Option {
	r := random(p.Seed, 3)
	interval := 2 * time.Millisecond
	if p.lazy() {
		interval = time.Hour
	}
	opts := []wal.Option{
		wal.WithFsyncMode(p.Mode()),
		wal.WithSegmentSize(pick[int64](r, 64, 128, 256) << 10),
		wal.WithBufferSize(pick(r, 64, 128, 256) << 10),
		wal.WithRecycleLimit(r.IntN(3)),
		wal.WithMoveLimit(pick[int64](r, 0, 32, 128) << 10),
		wal.WithStdLocks(r.IntN(4) == 0),
		wal.WithBatchLimits(16<<10, 16, 200*time.Microsecond),
		wal.WithSyncInterval(interval),
	}
	switch p.layout() {
	case 0:
		opts = append(opts, wal.WithShards(2))
	case 1:
		opts = append(opts, wal.WithLayout(wal.LayoutDedicated))
	}
	return append(opts, p.storage()...)
}

func (p Plan) layout() int { return random(p.Seed, 4).IntN(8) }

// OneLog reports whether all partitions are in one log, so that transactions are possible.
func (p Plan) OneLog() bool { return p.layout() > 1 }

// Topic is the topic of the producers' partitions; a producer's number is its partition's.
const Topic = "crash"

// PairTopic is that of the partitions which the producers' transactions append to besides: one
// record each, and nothing else does.
const PairTopic = "crash-pair"

// Kind is what an operation does.
type Kind uint8

// The kinds.
const (
	Append Kind = iota + 1
	TruncateBefore
	TruncateAfter
	Sync
	// Transaction appends to the producer's partition and its pair.
	Transaction
	// Once is an append of the producer that numbers its records.
	Once
)

// Op is one operation of a producer.
type Op struct {
	Kind Kind
	// At is the offset of an append that leaves a gap, -1 for none, or that of a truncation.
	At int64
	// Count is how many records an append has.
	Count int
	// Sequence is the number of the first record of a Once. Fresh: any would do. Again: it is
	// submitted twice.
	Sequence     int64
	Fresh, Again bool

	id id
}

// id names an operation.
type id struct {
	seed     uint64
	round    int
	producer int
	index    int
}

func (i id) random(stream uint64) *rand.Rand {
	return random(i.seed+uint64(i.round)<<48, uint64(i.producer)<<56|stream<<48|uint64(i.index))
}

func (o Op) String() string {
	name := map[Kind]string{Append: "append", TruncateBefore: "truncate before", TruncateAfter: "truncate after", Sync: "sync", Transaction: "transaction", Once: "append once"}[o.Kind]
	return fmt.Sprintf("operation %d of round %d: %s (at %d, %d records)", o.id.index, o.id.round, name, o.At, o.Count)
}

// Op returns a producer's operation in this round, by its index, where its partition is in a
// state.
func (p Plan) Op(producer, index int, s State) Op {
	o := Op{Kind: Append, At: -1, id: id{p.Seed, p.Round, producer, index}}
	r := o.id.random(1)
	n := r.IntN(100)
	if p.lazy() {
		n = max(n, 12) // an append
	}
	switch {
	case n < 6 && s.Next > s.First:
		o.Kind, o.At = TruncateBefore, s.First+1+r.Int64N(s.Next-s.First)
	case n < 10 && s.Next > s.First:
		o.Kind, o.At = TruncateAfter, s.Next-1-r.Int64N(min(s.Next-s.First, 20))-1
	case n < 12:
		o.Kind = Sync
	default:
		o.Count = pick(r, 1, 1, 1, 2, 5)
		if n < 15 {
			o.At = s.Next + r.Int64N(5)
		} else if n < 30 && p.OneLog() && !p.lazy() {
			o.Kind = Transaction
		} else if n < 55 && !p.lazy() {
			o = o.once(s, r)
		}
	}
	return o
}

// once makes an append one whose records are numbered.
func (o Op) once(s State, r *rand.Rand) Op {
	o.Kind, o.Again = Once, r.IntN(3) == 0
	next, known := s.Row.Next()
	if o.Sequence, o.Fresh = next, !known; o.Fresh {
		o.Sequence = o.id.pack(0)
	}
	return o
}

// Records returns the records of an append.
func (o Op) Records() []wal.Record {
	list := make([]wal.Record, o.Count)
	for i := range list {
		list[i] = o.id.record(i)
	}
	return list
}

// pairRecord is which of a transaction's records its pair gets.
const pairRecord = 0xff

// PairRecord returns the record that a transaction appends to the pair.
func (o Op) PairRecord() wal.Record { return o.id.record(pairRecord) }

// record makes a record of an append: all of it follows from where it stands, so that it can
// be made again to compare.
func (i id) record(n int) wal.Record {
	r := i.random(uint64(2 + n))
	size := r.IntN(200)
	switch r.IntN(40) {
	case 0:
		size = 8000 + r.IntN(30_000)
	case 1, 2, 3:
		size = r.IntN(5000)
	}
	value := make([]byte, size)
	words := pick[uint64](r, 1<<2, 1<<63) // few different ones become smaller by compression
	for at := 0; at < size; at += 8 {
		x := r.Uint64N(words) * 0x9e3779b97f4a7c15
		for k := at; k < min(at+8, size); k++ {
			value[k] = byte(x >> (8 * (k - at)))
		}
	}
	rec := wal.Record{Timestamp: time.Unix(0, i.pack(n)), Value: value}
	if r.IntN(3) == 0 {
		rec.Key = fmt.Appendf(nil, "%d/%d/%d/%d", i.round, i.producer, i.index, n)
	}
	if r.IntN(5) == 0 {
		rec.Headers = []wal.Header{{Key: "index", Value: fmt.Append(nil, i.index)}}
	}
	return rec
}

// pack makes a number of an operation and a record of it.
func (i id) pack(n int) int64 {
	return int64(i.round)<<48 | int64(i.producer)<<40 | int64(i.index)<<8 | int64(n)
}

// Find tells which operation of this round, by its index, a record of a producer comes from;
// -1 for one of an earlier round. It is not ok if the record is none that was ever submitted.
func (p Plan) Find(producer int, r wal.Record) (index int, ok bool) {
	packed := r.Timestamp.UnixNano()
	i := id{seed: p.Seed, round: int(packed >> 48), producer: int(packed >> 40 & 0xff), index: int(packed >> 8 & 0xffffffff)}
	if i.producer != producer || i.round > p.Round || !same(r, i.record(int(packed&0xff))) {
		return 0, false
	}
	if i.round < p.Round {
		return -1, true
	}
	return i.index, true
}
