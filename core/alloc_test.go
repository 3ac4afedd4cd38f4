//go:build !race

package wal_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	wal "github.com/chronik-go/wal/core"
	"github.com/chronik-go/wal/core/backend/sim"
)

// In the steady state appending allocates nothing: not by record, not by append, not by
// group. The race detector makes sync.Pool forget, so this is not for it.
func TestAppendAllocatesNothing(t *testing.T) {
	for name, opts := range map[string][]wal.Option{
		"always":     {wal.WithFsyncMode(wal.FsyncAlways)},
		"batch":      {wal.WithFsyncMode(wal.FsyncBatch), wal.WithBatchLimits(1, 1, 0)},
		"periodic":   {wal.WithFsyncMode(wal.FsyncPeriodic)},
		"std locks":  {wal.WithStdLocks(true)},
		"codec":      {withZeros},
		"keys":       {withKeys},
		"both":       {withZeros, withKeys},
		"dictionary": {withPrimable, withKeys},
	} {
		t.Run(name, func(t *testing.T) {
			disk := newDisk(t, sim.Options{NoTrace: true, Depth: 4})
			m := open(t, disk, append(opts, wal.WithSegmentSize(256<<20), wal.WithBufferSize(1<<20))...)
			p := partition(t, m, "t", 0)
			if name == "dictionary" {
				setDictionary(t, m, "t", "hello")
			}
			one := []wal.Record{{Key: []byte("key"), Value: make([]byte, 1000), Headers: []wal.Header{{Key: "h", Value: []byte("v")}}}}
			many := make([]wal.Record, 50)
			for i := range many {
				many[i] = one[0]
			}
			check := func(what string, f func()) {
				t.Helper()
				for range 200 { // memory that is used again comes into being
					f()
				}
				require.Zero(t, testing.AllocsPerRun(400, f), what)
			}
			check("append of one record", func() {
				if _, err := p.Append(bg, one...); err != nil {
					t.Fatal(err)
				}
			})
			check("append of 50 records", func() {
				if _, err := p.Append(bg, many...); err != nil {
					t.Fatal(err)
				}
			})
			acks := make([]wal.Ack, 64)
			check("64 appends in flight", func() {
				for i := range acks {
					ack, err := p.AppendAsync(bg, one...)
					if err != nil {
						t.Fatal(err)
					}
					acks[i] = ack
				}
				for _, ack := range acks {
					if err := ack.Wait(bg); err != nil {
						t.Fatal(err)
					}
				}
			})
		})
	}
}

// Reading allocates the memory of what it hands out, in chunks, and little besides: not by
// record.
func TestReadAllocatesByFrame(t *testing.T) {
	disk := newDisk(t, sim.Options{NoTrace: true})
	m := open(t, disk, wal.WithSegmentSize(64<<20), wal.WithBufferSize(1<<20))
	p := partition(t, m, "t", 0)
	batch := make([]wal.Record, 100)
	for i := range batch {
		batch[i] = wal.Record{Value: make([]byte, 80)}
	}
	const n = 50_000
	for range n / len(batch) {
		_, err := p.Append(bg, batch...)
		require.NoError(t, err)
	}
	count := func(read func() int) float64 {
		return testing.AllocsPerRun(3, func() {
			if got := read(); got != n {
				t.Fatalf("%d records", got)
			}
		})
	}
	const frames = n / 100
	perRead := count(func() (got int) {
		for _, err := range p.Read(bg, 0) {
			if err != nil {
				t.Fatal(err)
			}
			got++
		}
		return got
	})
	require.Less(t, perRead, 6.0*frames, "some for a frame")
	perReplay := count(func() (got int) {
		for _, err := range m.Replay(bg) {
			if err != nil {
				t.Fatal(err)
			}
			got++
		}
		return got
	})
	t.Logf("allocations for %d records in %d frames: read %v, replay %v", n, frames, perRead, perReplay)
	require.Less(t, perReplay, 10.0*frames)
}
