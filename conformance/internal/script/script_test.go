package script

import (
	"testing"

	"github.com/stretchr/testify/require"

	wal "github.com/chronik-go/wal/core"
	"github.com/chronik-go/wal/core/backend/sim"
)

// The states are those of a real log, and a state differs from each other one.
func TestStatesAreTheLogs(t *testing.T) {
	for seed := range uint64(20) {
		p := NewPlan(seed, 120)
		m, err := wal.Open("/log", append(p.Options(), wal.WithBackend(sim.New(sim.Options{NoTrace: true})))...)
		require.NoError(t, err)
		part, err := m.Partition(Topic, 0)
		require.NoError(t, err)
		pair, err := m.Partition(PairTopic, 0)
		require.NoError(t, err)
		var s, before State
		for i := range p.Ops {
			o := p.Op(0, i, s)
			before, s = s, s.After(o)
			switch o.Kind {
			case Once:
				ack, err := part.AppendOnce(t.Context(), 1, o.Sequence, o.Records()...)
				require.NoError(t, err)
				require.False(t, ack.Duplicate())
				require.NoError(t, ack.Wait(t.Context()))
			case Append:
				ack, err := part.AppendAt(t.Context(), max(o.At, before.Next), o.Records()...)
				require.NoError(t, err)
				require.NoError(t, ack.Wait(t.Context()))
			case Transaction:
				tx, err := m.Begin()
				require.NoError(t, err)
				require.NoError(t, tx.Append(part, o.Records()...))
				require.NoError(t, tx.Append(pair, o.PairRecord()))
				_, err = tx.Commit(t.Context())
				require.NoError(t, err)
			case TruncateBefore:
				require.NoError(t, part.TruncateBefore(t.Context(), o.At))
			case TruncateAfter:
				require.NoError(t, part.TruncateAfter(t.Context(), o.At))
			}
			var records, pairs []wal.Record
			for r, err := range part.Read(t.Context(), part.FirstOffset()) {
				require.NoError(t, err)
				records = append(records, r)
			}
			for r, err := range pair.Read(t.Context(), 0) {
				require.NoError(t, err)
				pairs = append(pairs, r)
			}
			next, known := part.NextSequence(1)
			wantNext, wantKnown := s.Row.Next()
			require.Equal(t, wantKnown, known, "%v, %v", p, o)
			if known {
				require.Equal(t, wantNext, next, "%v, %v", p, o)
			}
			require.Empty(t, s.PairDiffers(0, pair.NextOffset(), pairs))
			if o.Kind == Transaction {
				require.NotEmpty(t, before.PairDiffers(0, pair.NextOffset(), pairs))
			}
			require.Empty(t, s.Differs(part.FirstOffset(), part.NextOffset(), records), "%v, %v", p, o)
			if o.Kind == Append {
				require.NotEmpty(t, before.Differs(part.FirstOffset(), part.NextOffset(), records))
				records[len(records)-1].Value = append([]byte("x"), records[len(records)-1].Value...)
				require.NotEmpty(t, s.Differs(part.FirstOffset(), part.NextOffset(), records))
			}
		}
		require.NoError(t, m.Close())
		require.Equal(t, s, p.State(0, Done{p.Ops}))
	}
}

// A second round continues where the first one was cut, with other records.
func TestRoundsDiffer(t *testing.T) {
	p := NewPlan(7, 10)
	s := p.State(1, Done{5})
	first := p.Op(1, 5, s)
	second := p.Next().Op(1, 0, s)
	require.NotEqual(t, first.id, second.id)
	require.Equal(t, s.After(second), p.State(1, Done{5, 1}))

	r := first.id.record(0)
	index, ok := p.Find(1, r)
	require.True(t, ok)
	require.Equal(t, 5, index)
	index, ok = p.Next().Find(1, r)
	require.True(t, ok)
	require.Equal(t, -1, index, "of an earlier round")
	_, ok = p.Find(2, r)
	require.False(t, ok)
	r.Value = append(r.Value, 0)
	_, ok = p.Find(1, r)
	require.False(t, ok)
}

// A lazy round appends and does nothing else, whatever others do, and is replayed as such later.
func TestLazyRounds(t *testing.T) {
	p := NewPlan(1, 200)
	p = p.Next().Lazily()
	require.Equal(t, wal.FsyncPeriodic, p.Mode())
	var s State
	for i := range p.Ops {
		o := p.Op(0, i, s)
		require.Equal(t, Append, o.Kind)
		s = s.After(o)
	}
	next := p.Next()
	require.Equal(t, NewPlan(1, 200).Mode(), next.Mode())
	require.Equal(t, s, next.State(0, Done{0, p.Ops}))
	require.NotEqual(t, s, NewPlan(1, 200).Next().State(0, Done{0, p.Ops}))
}
