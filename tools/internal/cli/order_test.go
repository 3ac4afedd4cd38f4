package cli

import (
	"fmt"
	"io"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	wal "github.com/chronik-go/wal/core"
	"github.com/chronik-go/wal/core/backend/sim"
)

// A disk that is full for a moment fails the appends in flight. What follows them in the
// input does not go in: the log is a prefix of it, for whoever goes on where it ends.
func TestAppendKeepsTheInputsOrder(t *testing.T) {
	for seed := range uint64(30) {
		disk := sim.New(sim.Options{Seed: seed, Depth: 1 + int(seed%3)})
		m, err := wal.Open("/d", wal.WithBackend(disk), wal.WithSegmentSize(1<<20), wal.WithBufferSize(64<<10))
		require.NoError(t, err)
		p, err := m.Partition("t", 0)
		require.NoError(t, err)
		disk.Inject(sim.Fault{Op: sim.OpWrite, Name: "*.wal", Err: syscall.ENOSPC, After: int(seed % 10)})
		in, stop, err := newRecordReader(t.Context(), strings.NewReader(lines(20_000)), false)
		require.NoError(t, err)
		defer stop()
		acks := newAckPrinter(io.Discard, p, appendFlags{topicFlags: topicFlags{topic: "t"}, inflight: 64}, func() {})
		err = feed(t.Context(), in, acks, p, appendFlags{batch: 1})
		require.ErrorIs(t, err, wal.ErrNoSpace, "seed %d", seed)
		require.ErrorIs(t, acks.finish(), wal.ErrNoSpace)
		want := strings.SplitAfter(lines(20_000), "\n")
		n := 0
		for r, err := range p.Read(t.Context(), 0) {
			require.NoError(t, err)
			require.Equal(t, want[n], fmt.Sprintf("%s\n", r.Value), "seed %d, offset %d", seed, r.Offset)
			n++
		}
		require.Less(t, n, 20_000)
		require.NoError(t, m.Close())
	}
}
