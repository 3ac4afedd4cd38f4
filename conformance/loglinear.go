package conformance

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/anishathalye/porcupine"
	"github.com/stretchr/testify/require"

	wal "github.com/chronik-go/wal/core"
)

// What clients do to a partition at the same time is as if they did it one after the other,
// each operation at some moment between its call and its return. Whether there is such an order
// is for porcupine to find out; this file has the partition that it compares with.

// linearOp is an operation of a client.
type linearOp struct {
	kind linearKind
	// at is the offset of a read, truncation or append, -1 for the next one.
	at int64
	// count is how many records an append has, number that of the first of them.
	count, number int
}

type linearKind int

const (
	linearAppend linearKind = iota
	linearBefore
	linearAfter
	linearRead
	linearFirst
	linearNext
)

func (o linearOp) String() string {
	name := []string{"append", "truncate before", "truncate after", "read", "first", "next"}[o.kind]
	return fmt.Sprintf("%s at %d (%d records from %d on)", name, o.at, o.count, o.number)
}

// linearResult is what an operation returned.
type linearResult struct {
	offset int64
	record string // of a read; "" for the end
	// refused: the offset was out of range.
	refused bool
	// overtaken: a truncation came while the read was under way, and the reader was told.
	overtaken bool
}

// linearState is a partition: its records behind the first offset, tokenSize bytes each.
type linearState struct {
	first   int64
	content string
}

const tokenSize = 6

func linearToken(number int) string { return fmt.Sprintf("%06d", number) }

// gapToken stands where an offset has no record.
const gapToken = "------"

func (s linearState) next() int64 { return s.first + int64(len(s.content)/tokenSize) }

// at returns the token at the first offset from one on that has a record; "" for none.
func (s linearState) at(offset int64) string {
	for ; offset < s.next(); offset++ {
		i := int(offset-s.first) * tokenSize
		if x := s.content[i : i+tokenSize]; x != gapToken {
			return x
		}
	}
	return ""
}

// step tells whether an operation may have had a result in a state, and what state it leads to.
func (s linearState) step(o linearOp, r linearResult) (bool, linearState) {
	switch o.kind {
	case linearFirst:
		return r.offset == s.first, s
	case linearNext:
		return r.offset == s.next(), s
	case linearRead:
		if r.overtaken {
			return true, s // it saw neither what was before nor what is behind
		}
		if o.at < s.first || o.at > s.next() {
			return r.refused, s
		}
		return !r.refused && r.record == s.at(o.at), s
	}
	if r.refused {
		// Writes are judged by all that was submitted, some of which nobody sees yet: what
		// is refused was out of range by then, or would have been soon.
		return o.at >= 0, s
	}
	switch o.kind {
	case linearAppend:
		base := max(s.next(), o.at)
		s.content += strings.Repeat(gapToken, int(base-s.next()))
		for i := range o.count {
			s.content += linearToken(o.number + i)
		}
		return r.offset == base && (o.at < 0 || o.at == base), s
	case linearBefore:
		if o.at > s.next() {
			return false, s
		}
		if n := o.at - s.first; n > 0 {
			s.first, s.content = o.at, s.content[n*tokenSize:]
		}
	case linearAfter:
		if o.at < s.first-1 || o.at >= s.next() {
			return false, s
		}
		s.content = s.content[:(o.at+1-s.first)*tokenSize]
	}
	return true, s
}

var linearModel = porcupine.Model{
	Init: func() any { return linearState{} },
	Step: func(state, input, output any) (bool, any) {
		ok, next := state.(linearState).step(input.(linearOp), output.(linearResult))
		return ok, next
	},
}

// linearClient does random operations on a partition and notes what came of them.
type linearClient struct {
	id      int
	part    *wal.Partition
	rng     *rand.Rand
	clock   *atomic.Int64
	numbers *atomic.Int64
	history []porcupine.Operation
}

func (c *linearClient) run(ctx context.Context, ops int) error {
	for range ops {
		o := c.draw()
		call := c.clock.Add(1)
		r, err := c.do(ctx, o)
		if err != nil {
			return fmt.Errorf("%v: %v: %w", c.part, o, err)
		}
		c.history = append(c.history, porcupine.Operation{ClientId: c.id, Input: o, Call: call, Output: r, Return: c.clock.Add(1)})
	}
	return nil
}

