package script

import (
	"bytes"
	"fmt"
	"slices"

	wal "github.com/chronik-go/wal/core"

	"github.com/chronik-go/wal/conformance/internal/numbered"
)

// State is what a partition holds: its records in the order of their offsets, which lie from
// First on and below Next.
type State struct {
	First, Next int64
	records     []placed
	pair        []placed
	// Row is what the partition knows of its producer.
	Row numbered.Row
}

// placed is a record at its offset.
type placed struct {
	offset int64
	id     id
	n      int
}

// After returns the state after an operation, as the log's documentation says.
func (s State) After(o Op) State {
	switch o.Kind {
	case Append, Transaction, Once:
		if o.Kind == Transaction {
			s.pair = append(slices.Clip(s.pair), placed{int64(len(s.pair)), o.id, pairRecord})
		}
		base := max(s.Next, o.At)
		s.records = slices.Clip(s.records)
		for n := range o.Count {
			s.records = append(s.records, placed{base + int64(n), o.id, n})
		}
		s.Next = base + int64(o.Count)
		if o.Kind == Once {
			s.Row = s.Row.Append(o.Sequence, base, o.Count)
		}
	case TruncateBefore:
		s.First = max(s.First, o.At)
		for len(s.records) > 0 && s.records[0].offset < s.First {
			s.records = s.records[1:]
		}
	case TruncateAfter:
		s.Next = o.At + 1
		s.Row = s.Row.Cut(s.Next)
		n := len(s.records)
		for n > 0 && s.records[n-1].offset > o.At {
			n--
		}
		s.records = s.records[:n:n]
	case Sync:
	}
	return s
}

// Differs tells how what was read differs from the state, "" if it does not.
func (s State) Differs(first, next int64, records []wal.Record) string {
	return differs(s.First, s.Next, s.records, first, next, records)
}

// PairDiffers tells how what was read of the pair differs from the state.
func (s State) PairDiffers(first, next int64, records []wal.Record) string {
	return differs(0, int64(len(s.pair)), s.pair, first, next, records)
}

func differs(wantFirst, wantNext int64, want []placed, first, next int64, records []wal.Record) string {
	if first != wantFirst || next != wantNext || len(records) != len(want) {
		return fmt.Sprintf("offsets %d to %d with %d records, not %d to %d with %d",
			first, next-1, len(records), wantFirst, wantNext-1, len(want))
	}
	for i := range records {
		if p := want[i]; records[i].Offset != p.offset || !same(records[i], p.id.record(p.n)) {
			return fmt.Sprintf("the record at offset %d is not what was appended at %d", records[i].Offset, p.offset)
		}
	}
	return ""
}

func same(a, b wal.Record) bool {
	return a.Timestamp.Equal(b.Timestamp) && bytes.Equal(a.Key, b.Key) && bytes.Equal(a.Value, b.Value) &&
		slices.EqualFunc(a.Headers, b.Headers, func(x, y wal.Header) bool {
			return x.Key == y.Key && bytes.Equal(x.Value, y.Value)
		})
}

// Done is how many operations of its rounds a producer's partition holds: what is known of
// it after each crash.
type Done []int

// State replays the operations that a partition holds.
func (p Plan) State(producer int, done Done) (s State) {
	for round, n := range done {
		p.Round = round
		for i := range n {
			s = s.After(p.Op(producer, i, s))
		}
	}
	return s
}
