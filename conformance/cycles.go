package conformance

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	wal "github.com/chronik-go/wal/core"

	"github.com/chronik-go/wal/conformance/crash"
	"github.com/chronik-go/wal/conformance/internal/script"
	"github.com/chronik-go/wal/conformance/internal/writer"
)

// cycles are rounds of writing, a crash, and a check of what is left, on one log after the
// other. A layer says what a crash is.
type cycles struct {
	s *suite
	// name is that of the check, with its group, to repeat a failure.
	name string
	// root is the directory below which the logs lie.
	root string
	// page is in memory, whatever the layer does to the disk.
	page *writer.Page
	// crash ends the writer as the layer does. sample notes how far the writer is: what is
	// acknowledged by then must be there afterwards.
	crash func(cmd *exec.Cmd, sample func() error) error
	// mayFail: the layer makes the log fail, so that a writer may end with one of its errors.
	// crashFails: it does so by its crash.
	mayFail, crashFails bool
	// mayLose: the disk lies, so that what is acknowledged may be lost.
	mayLose bool
	// soon: the next writer crashes as soon as it is started, so that what was there before is
	// as nobody has touched it since.
	soon bool
	// unread: nobody reads while the writer writes.
	unread bool
	// wrap is the command that runs writers, with its arguments; nil: they run by themselves.
	wrap []string
	// limits are those of writers, nil for none.
	limits *limits
	// prepare, if there is one, is called before each round.
	prepare func(r *rand.Rand, job writer.Job) error
	// random draws the crashes of a log. It begins anew with each log's seed, so that a log alone
	// comes to the same as after all those before it.
	random *rand.Rand

	ops      int
	states   int
	outcomes map[uint64]bool
}

func newCycles(s *suite, name, root string) (*cycles, error) {
	page, err := writer.CreatePage()
	if err != nil {
		return nil, err
	}
	return &cycles{s: s, name: name, root: root, page: page, ops: 60, outcomes: map[uint64]bool{}}, nil
}

func (c *cycles) close() error { return c.page.Close() }

// run crashes the logs of one seed after the other until so many states were checked. It ends
// with the first violation, whose error says how to come to it again.
func (c *cycles) run(ctx context.Context, seed uint64, states int) error {
	for c.states < states {
		if err := c.log(ctx, seed); err != nil {
			return c.repeat(err, seed)
		}
		seed++
	}
	return nil
}

// repeat adds to an error how to come to it again.
func (c *cycles) repeat(err error, seed uint64) error {
	return &repeatable{error: err, how: fmt.Sprintf(
		"layer %s, seed %d; repeat with: %s", c.name, seed, c.s.repeat(c.name, seed))}
}

// repeatable is what a layer found, with how to come to it again.
type repeatable struct {
	error
	how string
}

func (r *repeatable) Error() string { return r.error.Error() + "\n" + r.how }
func (r *repeatable) Unwrap() error { return r.error }

// log writes to a log, crashes the writer, checks, and goes on with the same log; in the end
// it lets the writer close it.
func (c *cycles) log(ctx context.Context, seed uint64) error {
	r := c.reseed(seed)
	job := c.job(r, seed)
	defer func() { _ = os.RemoveAll(job.Dir) }() // the layer's root goes with all that is left
	rounds := 1 + r.IntN(3)
	for n := range rounds + 1 {
		job.Close = n == rounds
		found, err := c.round(ctx, r, job)
		if err != nil {
			return fmt.Errorf("round %d: %w", n, err)
		}
		c.count(found)
		job.Done, job.Plan = found.Done, job.Plan.Next()
	}
	return c.verify(ctx, job)
}

// verify checks all of a closed log.
func (c *cycles) verify(ctx context.Context, job writer.Job) error {
	b, err := c.s.factory()
	if err != nil {
		return err
	}
	report, err := wal.Verify(ctx, job.Dir, wal.WithBackend(b), script.Keys())
	if err == nil && (!report.OK || report.UncheckedBatches > 0) {
		err = violation(crash.TornIsNotDamage, "verify: %v, %d batches unchecked", report.Damage, report.UncheckedBatches)
	}
	return err
}

// reseed begins what is random about a log. What it returns draws the log itself: how often a
// crash draws may depend on what the kernel did.
func (c *cycles) reseed(seed uint64) *rand.Rand {
	c.random, c.soon = rand.New(rand.NewPCG(seed, 5)), false
	return rand.New(rand.NewPCG(seed, 99))
}

// job is the first round of a seed's log.
func (c *cycles) job(r *rand.Rand, seed uint64) writer.Job {
	plan := script.NewPlan(seed, c.ops)
	return writer.Job{
		Dir: filepath.Join(c.root, fmt.Sprintf("log-%d", seed)), Plan: plan,
		Done: make([]script.Done, plan.Producers), Window: 1 + r.IntN(8), Unread: c.unread,
	}
}

// count counts a state that was checked.
func (c *cycles) count(found writer.Found) {
	c.states++
	c.outcomes[found.State] = true
}

