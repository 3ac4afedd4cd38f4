package writer

import (
	"testing"

	"github.com/stretchr/testify/require"

	wal "github.com/chronik-go/wal/core"
	"github.com/chronik-go/wal/core/backend/sim"

	"github.com/chronik-go/wal/conformance/crash"
	"github.com/chronik-go/wal/conformance/internal/script"
)

// A log that holds one half of a transaction, whichever, is found out; one that holds all of it
// is as it should be.
func TestCheckFindsHalfATransaction(t *testing.T) {
	plan := script.NewPlan(0, 60)
	for !plan.OneLog() {
		plan = script.NewPlan(plan.Seed+1, 60)
	}
	plan.Producers = 1
	half := 0
	for plan.Op(0, half, plan.State(0, script.Done{half})).Kind != script.Transaction {
		half++
	}
	for what, only := range map[string]string{"part": script.Topic, "pair": script.PairTopic, "all": ""} {
		disk := sim.New(sim.Options{NoTrace: true})
		m, err := wal.Open("/log", append(plan.Options(), wal.WithBackend(disk))...)
		require.NoError(t, err)
		part, err := m.Partition(script.Topic, 0)
		require.NoError(t, err)
		p := &producer{job: &Job{Plan: plan, Window: 1}, m: m, part: part, page: discard(t)}
		s := script.State{}
		for i := range half {
			o := plan.Op(0, i, s)
			require.NoError(t, p.do(t.Context(), o))
			s = s.After(o)
		}
		o := plan.Op(0, half, s)
		switch only {
		case script.Topic:
			_, err = m.Append(t.Context(), only, 0, o.Records()...)
		case script.PairTopic:
			_, err = m.Append(t.Context(), only, 0, o.PairRecord())
		default:
			err = p.do(t.Context(), o)
		}
		require.NoError(t, err, what)
		require.NoError(t, m.Close(), what)
		found, err := Check(t.Context(), disk, Job{Dir: "/log", Plan: plan, Done: make([]script.Done, 1)},
			[]Progress{{Submitted: half + 1, Acked: half}})
		if only == "" {
			require.NoError(t, err)
			require.Equal(t, []script.Done{{half + 1}}, found.Done)
			continue
		}
		var v *crash.Violation
		require.ErrorAs(t, err, &v, what)
		require.Equal(t, crash.AtomicTransaction, v.Check, what)
	}
}

// discard is a page that nobody looks at.
func discard(t *testing.T) *Page {
	p, err := CreatePage()
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, p.Close()) })
	return p
}
