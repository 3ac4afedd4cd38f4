package fuzz

import (
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	wal "github.com/chronik-go/wal/core"
)

// transaction is the state of each of its partitions that it leads to.
type transaction map[*history]int

// transact commits a transaction of so many appends to partitions from one on, without waiting.
// Partitions of other logs than the first one's are left out.
func (w *world) transact(t tester, i, appends, size int) {
	tx, err := w.m.Begin()
	require.NoError(t, err)
	afters := map[*history]state{}
	var order []*history
	var offsets []int64
	for k := range appends {
		p, h := w.partition(t, (i+k)%partitions)
		list, records := w.batch(1, size)
		if err := tx.Append(p, records...); err != nil {
			if k == 0 || !errors.Is(err, wal.ErrTxTooLarge) {
				require.ErrorIs(t, err, wal.ErrTxLogs)
				require.True(t, w.shards > 1 || w.dedicated)
			}
			continue
		}
		now, ok := afters[h]
		if !ok {
			now, order = h.now(), append(order, h)
		}
		afters[h] = now.appended(-1, list)
		offsets = append(offsets, afters[h].next-1)
	}
	send := func() ([]wal.Ack, error) { return tx.CommitAsync(bg) }
	if w.noWait {
		acks, err := send()
		if errors.Is(err, wal.ErrBackpressure) {
			require.True(t, w.stalled || len(w.flights) > 0, "nothing is under way, and there is no space")
			return
		}
		send = func() ([]wal.Ack, error) { return acks, err }
	}
	whole := transaction{}
	for _, h := range order[1:] {
		h.states = append(h.states, afters[h])
		whole[h] = len(h.states) - 1
	}
	whole[order[0]] = len(order[0].states)
	w.transactions = append(w.transactions, whole)
	w.submit(order[0], afters[order[0]], func(placed func()) error {
		acks, err := send()
		placed()
		if err != nil {
			return err
		}
		for k, ack := range acks {
			if ack.Offset() != offsets[k] {
				return fmt.Errorf("append %d of a transaction: offset %d, should be %d", k, ack.Offset(), offsets[k])
			}
			if err := ack.Wait(bg); err != nil {
				return err
			}
		}
		return nil
	})
	w.flights[len(w.flights)-1].whole = whole
}

// span returns the first and the last state from one on that is as what was read.
func (h *history) span(from int, got state) (first, last int) {
	first, last = -1, -1
	for i := from; i < len(h.states); i++ {
		if h.states[i].equal(got) {
			if last = i; first < 0 {
				first = i
			}
		}
	}
	return first, last
}

// requireWhole demands that of each transaction all is there or nothing, where the partitions are
// as they are told, and each at least in a state that is told too.
func (w *world) requireWhole(t tester, got map[*history]state, from func(*history) int) {
	t.Helper()
	for _, x := range w.transactions {
		var in, out *history
		for h, index := range x {
			first, last := h.span(from(h), got[h])
			if first >= index {
				in = h
			}
			if last < index {
				out = h
			}
		}
		if in != nil && out != nil {
			require.Fail(t, "a part of a transaction", "%s has its part, %s has not: %v, %v", in.name, out.name, got[in], got[out])
		}
	}
}

// What the checks of transactions must tell apart.
func TestPartOfATransactionIsFound(t *testing.T) {
	one := []placed{{number: 1}}
	a, b := &history{name: "a", states: []state{{}}}, &history{name: "b", states: []state{{}}}
	before := map[*history]state{a: a.now(), b: b.now()}
	for _, h := range []*history{a, b} {
		h.states = append(h.states, h.now().appended(-1, one))
	}
	after := map[*history]state{a: a.now(), b: b.now()}
	b.states = append(b.states, b.now().cutAfter(-1)) // as it was at first
	w := &world{transactions: []transaction{{a: 1, b: 1}}}
	from := func(*history) int { return 0 }
	for _, got := range []map[*history]state{before, after, {a: a.now(), b: state{}}} {
		require.Empty(t, failures(func(t tester) { w.requireWhole(t, got, from) }))
	}
	require.NotEmpty(t, failures(func(t tester) { w.requireWhole(t, map[*history]state{a: {}, b: after[b]}, from) }))
	b.states = b.states[:2]
	require.NotEmpty(t, failures(func(t tester) { w.requireWhole(t, map[*history]state{a: after[a], b: {}}, from) }))
}

// failing is a tester that only counts.
type failing struct{ list []string }

func (f *failing) Errorf(format string, args ...any) {
	f.list = append(f.list, fmt.Sprintf(format, args...))
}
func (f *failing) FailNow() {}
func (f *failing) Helper()  {}

func failures(check func(t tester)) []string {
	f := &failing{}
	check(f)
	return f.list
}