// round runs one writer to its crash, or to its end, and checks the log.
func (c *cycles) round(ctx context.Context, r *rand.Rand, job writer.Job) (writer.Found, error) {
	if err := c.page.Reset(); err != nil {
		return writer.Found{}, err
	}
	if c.prepare != nil {
		if err := c.prepare(r, job); err != nil {
			return writer.Found{}, err
		}
	}
	w, err := c.start(ctx, job)
	if err != nil {
		return writer.Found{}, err
	}
	var before []writer.Progress
	sample := func() (err error) {
		before, err = c.page.Sample(job.Plan.Producers)
		return err
	}
	if !job.Close {
		if err := c.moment(r, job, w.ended); err != nil {
			return writer.Found{}, err
		}
		select {
		case err := <-w.ended:
			if err := c.ending(err, w.stderr, c.mayFail); err != nil {
				return writer.Found{}, err
			}
			w.ended <- nil
		default:
		}
		if err := c.crash(w.cmd, sample); err != nil {
			return writer.Found{}, fmt.Errorf("crash: %w", err)
		}
	}
	if err := c.ending(<-w.ended, w.stderr, c.mayFail || !job.Close && c.crashFails); err != nil {
		return writer.Found{}, err
	}
	end, err := c.page.Sample(job.Plan.Producers)
	if err != nil {
		return writer.Found{}, err
	}
	if before == nil {
		before = end
	}
	if c.mayLose {
		before = make([]writer.Progress, len(end))
	}
	return c.check(ctx, job, writer.Bounds(before, end))
}

// running is a writer's process.
type running struct {
	cmd    *exec.Cmd
	stderr *strings.Builder
	ended  chan error
}

// start starts a writer.
func (c *cycles) start(ctx context.Context, job writer.Job) (*running, error) {
	cmd, stderr, err := c.s.process(ctx, task{Write: &writeTask{Job: job, Page: c.page.Path(), Limits: c.limits}})
	if err != nil {
		return nil, err
	}
	if c.wrap != nil {
		cmd.Args = append(append(slices.Clone(c.wrap), cmd.Path), cmd.Args[1:]...)
		cmd.Path = c.wrap[0]
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	w := &running{cmd: cmd, stderr: stderr, ended: make(chan error, 1)}
	go func() { w.ended <- cmd.Wait() }()
	return w, nil
}

// moment waits until the writer is to crash: after some number of operations, or after some
// time, which may be while it recovers.
func (c *cycles) moment(r *rand.Rand, job writer.Job, ended chan error) error {
	if c.soon {
		c.soon = false
		return nil
	}
	target := r.IntN(job.Plan.Producers*job.Plan.Ops + 1)
	limit := time.Minute
	if r.IntN(4) == 0 {
		target, limit = math.MaxInt, time.Duration(r.IntN(30_000))*time.Microsecond
	}
	timeout := time.NewTimer(limit)
	defer timeout.Stop()
	look := time.NewTicker(100 * time.Microsecond)
	defer look.Stop()
	for {
		progress, err := c.page.Sample(job.Plan.Producers)
		if err != nil {
			return err
		}
		sum := 0
		for _, p := range progress {
			sum += p.Submitted
		}
		if sum >= target {
			return nil
		}
		select {
		case err := <-ended:
			ended <- err
			return nil
		case <-timeout.C:
			return nil
		case <-look.C:
		}
	}
}

// ending judges how the writer's process ended. With mayFail it may have been an error of the
// log.
func (c *cycles) ending(err error, stderr *strings.Builder, mayFail bool) error {
	var exit *exec.ExitError
	switch {
	case err == nil:
		return nil
	case !errors.As(err, &exit):
		return err
	case exit.ExitCode() < 0 && strings.Contains(stderr.String(), "panic"), exit.ExitCode() == 2 && strings.Contains(stderr.String(), "goroutine "):
		return violation(crash.Recovers, "the writer panicked: %s", stderr)
	case exit.ExitCode() < 0: // killed
		return nil
	case exit.ExitCode() == exitFound:
		return fmt.Errorf("the writer found: %s", stderr)
	case exit.ExitCode() == exitRefused && mayFail:
		return nil
	}
	return violation(crash.Recovers, "the writer failed: %v: %s", exit, stderr)
}

// check checks the log with the backend under test and with each other one.
func (c *cycles) check(ctx context.Context, job writer.Job, progress []writer.Progress) (writer.Found, error) {
	var first writer.Found
	for i, f := range append([]Factory{c.s.factory}, c.s.others...) {
		b, err := f()
		if err != nil {
			return first, err
		}
		found, err := writer.Check(ctx, b, job, progress)
		switch {
		case err != nil:
			return first, fmt.Errorf("with backend %s: %w", b.Name(), err)
		case i == 0:
			first = found
		case found.State != first.State:
			return first, violation(crash.SameEverywhere, "backend %s recovers other records", b.Name())
		}
	}
	return first, nil
}

func violation(c crash.Check, format string, args ...any) error {
	return &crash.Violation{Check: c, Detail: fmt.Sprintf(format, args...)}
}
