package sim_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/chronik-go/wal/core/backend"
	"github.com/chronik-go/wal/core/backend/sim"
)

// logTrace is the trace of a small log: 300 KiB in three segments, in groups of 2 KiB of
// which every second is synced.
func logTrace(tb testing.TB) *sim.Trace {
	d := sim.New(sim.Options{Seed: 1})
	dir, q := openQueue(tb, d, 1)
	for _, name := range []string{"1", "2", "3"} {
		f, err := dir.Create(name, 100<<10)
		require.NoError(tb, err)
		require.NoError(tb, f.Sync())
		require.NoError(tb, dir.Sync())
		for k := range 50 {
			put(tb, q, f, int64(k)*2048, pattern(2048, byte(k+1)), k%2 == 1)
		}
	}
	return d.Trace()
}

func BenchmarkImage(b *testing.B) {
	t := logTrace(b)
	for _, im := range []sim.Image{
		{Mode: sim.DropAll},
		{Mode: sim.KeepAll},
		{Mode: sim.Random, Torn: true, Garbage: true},
		{Mode: sim.Kill},
	} {
		b.Run(im.Mode.String(), func(b *testing.B) {
			b.ReportAllocs()
			c := t.Cursor()
			for i := range b.N {
				if !c.Next() {
					c = t.Cursor()
				}
				im.Seed = uint64(i)
				sink += c.Image(im).Hash()
			}
		})
	}
}

var sink uint64

func BenchmarkAppend(b *testing.B) {
	for _, noTrace := range []bool{true, false} {
		name := map[bool]string{true: "no-trace", false: "trace"}[noTrace]
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			d := sim.New(sim.Options{NoTrace: noTrace})
			dir, q := openQueue(b, d, 1)
			f, err := dir.Create("f", 1<<20)
			require.NoError(b, err)
			batch := newBatch(b, q, f, 0, pattern(4096, 1), true)
			for i := range b.N {
				batch.Writes[0].Offset = int64(i%256) * 4096
				if err := q.Submit(batch); err != nil {
					b.Fatal(err)
				}
				if _, err := q.Wait(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// TestNoTraceDoesNotAllocate: the append path of a disk without a trace is free of
// allocation, so that the engine's own can be counted.
func TestNoTraceDoesNotAllocate(t *testing.T) {
	d := sim.New(sim.Options{NoTrace: true, Depth: 2})
	dir, q := openQueue(t, d, 2)
	f, err := dir.Create("f", 1<<20)
	require.NoError(t, err)
	a := newBatch(t, q, f, 0, pattern(8192, 1), true)
	b := newBatch(t, q, f, 8192, pattern(4096, 2), false)
	b.Writes = append(b.Writes, backend.Write{File: f, Sync: true})
	run := func() {
		require.NoError(t, q.Submit(a))
		require.NoError(t, q.Submit(b))
		for range 2 {
			got, err := q.Wait()
			if err != nil || got.Failed() != nil {
				t.Fatal(err, got.Failed())
			}
		}
	}
	run()
	require.Zero(t, testing.AllocsPerRun(100, run))
}
