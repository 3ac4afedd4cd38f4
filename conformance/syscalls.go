package conformance

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"

	"github.com/stretchr/testify/require"

	"github.com/chronik-go/wal/conformance/internal/writer"
)

// injections are what strace makes system calls return: the calls as a regular expression,
// because their names differ between machines, with the error. Reads are not among them:
// they would hit the start of the program.
var injections = []struct{ calls, error string }{
	{"/^pwrite", "EIO"}, {"/^pwrite", "ENOSPC"}, {"/^pwrite", "EINTR"}, {"/^pwrite", "EAGAIN"},
	{"/^(fdatasync|fsync)$", "EIO"}, {"/^(fdatasync|fsync)$", "ENOSPC"}, {"/^(fdatasync|fsync)$", "EINTR"},
	{"fallocate", "EIO"}, {"fallocate", "ENOSPC"}, {"fallocate", "EINTR"}, {"fallocate", "EOPNOTSUPP"},
	{"ftruncate", "EIO"}, {"ftruncate", "EINTR"},
	{"/^rename", "EIO"},
	{"/^unlink", "EIO"},
	{"fadvise64", "EIO"},
}

// syscallErrors makes system calls of writers fail. Which of a call's occurrences fail is left
// to strace, which counts by threads: the seed decides the rest.
func syscallErrors(t *T) {
	strace, err := exec.LookPath("strace")
	if err == nil {
		// It may not be allowed to trace.
		err = exec.Command(strace, "-f", "-o", os.DevNull, "true").Run()
	}
	if err != nil {
		t.missing("strace", err)
	}
	c := newBeside(t, "Faults/SyscallErrors")
	all := uint64(len(injections))
	for seed := *flagSeed; seed < *flagSeed+all*uint64(max(1, *flagStates/1000)); seed++ {
		in, r := injections[seed%all], rand.New(rand.NewPCG(seed, 41)) // the seed alone says which
		inject := fmt.Sprintf("inject=%s:error=%s:when=%d", in.calls, in.error, 1+r.IntN(10))
		if r.IntN(3) > 0 {
			inject += fmt.Sprintf("+%d", 2+r.IntN(20))
		}
		c.wrap = []string{strace, "-f", "--seccomp-bpf", "-q", "-o", os.DevNull, "-e", "trace=" + in.calls, "-e", inject, "--"}
		if err := c.besides(t.Context(), seed, nil); err != nil {
			require.NoError(t, c.repeat(fmt.Errorf("%w\nunder strace -e %s", err, inject), seed))
		}
	}
	t.Logf("%d runs, %d distinct outcomes", c.states, len(c.outcomes))
}

// newBeside makes cycles for checks in which nothing crashes.
func newBeside(t *T, name string) *cycles {
	c, err := newCycles(t.suite, name, t.TempDir())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, c.close()) })
	return c
}

// besides lets a writer work under adverse conditions, checks what it leaves, and lets
// another one go on without them.
func (c *cycles) besides(ctx context.Context, seed uint64, limits *limits) error {
	r := c.reseed(seed)
	job := c.job(r, seed)
	defer func() { _ = os.RemoveAll(job.Dir) }() // the check's directory goes with all that is left
	c.mayFail, c.limits = true, limits
	job.Close = r.IntN(2) == 0
	found, err := c.undisturbed(ctx, job)
	if err != nil {
		return err
	}
	c.mayFail, c.limits, c.wrap = false, nil, nil
	job.Done, job.Plan, job.Close = found.Done, job.Plan.Next(), true
	if found, err = c.undisturbed(ctx, job); err != nil {
		return fmt.Errorf("without faults again: %w", err)
	}
	for i, d := range found.Done {
		if d[1] != job.Plan.Ops {
			return fmt.Errorf("partition %d holds %d of %d operations", i, d[1], job.Plan.Ops)
		}
	}
	return c.verify(ctx, job)
}

// undisturbed runs a writer to its end and checks the log.
func (c *cycles) undisturbed(ctx context.Context, job writer.Job) (writer.Found, error) {
	if err := c.page.Reset(); err != nil {
		return writer.Found{}, err
	}
	w, err := c.start(ctx, job)
	if err != nil {
		return writer.Found{}, err
	}
	if err := c.ending(<-w.ended, w.stderr, c.mayFail); err != nil {
		return writer.Found{}, err
	}
	progress, err := c.page.Sample(job.Plan.Producers)
	if err != nil {
		return writer.Found{}, err
	}
	found, err := c.check(ctx, job, progress)
	if err == nil {
		c.count(found)
	}
	return found, err
}

// limits are what the kernel grants a writer; 0: as usual.
type limits struct {
	// FileSize is how large a file may become, bytes. Files how many may be open.
	FileSize, Files uint64
}

// fileLimit runs writers whose files may not grow, or of which only few may be open.
func fileLimit(t *T) {
	if err := (&limits{}).set(); err != nil {
		t.missing("kill", err)
	}
	c := newBeside(t, "Faults/FileLimit")
	for n := range uint64(max(1, *flagStates/50)) {
		seed := *flagSeed + n
		r := rand.New(rand.NewPCG(seed, 43))
		l := limits{FileSize: 1 + r.Uint64N(300<<10)}
		if seed%2 == 1 {
			l = limits{Files: 8 + r.Uint64N(20)}
		}
		if err := c.besides(t.Context(), seed, &l); err != nil {
			require.NoError(t, c.repeat(fmt.Errorf("%w\nwith limits %+v", err, l), seed))
		}
	}
	t.Logf("%d runs, %d distinct outcomes", c.states, len(c.outcomes))
}