// draw chooses an operation that has a chance to be in range.
func (c *linearClient) draw() linearOp {
	first, next := c.part.FirstOffset(), c.part.NextOffset()
	near := func() int64 { return max(0, first-1+c.rng.Int64N(next-first+3)) }
	switch n := c.rng.IntN(100); {
	case n < 35:
		o := linearOp{kind: linearAppend, at: -1, count: 1 + c.rng.IntN(3)}
		if n < 5 {
			o.at = next + c.rng.Int64N(3)
		}
		o.number = int(c.numbers.Add(int64(o.count))) - o.count
		return o
	case n < 45:
		return linearOp{kind: linearBefore, at: near()}
	case n < 55:
		return linearOp{kind: linearAfter, at: near()}
	case n < 85:
		return linearOp{kind: linearRead, at: near()}
	case n < 92:
		return linearOp{kind: linearFirst}
	}
	return linearOp{kind: linearNext}
}

func (c *linearClient) do(ctx context.Context, o linearOp) (r linearResult, err error) {
	switch o.kind {
	case linearAppend:
		r.offset, err = c.append(ctx, o)
	case linearBefore:
		err = c.part.TruncateBefore(ctx, o.at)
	case linearAfter:
		err = c.part.TruncateAfter(ctx, o.at)
	case linearRead:
		for x, readErr := range c.part.Read(ctx, o.at) {
			if err = readErr; err == nil {
				r.record = string(x.Value[:tokenSize])
			}
			break
		}
	case linearFirst:
		r.offset = c.part.FirstOffset()
	case linearNext:
		r.offset = c.part.NextOffset()
	}
	var truncated *wal.TruncatedError
	if errors.As(err, &truncated) {
		return linearResult{overtaken: true}, nil
	}
	if errors.Is(err, wal.ErrOffsetOutOfRange) {
		return linearResult{refused: true}, nil
	}
	return r, err
}

func (c *linearClient) append(ctx context.Context, o linearOp) (int64, error) {
	records := make([]wal.Record, o.count)
	for i := range records {
		records[i].Value = []byte(linearToken(o.number+i) + strings.Repeat("~", (o.number+i)*41%900))
	}
	if o.at < 0 {
		return c.part.Append(ctx, records...)
	}
	ack, err := c.part.AppendAt(ctx, o.at, records...)
	if err != nil {
		return 0, err
	}
	return ack.Offset(), ack.Wait(ctx)
}

func logLinearizable(t *T) {
	const clients, ops, rounds = 4, 30, 12
	rng := t.rng()
	e := t.engine(wal.WithSegmentSize(wal.MinSegmentSize), wal.WithMoveLimit(32<<10))
	t.Logf("-conformance.seed=%d", *flagSeed)
	m := e.openLog()
	histories := make([][]*linearClient, rounds)
	c := e.crew()
	for i := range histories {
		clock, numbers := new(atomic.Int64), new(atomic.Int64)
		for id := range clients {
			client := &linearClient{
				id: id, part: e.part(m, "linear", i), clock: clock, numbers: numbers, rng: rand.New(rand.NewPCG(rng.Uint64(), rng.Uint64())),
			}
			histories[i] = append(histories[i], client)
			c.do(func(ctx context.Context) error { return client.run(ctx, ops) })
		}
	}
	require.NoError(e, c.wait())
	undecided := 0
	for i, clients := range histories {
		var history []porcupine.Operation
		for _, client := range clients {
			history = append(history, client.history...)
		}
		switch porcupine.CheckOperationsTimeout(linearModel, history, 20*time.Second) {
		case porcupine.Illegal:
			t.Errorf("linear/%d: there is no order that explains\n%s", i, historyText(history))
		case porcupine.Unknown:
			undecided++
		}
	}
	if undecided > 0 {
		t.Logf("%d of %d histories took too long to decide", undecided, rounds)
	}
	require.Less(t, undecided, rounds)
}

func historyText(history []porcupine.Operation) string {
	slices.SortFunc(history, func(a, b porcupine.Operation) int { return int(a.Call - b.Call) })
	var text strings.Builder
	for _, o := range history {
		fmt.Fprintf(&text, "  client %d, %4d to %4d: %v: %+v\n", o.ClientId, o.Call, o.Return, o.Input, o.Output)
	}
	return text.String()
}
