//go:build !386 && !arm

package conformance

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/chronik-go/wal/conformance/crash"
	"github.com/chronik-go/wal/conformance/internal/faultfs"
	"github.com/chronik-go/wal/conformance/internal/writer"
)

func init() {
	for _, f := range faults {
		if f.scene {
			continue
		}
		layers[f.name] = func(ctx context.Context, s *suite, k *hostTask, r *report) error {
			return onFaultFS(ctx, s, "Faults/"+f.name, func(x *faulty) error {
				x.f = f
				x.cycles.crash, x.crashFails, x.prepare = x.powerFailure, true, x.setFaults
				return x.run(ctx, k, r)
			})
		}
	}
}

// faulty is the layer that runs writers on a file system that fails.
type faulty struct {
	*cycles
	f    fault
	fs   *server
	hits int
}

// onFaultFS mounts an empty file system and runs f on it.
func onFaultFS(ctx context.Context, s *suite, name string, f func(x *faulty) error) (err error) {
	dir, err := os.MkdirTemp(*flagDir, "fuse-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	served := filepath.Join(dir, "fs")
	if err := os.Mkdir(served, 0o700); err != nil {
		return err
	}
	fs, err := s.startServer(ctx, serveTask{Kind: "faults", Dir: served})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, fs.Close()) }()
	c, err := newCycles(s, name, fs.dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.close()) }()
	// Measured on Linux 6.18, with nothing but pwrite and pread: on a FUSE file system a read may
	// show zeros where a write was done before it began, in a page that was read while it was
	// written. It came up five times in 5 to 134 files, and on ext4 not once in 1,200.
	c.unread = true
	return f(&faulty{cycles: c, fs: fs})
}

// run crashes logs until so many states were checked, and the fault has shown itself.
func (x *faulty) run(ctx context.Context, k *hostTask, r *report) error {
	logs := x.cycles.run
	if x.f.lies {
		logs = x.lies
	}
	seed := k.Seed
	for states := k.States; ; states++ {
		if err := logs(ctx, seed, states); err != nil {
			r.Violations = append(r.Violations, err.Error())
		}
		r.States, r.Distinct = x.states, len(x.outcomes)
		switch {
		case len(r.Violations) > 0, x.f.rules == nil, x.hits > 0:
			return nil
		case states > k.States+50:
			return fmt.Errorf("in %d states the fault never came", x.states)
		}
		seed, states = seed+uint64(x.states), x.states
	}
}

// setFaults decides what fails in a round. In the last one nothing does: the log has to go on
// from all that was before.
func (x *faulty) setFaults(r *rand.Rand, job writer.Job) error {
	f := faultfs.Faults{Seed: r.Uint64()}
	x.mayFail = x.f.rules != nil && !job.Close
	if x.mayFail {
		f.Rules = x.f.rules(r)
	}
	return x.set(f)
}

func (x *faulty) set(f faultfs.Faults) error {
	hits := 0
	err := x.fs.Call("Server.SetFaults", f, &hits)
	x.hits += hits
	return err
}

// powerFailure crashes the file system under a writer and mounts what is left. Sometimes only
// the writer dies: what the next one then recovers was never synced by anybody, and a crash
// comes only after it was served.
func (x *faulty) powerFailure(cmd *exec.Cmd, sample func() error) error {
	if !x.f.lies && x.random.IntN(3) == 0 {
		x.soon = x.random.IntN(2) == 0
		return errors.Join(x.set(faultfs.Faults{}), kill(cmd))
	}
	if err := sample(); err != nil {
		return err
	}
	c := faultfs.Crash{Loss: faultfs.Loss(x.random.IntN(int(faultfs.Losses))), Seed: x.random.Uint64()}
	if x.f.losses != nil {
		c.Loss = x.f.losses[x.random.IntN(len(x.f.losses))]
	}
	return x.lose(c, func() { _ = cmd.Process.Kill() }) // it may have ended with an error already
}

// lose crashes the file system, ends what uses it, and mounts what is left.
func (x *faulty) lose(c faultfs.Crash, end func()) error {
	hits := 0
	if err := x.fs.Call("Server.Crash", c, &hits); err != nil {
		return err
	}
	x.hits += hits
	end()
	return x.fs.Call("Server.Remount", faultfs.No{}, &faultfs.No{})
}

// lies crashes logs on a disk that lied. Each is written to in one round: what a second one
// builds on what is left is none of this check's.
func (x *faulty) lies(ctx context.Context, seed uint64, states int) error {
	x.mayLose = true
	for ; x.states < states; seed++ {
		r := x.reseed(seed)
		job := x.job(r, seed)
		found, err := x.round(ctx, r, job)
		var v *crash.Violation
		switch {
		case errors.As(err, &v) && v.Check == crash.TornIsNotDamage: // it is damage, and reported
			x.states++
			x.outcomes[0] = true
		case err != nil:
			return x.repeat(err, seed)
		default:
			x.count(found)
		}
		_ = os.RemoveAll(job.Dir) // it goes with the file system
	}
	return nil
}
