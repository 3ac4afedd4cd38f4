package conformance

import (
	"os/exec"
	"testing"

	"github.com/stretchr/testify/require"

	posix "github.com/chronik-go/wal/backend-posix"
	"github.com/chronik-go/wal/core/backend"
)

// A failure names the seed of the log that failed: begun with that one, a layer draws the same
// for it as it did after all the logs before.
func TestLogsAreRepeatedBySeed(t *testing.T) {
	s := newSuite(func() (backend.Backend, error) { return posix.New(), nil }, nil)
	s.runsIn(t)
	if isChild() {
		s.child()
	}
	draws := func(first uint64) map[uint64][]uint64 {
		c, err := newCycles(s, "Crash/Kill", t.TempDir())
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, c.close()) })
		c.ops = 3
		drawn := map[uint64][]uint64{}
		seed := first
		c.crash = func(cmd *exec.Cmd, _ func() error) error {
			drawn[seed] = append(drawn[seed], c.random.Uint64())
			c.soon = true // for a log that has no more rounds
			return kill(cmd)
		}
		for ; seed < 6; seed++ {
			require.NoError(t, c.log(t.Context(), seed))
			require.Len(t, drawn, int(seed-first+1))
		}
		return drawn
	}
	after, alone := draws(3), draws(5)
	require.Equal(t, after[5], alone[5])
	require.NotEqual(t, after[3], after[5])
}
