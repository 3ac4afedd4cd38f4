package wal_test

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	wal "github.com/chronik-go/wal/core"
	"github.com/chronik-go/wal/core/backend/sim"
)

func TestSmoke(t *testing.T) {
	disk := sim.New(sim.Options{})
	ctx := context.Background()
	open := func() *wal.Manager {
		m, err := wal.Open("/d", wal.WithBackend(disk), wal.WithSegmentSize(64<<10), wal.WithBufferSize(64<<10), wal.WithFsyncMode(wal.FsyncAlways))
		require.NoError(t, err)
		return m
	}
	m := open()
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for j := range 300 {
				off, err := m.Append(ctx, "t", int32(i), wal.Record{Value: fmt.Appendf(nil, "value %d %d", i, j)})
				if err != nil || off != int64(j) {
					t.Errorf("append %d %d: %d %v", i, j, off, err)
					return
				}
			}
		}()
	}
	wg.Wait()
	check := func(m *wal.Manager) {
		for i := range 8 {
			p, err := m.Lookup("t", int32(i))
			require.NoError(t, err)
			n := 0
			for r, err := range p.Read(ctx, 0) {
				require.NoError(t, err)
				require.Equal(t, fmt.Sprintf("value %d %d", i, n), string(r.Value))
				require.EqualValues(t, n, r.Offset)
				n++
			}
			require.Equal(t, 300, n)
		}
		n := 0
		for _, err := range m.Replay(ctx) {
			require.NoError(t, err)
			n++
		}
		require.Equal(t, 2400, n)
	}
	check(m)
	img := disk.Image(sim.Image{Mode: sim.DropAll})
	require.NoError(t, m.Close())
	m = open()
	check(m)
	require.NoError(t, m.Close())
	disk = img
	m = open()
	check(m)
	for _, s := range must(m.Segments()) {
		t.Log(s.Name, s.State, s.Size, s.Bytes, s.FirstLSN, s.LastLSN, len(s.Partitions))
	}
	require.NoError(t, m.Close())
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
