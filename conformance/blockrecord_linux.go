//go:build !386 && !arm

package conformance

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"

	"github.com/chronik-go/wal/conformance/internal/blockdisk"
	"github.com/chronik-go/wal/conformance/internal/writer"
)

// recorded is what writers did to a disk.
type recorded struct {
	// jobs are the writers', one a phase.
	jobs   []writer.Job
	events int
	points blockdisk.Points
}

// crash draws a state.
func (r *recorded) crash(random *rand.Rand) blockdisk.Crash {
	c := blockdisk.Crash{
		Point: random.IntN(r.events + 1),
		Mode:  blockdisk.Mode(random.IntN(int(blockdisk.Modes))),
		Seed:  random.Uint64(),
	}
	switch random.IntN(4) {
	case 0, 1:
		if f := r.points.Flushes; len(f) > 0 {
			c.Point = f[random.IntN(len(f))]
		}
	case 2:
		p := r.points.Phases
		c.Point = min(p[random.IntN(len(p))]+random.IntN(15), r.events)
	}
	return c
}

// atOnce moves a crash to where a recovery after a kill has only begun: soon it seals what it found,
// and makes it durable by that.
func (r *recorded) atOnce(c blockdisk.Crash, random *rand.Rand) blockdisk.Crash {
	c.Point = min(r.points.Phases[len(r.points.Phases)-1]+random.IntN(3), r.events)
	return c
}

// record lets writers work one after the other and unmounts the file system. All but the
// last are killed at some moment, and what is there is checked at once: the log has shown it,
// so no crash from then on may take it. That is where a recovery fails which does not sync
// what it serves. The one that is killed is lazy, mostly: then there is something that nobody has
// synced. One that syncs is in a sync nearly all the time, which the kernel ends, whoever is
// killed, and leaves hardly anything.
func (b *diskLayer) record(ctx context.Context, job writer.Job) (*recorded, error) {
	if err := b.disk.Call("Server.Start", job.Plan.Producers, &nothing); err != nil {
		return nil, err
	}
	r := &recorded{}
	if !b.o.faults && b.random.IntN(3) == 0 {
		if b.random.IntN(4) > 0 {
			job.Plan = job.Plan.Lazily()
		}
		r.jobs = append(r.jobs, job)
		found, err := b.killed(ctx, job)
		if err != nil {
			return nil, fmt.Errorf("after the writer was killed: %w", err)
		}
		if err := b.disk.Call("Server.Next", nothing, &nothing); err != nil {
			return nil, err
		}
		job.Plan, job.Done = job.Plan.Next(), found.Done
	}
	if b.o.faults {
		if err := b.disk.Call("Server.SetFault", drawFault(b.random), &nothing); err != nil {
			return nil, err
		}
	}
	job.Close = b.random.IntN(4) == 0
	r.jobs = append(r.jobs, job)
	w, err := b.start(ctx, job)
	if err != nil {
		return nil, err
	}
	if err := b.ending(<-w.ended, w.stderr, b.mayFail); err != nil {
		return nil, err
	}
	err = errors.Join(
		b.disk.Call("Server.Stop", nothing, &r.events),
		b.disk.Call("Server.Points", nothing, &r.points),
		b.fs.Unmount(),
	)
	return r, err
}

// killed runs a writer, kills it, and checks what it leaves in the kernel.
func (b *diskLayer) killed(ctx context.Context, job writer.Job) (writer.Found, error) {
	w, err := b.start(ctx, job)
	if err != nil {
		return writer.Found{}, err
	}
	if err := errors.Join(b.moment(b.random, job, w.ended), kill(w.cmd), b.ending(<-w.ended, w.stderr, b.mayFail)); err != nil {
		return writer.Found{}, err
	}
	progress, err := b.page.Sample(job.Plan.Producers)
	if err != nil {
		return writer.Found{}, err
	}
	return b.check(ctx, job, progress)
}

// drawFault draws what the disk fails in a round: some writes or flushes, or all from some
// moment on.
func drawFault(r *rand.Rand) blockdisk.Fault {
	f := blockdisk.Fault{Count: 1 + r.IntN(3)}
	if r.IntN(4) == 0 {
		f.Count = 1 << 30
	}
	if r.IntN(2) == 0 {
		f.Write = 1 + r.IntN(150)
	} else {
		f.Flush = 1 + r.IntN(100)
	}
	return f
}
