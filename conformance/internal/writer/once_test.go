package writer

import (
	"testing"

	"github.com/stretchr/testify/require"

	wal "github.com/chronik-go/wal/core"
	"github.com/chronik-go/wal/core/backend/sim"

	"github.com/chronik-go/wal/conformance/crash"
	"github.com/chronik-go/wal/conformance/internal/script"
)

// A log that holds all records and knows another number of their producer, or none, is found out by who looks
// at it and by who writes on; so is one that takes what is new for a repetition.
func TestNumbersAreChecked(t *testing.T) {
	plan, ops, s := planWithOnce(t)
	for what, appendIt := range map[string]func(p *producer, o script.Op) error{
		"as it should be":    func(p *producer, o script.Op) error { return p.do(t.Context(), o) },
		"without numbers":    func(p *producer, o script.Op) error { return p.plain(t, o) },
		"with other numbers": func(p *producer, o script.Op) error { o.Sequence += 100; return p.do(t.Context(), o) },
	} {
		disk := sim.New(sim.Options{NoTrace: true})
		page, job := discard(t), Job{Dir: "/log", Plan: plan, Done: make([]script.Done, 1), Window: 1, Unread: true}
		m, p := open(t, disk, page, job)
		for _, o := range ops[:len(ops)-1] {
			require.NoError(t, p.do(t.Context(), o), what)
		}
		require.NoError(t, appendIt(p, ops[len(ops)-1]), what)
		require.NoError(t, p.drain(t.Context(), 0), what)
		require.NoError(t, m.Close(), what)

		_, err := Check(t.Context(), disk, job, []Progress{{Submitted: len(ops), Acked: len(ops)}})
		m, p = open(t, disk, page, job)
		again, twice := p.repeat(t.Context(), s), p.once(t.Context(), ops[len(ops)-1])
		require.NoError(t, m.Close(), what)
		if what == "as it should be" {
			require.NoError(t, err)
			require.NoError(t, again)
			requireViolation(t, crash.AppendedOnce, twice, what)
			continue
		}
		requireViolation(t, crash.AppendedOnce, err, what)
		if what == "without numbers" {
			requireViolation(t, crash.AppendedOnce, again, what)
		}
	}
}

// planWithOnce returns a plan of one producer with its operations up to the first that is numbered.
func planWithOnce(t *testing.T) (script.Plan, []script.Op, script.State) {
	plan, s := script.NewPlan(3, 60), script.State{}
	plan.Producers = 1
	var ops []script.Op
	for i := range plan.Ops {
		o := plan.Op(0, i, s)
		s, ops = s.After(o), append(ops, o)
		if o.Kind == script.Once {
			return plan, ops, s
		}
	}
	require.Fail(t, "no operation is numbered")
	return plan, nil, s
}

func open(t *testing.T, disk *sim.Disk, page *Page, job Job) (*wal.Manager, *producer) {
	m, err := wal.Open(job.Dir, append(job.Plan.Options(), wal.WithBackend(disk))...)
	require.NoError(t, err)
	part, err := m.Partition(script.Topic, 0)
	require.NoError(t, err)
	return m, &producer{job: &job, m: m, part: part, page: page}
}

// plain appends without numbers.
func (p *producer) plain(t *testing.T, o script.Op) error {
	_, err := p.m.Append(t.Context(), script.Topic, 0, o.Records()...)
	return err
}

func requireViolation(t *testing.T, want crash.Check, err error, what string) {
	t.Helper()
	var v *crash.Violation
	require.ErrorAs(t, err, &v, what)
	require.Equal(t, want, v.Check, "%s: %v", what, v)
}
