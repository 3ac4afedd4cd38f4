package posix

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/chronik-go/wal/core/backend"
)

func TestGuard(t *testing.T) {
	var g guard
	require.NoError(t, g.enter())
	require.NoError(t, g.enter(), "uses do not exclude each other")
	g.leave()
	require.False(t, g.mu.TryLock(), "close has to wait for a use in progress")
	g.leave()
	released := 0
	release := func() error { released++; return nil }
	require.NoError(t, g.close(release))
	assert.ErrorIs(t, g.close(release), backend.ErrClosed)
	assert.ErrorIs(t, g.enter(), backend.ErrClosed)
	assert.Equal(t, 1, released)
	assert.True(t, g.mu.TryLock(), "a refused use holds nothing")
}
