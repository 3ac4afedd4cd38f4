package crash

import (
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/chronik-go/wal/core/backend"
	"github.com/chronik-go/wal/core/backend/sim"
)

// Config says how much to run.
type Config struct {
	// Seed is that of the first workload; the others count on from it.
	Seed uint64
	// States is how many distinct crash states to reach; the run goes on until then.
	States int
	// Workloads bounds the number of workloads; 0 does not.
	Workloads int
	// Violations is how many workloads may find one before the run stops; 0 is 1.
	Violations int
	// Parallel is how many workloads run at once; 0 is one for each processor.
	Parallel int
	// Wrap makes the backend that the engine gets of a disk: nil is the disk itself.
	Wrap func(*sim.Disk) backend.Backend
	// Progress, if set, is called after each workload.
	Progress func(Report)
}

// Report is what a run did and found.
type Report struct {
	Workloads int
	// Raw counts crash images, States those of distinct content, Recovered the distinct
	// outcomes of recovery among them.
	Raw, States, Recovered int
	// Recoveries counts opens, Continued the images that were written to and crashed
	// again.
	Recoveries, Continued int
	// Violations holds one for each workload that found one.
	Violations []*Violation
}

func (r Report) String() string {
	return fmt.Sprintf("%d workloads, %d crash images, %d distinct states, %d distinct outcomes, %d recoveries, %d continued",
		r.Workloads, r.Raw, r.States, r.Recovered, r.Recoveries, r.Continued)
}

// counts are the numbers of one workload.
type counts struct {
	raw, recoveries, continued int
	states, outcomes           map[uint64]struct{}
}

func (c *counts) add(hash uint64, r *recovered) {
	c.states[hash] = struct{}{}
	c.outcomes[r.digest()] = struct{}{}
}

// Run runs workloads and explores their crashes until it has seen enough states, or has
// found a violation.
func Run(cfg Config) Report {
	if cfg.Parallel == 0 {
		cfg.Parallel = runtime.GOMAXPROCS(0)
	}
	if cfg.Wrap == nil {
		cfg.Wrap = func(d *sim.Disk) backend.Backend { return d }
	}
	var total Report
	var mu sync.Mutex
	var next atomic.Uint64
	var wg sync.WaitGroup
	for range cfg.Parallel {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for {
				i := next.Add(1) - 1
				mu.Lock()
				done := total.States >= cfg.States || cfg.Workloads > 0 && i >= uint64(cfg.Workloads) || len(total.Violations) >= max(1, cfg.Violations)
				mu.Unlock()
				if done {
					return
				}
				c, found := runOne(cfg.Seed+i, cfg.Wrap)
				mu.Lock()
				total.take(c, found)
				if cfg.Progress != nil {
					cfg.Progress(total)
				}
				mu.Unlock()
			}
		}()
	}
	wg.Wait()
	return total
}

func (r *Report) take(c *counts, found *Violation) {
	r.Workloads++
	r.Raw += c.raw
	r.States += len(c.states)
	r.Recovered += len(c.outcomes)
	r.Recoveries += c.recoveries
	r.Continued += c.continued
	if found != nil {
		r.Violations = append(r.Violations, found)
	}
}

// runOne runs the workload of a seed and explores it.
func runOne(seed uint64, wrap func(*sim.Disk) backend.Backend) (*counts, *Violation) {
	p := newPlan(seed)
	where := fmt.Sprintf("layer L0 simulated, seed %d (%s)\n\trepeat with: go test ./crash -run TestCrashStates -crash.seed=%d -crash.workloads=1", seed, p, seed)
	c := &counts{states: map[uint64]struct{}{}, outcomes: map[uint64]struct{}{}}
	d := sim.New(p.disk)
	w := newWorkload(p, d, wrap(d), &known{ops: map[uint64]*op{}}, nil)
	h, found := w.run()
	if len(found) > 0 {
		return c, found[0].in(where)
	}
	if v := newExplorer(h, c, wrap, 0).run(); v != nil {
		return c, v.in(where)
	}
	return c, nil
}
