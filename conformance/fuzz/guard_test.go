package fuzz

import (
	"context"
	"errors"
	"runtime/debug"
	"runtime/metrics"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	wal "github.com/chronik-go/wal/core"
	"github.com/chronik-go/wal/core/format"
)

// TestMain fails if any test of the package left a goroutine behind.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// hang is how long one input may take at most: a thousand times what it takes.
const hang = time.Minute

// guarded runs f. It fails the test if f takes more memory than the limit, and ends the
// process with the stacks of all goroutines if f hangs. What f allocates altogether bounds
// what it holds at any time.
func guarded(t *testing.T, limit uint64, f func()) {
	t.Helper()
	watchdog := time.AfterFunc(hang, func() {
		debug.SetTraceback("all")
		panic("the input hangs")
	})
	defer watchdog.Stop()
	before := allocated()
	f()
	require.LessOrEqual(t, allocated()-before, limit, "bytes allocated")
}

// allocated is how many bytes the process has allocated since it began.
func allocated() uint64 {
	s := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(s)
	return s[0].Value.Uint64()
}

// bg is for calls that nothing ends early.
var bg = context.Background()

// requireTyped demands that an error is one that a caller can tell apart.
func requireTyped(t require.TestingT, err error, others ...error) {
	for _, known := range append(others, wal.ErrDamaged, wal.ErrNotLog, format.ErrVersion) {
		if errors.Is(err, known) {
			return
		}
	}
	require.NoError(t, err, "an error without a type")
}
