package wal

import (
	"context"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/chronik-go/wal/core/backend/sim"
)

// A reader goes by the offsets that are visible and by the index of a segment. The index
// must not tell of a truncation before those do: it would send the reader behind the records
// that it looks for.
func TestIndexFollowsWhatIsVisible(t *testing.T) {
	ctx := context.Background()
	disk := sim.New(sim.Options{})
	m, err := Open("/d", WithBackend(disk), WithFsyncMode(FsyncAlways), WithSegmentSize(64<<10))
	require.NoError(t, err)
	defer func() { require.NoError(t, m.Close()) }()
	p, err := m.Partition("t", 0)
	require.NoError(t, err)
	for range 10 {
		_, err := p.Append(ctx, Record{Value: make([]byte, 100)})
		require.NoError(t, err)
	}
	ro, err := Open("/d", WithBackend(disk), WithReadOnly())
	require.NoError(t, err)
	defer func() { require.NoError(t, ro.Close()) }()
	q, err := ro.Lookup("t", 0)
	require.NoError(t, err)

	// With its index out of reach, the writer shows the truncation all the same.
	seg := p.shard.segments.all()[0]
	cut := p.cut.Load()
	done := make(chan error, 1)
	seg.mu.Lock()
	go func() { done <- p.TruncateAfter(ctx, 4) }()
	shown := false
	for end := time.Now().Add(10 * time.Second); !shown && time.Now().Before(end); {
		runtime.Gosched()
		shown = p.cut.Load() > cut
	}
	seg.mu.Unlock()
	require.NoError(t, <-done)
	require.True(t, shown, "the index comes first")
	_, err = p.Append(ctx, Record{Value: make([]byte, 100)})
	require.NoError(t, err)

	// As long as it cannot show the truncation, a refresh leaves the index as it is.
	seg = q.shard.segments.all()[0]
	seek := func() int64 {
		at, err := seg.seek(&q.shard.footers, q.id, 5)
		require.NoError(t, err)
		return at
	}
	before, end := seek(), seg.end.Load()
	q.mu.Lock()
	go func() { done <- ro.Refresh(ctx) }()
	for seg.end.Load() == end { // which it has read by then
		runtime.Gosched()
	}
	between := seek()
	q.mu.Unlock()
	require.NoError(t, <-done)
	require.Equal(t, before, between, "the index comes first")
	require.Greater(t, seek(), before)
}
