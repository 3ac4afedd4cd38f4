package crash

import (
	"flag"
	"os"
	"runtime/debug"
	"testing"
	"time"
)

var (
	flagSeed      = flag.Uint64("crash.seed", 1, "seed of the first workload")
	flagStates    = flag.Int("crash.states", 20_000, "distinct crash states to reach")
	flagWorkloads = flag.Int("crash.workloads", 0, "most workloads to run; 0 is without limit")
	flagFound     = flag.Int("crash.violations", 1, "workloads that may find a violation before the run stops")
	flagVerbose   = flag.Bool("crash.verbose", false, "tell with a violation what was submitted")
	flagParallel  = flag.Int("crash.parallel", 0, "workloads at once; 0 is one for each processor")
)

func TestMain(m *testing.M) {
	flag.Parse()
	Verbose = *flagVerbose
	debug.SetGCPercent(400) // little is alive at any time, and much is made
	os.Exit(m.Run())
}

// TestCrashStates crashes concurrent workloads at every operation and checks what
// recovery makes of it.
func TestCrashStates(t *testing.T) {
	start := time.Now()
	r := Run(Config{Seed: *flagSeed, States: *flagStates, Workloads: *flagWorkloads, Parallel: *flagParallel, Violations: *flagFound})
	for _, v := range r.Violations {
		t.Error(v)
	}
	t.Logf("%v in %v", r, time.Since(start).Round(time.Millisecond))
}
