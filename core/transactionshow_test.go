package wal

import (
	"context"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/chronik-go/wal/core/backend/sim"
)

// While a transaction comes into view in one partition, nobody can look at another one of it, nor
// at all of them. A partition held by its reader stops it in the middle.
func TestTransactionInOneStep(t *testing.T) {
	ctx := context.Background()
	disk := sim.New(sim.Options{})
	m := openOnSim(t, disk)
	a, err := m.Partition("t", 0)
	require.NoError(t, err)
	b, err := m.Partition("t", 1)
	require.NoError(t, err)
	commit := func() error {
		tx, err := m.Begin()
		if err == nil {
			err = tx.Append(a, Record{}, Record{})
		}
		if err == nil {
			err = tx.Append(b, Record{})
		}
		if err == nil {
			_, err = tx.Commit(ctx)
		}
		return err
	}
	require.NoError(t, commit())
	ro := openOnSim(t, disk, WithReadOnly())
	roA, err := ro.Lookup("t", 0)
	require.NoError(t, err)
	roB, err := ro.Lookup("t", 1)
	require.NoError(t, err)
	for _, x := range []struct {
		what   string
		a, b   *Partition
		change func() error
	}{
		{"commit", a, b, commit},
		{"refresh", roA, roB, func() error { return ro.Refresh(ctx) }},
	} {
		seg := x.a.shard.segments.all()[0]
		end := seg.end.Load()
		done := make(chan error, 1)
		x.b.mu.RLock()
		go func() { done <- x.change() }()
		for seg.end.Load() == end {
			runtime.Gosched()
		}
		for x.a.mu.TryRLock() { // it comes to hold what it is to change
			next := x.a.visible.Load()
			x.a.mu.RUnlock()
			if next != 2 {
				break
			}
			runtime.Gosched()
		}
		next, shown := x.a.visible.Load(), x.a.shard.showing.TryRLock()
		if shown {
			x.a.shard.showing.RUnlock()
		}
		x.b.mu.RUnlock()
		require.NoError(t, <-done)
		require.EqualValues(t, 2, next, "%s: part of it is there", x.what)
		require.False(t, shown, "%s: all could be looked at", x.what)
		require.EqualValues(t, 4, x.a.NextOffset())
		require.EqualValues(t, 2, x.b.NextOffset())
	}
}
