package wal_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	wal "github.com/chronik-go/wal/core"
	"github.com/chronik-go/wal/core/backend/sim"
)

func TestVerifyTmp(t *testing.T) {
	disk := sim.New(sim.Options{})
	ctx := context.Background()
	m, err := wal.Open("/d", wal.WithBackend(disk), wal.WithSegmentSize(32<<10), wal.WithBufferSize(64<<10), wal.WithFsyncMode(wal.FsyncAlways))
	require.NoError(t, err)
	for i := range 300 {
		_, err := m.Append(ctx, "t", int32(i%3), wal.Record{Value: fmt.Appendf(nil, "value %d %0100d", i, i)})
		require.NoError(t, err)
	}
	require.NoError(t, m.Close())
	t.Log(disk.Files("/d"))
	rep, err := wal.Verify(ctx, "/d", wal.WithBackend(disk))
	require.NoError(t, err)
	t.Logf("%+v", rep)
	for _, f := range disk.Files("/d") {
		b, _ := disk.ReadFile("/d/" + f)
		missed := 0
		for off := 0; off < len(b); off += 37 {
			c := disk.Clone()
			require.NoError(t, c.FlipBit("/d/"+f, int64(off), off%8))
			rep, err := wal.Verify(ctx, "/d", wal.WithBackend(c))
			require.NoError(t, err)
			if rep.OK {
				missed++
				t.Errorf("missed %s %d", f, off)
			}
			if len(rep.Damage) != 1 {
				t.Logf("%s %d: %+v", f, off, rep.Damage)
			}
			if off%(37*40) == 0 {
				t.Logf("%s %d: %+v", f, off, rep.Damage)
			}
			if missed > 5 {
				break
			}
		}
	}
}
