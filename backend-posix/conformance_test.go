package posix

import (
	"testing"

	"github.com/chronik-go/wal/conformance"
	"github.com/chronik-go/wal/core/backend"
)

func TestConformance(t *testing.T) {
	for name, mode := range map[string]DirectMode{"direct": DirectOn, "buffered": DirectOff} {
		t.Run(name, func(t *testing.T) {
			conformance.Run(t, func() (backend.Backend, error) { return New(WithDirect(mode)), nil })
		})
	}
}

func BenchmarkConformance(b *testing.B) {
	for name, mode := range map[string]DirectMode{"direct": DirectOn, "buffered": DirectOff} {
		b.Run(name, func(b *testing.B) {
			conformance.Benchmark(b, func() (backend.Backend, error) { return New(WithDirect(mode)), nil })
		})
	}
}
