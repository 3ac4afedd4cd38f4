package wal_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	wal "github.com/chronik-go/wal/core"
	"github.com/chronik-go/wal/core/backend/sim"
)

func TestRepairTmp(t *testing.T) {
	disk := sim.New(sim.Options{})
	ctx := context.Background()
	m, err := wal.Open("/d", wal.WithBackend(disk), wal.WithSegmentSize(16<<10), wal.WithBufferSize(64<<10), wal.WithFsyncMode(wal.FsyncAlways))
	require.NoError(t, err)
	for i := range 200 {
		_, err := m.Append(ctx, "t", int32(i%3), wal.Record{Value: fmt.Appendf(nil, "value %d %0100d", i, i)})
		require.NoError(t, err)
	}
	require.NoError(t, m.Close())
	files := disk.Files("/d")
	try := func(name string, damage func(c *sim.Disk)) {
		t.Run(name, func(t *testing.T) {
			c := disk.Clone()
			damage(c)
			rep, err := wal.Repair(ctx, "/d", wal.RepairOptions{Quarantine: "/q"}, wal.WithBackend(c))
			if err != nil {
				t.Errorf("repair: %v\n%+v", err, rep)
				return
			}
			lost := map[string]bool{}
			for _, s := range rep.Lost {
				for o := s.From; o < s.To; o++ {
					lost[fmt.Sprint(s.Partition, o)] = true
				}
			}
			m, err := wal.Open("/d", wal.WithBackend(c))
			require.NoError(t, err, "%+v", rep)
			have := 0
			tail := 0
			for i := range 3 {
				p, err := m.Lookup("t", int32(i))
				if err != nil {
					t.Logf("%v %+v", err, rep)
					continue
				}
				next := int64(0)
				for r, err := range p.Read(ctx, 0) {
					var le *wal.LostError
					if errors.As(err, &le) {
						for o := le.From; o < le.To; o++ {
							require.True(t, lost[fmt.Sprint(i, o)])
						}
						next = le.To
						continue
					}
					require.NoError(t, err)
					require.Equal(t, next, r.Offset)
					require.Equal(t, fmt.Sprintf("value %d %0100d", int(r.Offset)*3+i, int(r.Offset)*3+i), string(r.Value))
					require.False(t, lost[fmt.Sprint(i, r.Offset)])
					next++
					have++
				}
				n := 66
				if i < 2 {
					n = 67
				}
				tail += n - int(next)
			}
			if have+len(lost)+tail != 200 || testing.Verbose() && rand.IntN(50) == 0 {
				t.Logf("%d have %d lost %d tail; %+v", have, len(lost), tail, rep)
			}
			require.Equal(t, 200, have+len(lost)+tail)
			require.NoError(t, m.Close())
		})
	}
	for i, f := range files {
		try("delete "+f, func(c *sim.Disk) { require.NoError(t, c.Delete("/d/"+f)) })
		try("empty "+f, func(c *sim.Disk) { require.NoError(t, c.Truncate("/d/"+f, 0)) })
		try("half "+f, func(c *sim.Disk) { require.NoError(t, c.Truncate("/d/"+f, 8000)) })
		try("link "+f, func(c *sim.Disk) { require.NoError(t, c.Delete("/d/"+f)); c.Symlink("/x", "/d/"+f) })
		if f != "close.marker" && len(must(disk.ReadFile("/d/"+f))) > 8192 {
			try("zero "+f, func(c *sim.Disk) { require.NoError(t, c.Zero("/d/"+f, 4096, 4096)) })
			try("other "+f, func(c *sim.Disk) {
				b, err := c.ReadFile("/d/" + files[(i+1)%(len(files)-1)])
				require.NoError(t, err)
				require.NoError(t, c.WriteFile("/d/"+f, b))
			})
		}
		b, _ := disk.ReadFile("/d/" + f)
		for off := 0; off < len(b); off += 211 {
			try(fmt.Sprintf("flip %s %d", f, off), func(c *sim.Disk) { require.NoError(t, c.FlipBit("/d/"+f, int64(off), off%8)) })
		}
	}
}
