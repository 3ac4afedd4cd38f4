package fuzz

import (
	"fmt"
	"slices"
	"strings"

	wal "github.com/chronik-go/wal/core"

	"github.com/chronik-go/wal/conformance/internal/numbered"
)

// state is what a partition holds: as simple as it can be.
type state struct {
	first, next int64
	records     []placed
	row         numbered.Row // of the partition's producer
}

// placed is a record at its offset. All of a record follows from its number and its size.
type placed struct {
	offset       int64
	number, size int
}

func (r placed) record() wal.Record {
	return wal.Record{Value: []byte(fmt.Sprintf("%d/%d:", r.number, r.size) + strings.Repeat("x", r.size))}
}

// appended returns the state after an append, at an offset or, for -1, at the next one.
func (s state) appended(at int64, list []placed) state {
	s.next = max(s.next, at)
	s.records = slices.Clip(s.records)
	for _, r := range list {
		r.offset = s.next
		s.records = append(s.records, r)
		s.next++
	}
	return s
}

// once returns the state after an append of records that the producer numbers.
func (s state) once(sequence int64, list []placed) state {
	after := s.appended(-1, list)
	after.row = s.row.Append(sequence, after.next-int64(len(list)), len(list))
	return after
}

// cutBefore returns the state after TruncateBefore.
func (s state) cutBefore(at int64) state {
	if s.first = max(s.first, at); s.first > s.next {
		panic("not a truncation of this state")
	}
	for len(s.records) > 0 && s.records[0].offset < s.first {
		s.records = s.records[1:]
	}
	return s
}

// cutAfter returns the state after TruncateAfter.
func (s state) cutAfter(at int64) state {
	s.next = at + 1
	s.row = s.row.Cut(s.next)
	n := len(s.records)
	for n > 0 && s.records[n-1].offset > at {
		n--
	}
	s.records = s.records[:n:n]
	return s
}

func (s state) equal(o state) bool {
	due, known := s.row.Next()
	dueToo, knownToo := o.row.Next()
	return s.first == o.first && s.next == o.next && due == dueToo && known == knownToo && slices.Equal(s.records, o.records)
}

func (s state) String() string {
	text := fmt.Sprintf("offsets %d to %d:", s.first, s.next-1)
	if due, known := s.row.Next(); known {
		text = fmt.Sprintf("number %d is due, ", due) + text
	}
	for _, r := range s.records {
		text += fmt.Sprintf(" %d=%d", r.offset, r.number)
	}
	return text
}

// readState reads a partition, and what it knows of a producer. Anything but whole records is an error.
func readState(p *wal.Partition, producer uint64) (s state, err error) {
	s = state{first: p.FirstOffset(), next: p.NextOffset()}
	if due, ok := p.NextSequence(producer); ok {
		s.row = numbered.Row{Sequence: due - 1, Base: -1, Count: 1} // more it does not tell
	}
	for r, err := range p.Read(bg, s.first) {
		if err != nil {
			return s, err
		}
		got := placed{offset: r.Offset}
		if _, err := fmt.Sscanf(string(r.Value), "%d/%d:", &got.number, &got.size); err != nil || string(got.record().Value) != string(r.Value) {
			return s, fmt.Errorf("%v, offset %d: not a record that was appended: %.40q", p, r.Offset, r.Value)
		}
		s.records = append(s.records, got)
	}
	return s, nil
}

// history is what was submitted to a partition: the states that it leads through, of which the
// first is certain.
type history struct {
	name   string
	states []state
	// acked is up to where operations are known to be acknowledged, durable up to where
	// they must survive any crash, seen what a reader was shown: indexes into states.
	acked, durable, seen int
	// producer numbers records.
	producer uint64
}

func (h *history) now() state { return h.states[len(h.states)-1] }

// find returns the earliest state from one on that is as what was read.
func (h *history) find(from int, got state) (int, error) {
	for i := from; i < len(h.states); i++ {
		if h.states[i].equal(got) {
			return i, nil
		}
	}
	for i := range from {
		if h.states[i].equal(got) {
			return 0, fmt.Errorf("%s is as it was after operation %d of %d, %d must be there", h.name, i, len(h.states)-1, from)
		}
	}
	return 0, fmt.Errorf("%s is as it never was: %v; it should be %v", h.name, got, h.now())
}

// restart makes what a crash has left the beginning: the state that is as what was read. Where there are several,
// and each says something else of the producer, there is a new one from now on.
func (h *history) restart(got state) {
	left := got
	left.row = numbered.Row{}
	first, last := h.span(0, got)
	if first >= 0 && h.states[first].row == h.states[last].row {
		left.row = h.states[first].row
	} else {
		h.producer++
	}
	h.states, h.acked, h.durable, h.seen = []state{left}, 0, 0, 0
}
