package posix

import (
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/chronik-go/wal/core/backend"
)

// Close waits for the uses in progress. Whoever has one may ask for another meanwhile, and is
// refused.
func TestGuard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g guard
		require.NoError(t, g.enter())
		require.NoError(t, g.enter(), "uses do not exclude each other")
		released := 0
		release := func() error { released++; return nil }
		closed := make(chan error, 1)
		go func() { closed <- g.close(release) }()
		synctest.Wait()
		assert.Empty(t, closed, "close has to wait for a use in progress")
		assert.ErrorIs(t, g.enter(), backend.ErrClosed)
		assert.ErrorIs(t, g.close(release), backend.ErrClosed)
		g.leave()
		synctest.Wait()
		assert.Empty(t, closed, "close has to wait for all uses in progress")
		assert.Zero(t, released)
		g.leave()
		require.NoError(t, <-closed)
		assert.ErrorIs(t, g.enter(), backend.ErrClosed)
		assert.Equal(t, 1, released)
		unused := guard{}
		require.NoError(t, unused.close(release))
	})
}
