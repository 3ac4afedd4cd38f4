package conformance

import (
	"testing"

	"github.com/chronik-go/wal/core/backend"
	"github.com/chronik-go/wal/core/backend/sim"
)

// The simulated disk keeps the contract: what is proved on it holds for other backends.
func TestSimKeepsTheContract(t *testing.T) {
	for name, o := range map[string]sim.Options{
		"a queue of one":    {},
		"a deep queue":      {Depth: 8, Seed: *flagSeed, Alignment: 4096},
		"without its trace": {Depth: 3, Seed: *flagSeed, NoTrace: true},
	} {
		t.Run(name, func(t *testing.T) {
			const own = "it has crashes and faults of its own: see package crash"
			opts := []Option{Skip(groupCrash, own), Skip(groupFaults, own)}
			if !o.NoTrace {
				opts = append(opts, Skip("Alloc", "a trace takes memory"), Skip("Log", "a trace takes memory"))
			}
			Run(t, func() (backend.Backend, error) { return sim.New(o), nil }, opts...)
		})
	}
}
