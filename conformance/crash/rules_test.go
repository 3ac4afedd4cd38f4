package crash

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	wal "github.com/chronik-go/wal/core"
	"github.com/chronik-go/wal/core/backend"
	"github.com/chronik-go/wal/core/backend/sim"
)

// demand fails the test with the name of the check.
func demand(t *testing.T, c Check, ok bool, format string, args ...any) {
	t.Helper()
	if !ok {
		t.Fatalf("%s: %s", c, fmt.Sprintf(format, args...))
	}
}

func openSmall(t *testing.T, d *sim.Disk, more ...wal.Option) *wal.Manager {
	t.Helper()
	opts := append([]wal.Option{wal.WithBackend(d), wal.WithSegmentSize(16 << 10), wal.WithBufferSize(32 << 10),
		wal.WithFsyncMode(wal.FsyncAlways)}, more...)
	m, err := wal.Open(dir, opts...)
	require.NoError(t, err)
	return m
}

func TestOneWriter(t *testing.T) {
	d := sim.New(sim.Options{})
	m := openSmall(t, d)
	_, err := m.Append(ctx, "t", 0, wal.Record{Value: []byte("mine")})
	require.NoError(t, err)
	_, err = wal.Open(dir, wal.WithBackend(d))
	demand(t, OneWriter, errors.Is(err, wal.ErrLocked), "a second writer gets %v", err)
	reader, err := wal.Open(dir, wal.WithBackend(d), wal.WithReadOnly())
	demand(t, OneWriter, err == nil, "a reader beside the writer gets %v", err)
	require.NoError(t, reader.Close())
	image := d.Image(sim.Image{Mode: sim.Kill})
	after, err := wal.Open(dir, wal.WithBackend(image))
	demand(t, OneWriter, err == nil, "a writer after the death of the first gets %v", err)
	require.NoError(t, after.Close())
	require.NoError(t, m.Close())
	m = openSmall(t, d)
	require.NoError(t, m.Close())
}

// TestBounded stops the disk: what can be submitted is bounded by the write buffer, and
// nothing that was accepted is lost when the disk goes on.
func TestBounded(t *testing.T) {
	d := sim.New(sim.Options{})
	m := openSmall(t, d, wal.WithNoWait())
	p, err := m.Partition("t", 0)
	require.NoError(t, err)
	d.Stall()
	var acks []wal.Ack
	for {
		ack, err := p.AppendAsync(ctx, wal.Record{Value: make([]byte, 500)})
		if errors.Is(err, wal.ErrBackpressure) {
			break
		}
		require.NoError(t, err)
		acks = append(acks, ack)
		demand(t, Bounded, len(acks) < 64, "%d appends of 500 bytes wait in a buffer of 32 KiB", len(acks))
	}
	ended, cancel := context.WithCancel(ctx)
	cancel()
	if len(acks) > 0 {
		err = acks[0].Wait(ended)
		demand(t, Bounded, errors.Is(err, context.Canceled), "a wait whose context ends gives %v", err)
	}
	d.Resume()
	for i, ack := range acks {
		demand(t, Bounded, ack.Wait(ctx) == nil && ack.Offset() == int64(i), "append %d, accepted before, is lost", i)
	}
	require.NoError(t, m.Close())
	require.NoError(t, d.Misuse())
}

// TestNotRegular puts something else in the place of a segment.
func TestNotRegular(t *testing.T) {
	d := sim.New(sim.Options{})
	m := openSmall(t, d)
	_, err := m.Append(ctx, "t", 0, wal.Record{Value: []byte("x")})
	require.NoError(t, err)
	require.NoError(t, m.Close())
	name := dir + "/00000000000000000001.wal"
	for what, put := range map[string]func(*sim.Disk) error{
		"link": func(d *sim.Disk) error { return d.Symlink("elsewhere", name) },
		"FIFO": func(d *sim.Disk) error { return d.Fifo(name) },
		"dir":  func(d *sim.Disk) error { return d.Mkdir(name) },
	} {
		c := d.Clone()
		require.NoError(t, c.Delete(name))
		require.NoError(t, put(c))
		for _, o := range [][]wal.Option{nil, {wal.WithReadOnly()}} {
			_, err := wal.Open(dir, append(o, wal.WithBackend(c))...)
			demand(t, BadInput, errors.Is(err, backend.ErrNotRegular), "a %s in the place of a segment: open gives %v", what, err)
		}
		require.Zero(t, c.OpenHandles())
	}
}
