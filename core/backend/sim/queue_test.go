package sim_test

import (
	"math"
	"reflect"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/chronik-go/wal/core/backend"
	"github.com/chronik-go/wal/core/backend/sim"
)

func TestQueueLimits(t *testing.T) {
	for _, c := range []struct{ align, depth, ask, wantAlign, wantDepth int }{
		{0, 0, 1, 512, 1}, {512, 4, 2, 512, 2}, {4096, 2, 9, 4096, 2}, {1000, 1, 1, 1024, 1}, {1 << 20, 1, 1, 4096, 1},
	} {
		d := sim.New(sim.Options{Alignment: c.align, Depth: c.depth, PreferWritten: true})
		_, q := openQueue(t, d, c.ask)
		require.Equal(t, backend.Limits{Alignment: c.wantAlign, Depth: c.wantDepth, PreferWritten: true}, q.Limits())
	}
	d := sim.New(sim.Options{})
	_, err := openDir(t, d).Queue(backend.QueueOptions{})
	require.ErrorIs(t, err, sim.ErrContract)
}

func TestBuffers(t *testing.T) {
	d := sim.New(sim.Options{Alignment: 4096})
	_, q := openQueue(t, d, 1)
	a, err := q.Buffer(5000)
	require.NoError(t, err)
	require.GreaterOrEqual(t, len(a.Bytes), 5000)
	require.Zero(t, reflect.ValueOf(&a.Bytes[0]).Pointer()%4096)
	_, small := openQueue(t, sim.New(sim.Options{}), 1)
	for range 8 {
		b, err := small.Buffer(2048)
		require.NoError(t, err)
		require.Zero(t, reflect.ValueOf(&b.Bytes[0]).Pointer()%512)
	}
	q.Release(a)
	b, err := q.Buffer(100)
	require.NoError(t, err)
	require.Same(t, a, b, "a released buffer is used again")
	q.Release(b)
	require.NoError(t, d.Misuse())
	q.Release(b)
	require.ErrorIs(t, d.Misuse(), sim.ErrContract, "released twice")
	_, err = q.Buffer(0)
	require.ErrorIs(t, err, syscall.EINVAL)
	_, err = q.Buffer(math.MaxInt32)
	require.ErrorIs(t, err, syscall.ENOMEM)
	_, other := openQueue(t, d, 1)
	c, err := other.Buffer(1)
	require.NoError(t, err)
	q.Release(c)
	require.ErrorContains(t, d.Misuse(), "another queue")
}

// TestSubmitRefuses: a batch that breaks the limits is an error, of which nothing starts.
func TestSubmitRefuses(t *testing.T) {
	d := sim.New(sim.Options{Alignment: 1024, Depth: 3})
	dir, q := openQueue(t, d, 3)
	f := create(t, dir, "f", 8192)
	flying := submit(t, q, f, 4096, pattern(1024, 9), false)
	otherDir := openDir(t, d)
	foreign, err := otherDir.Open("f")
	require.NoError(t, err)
	gone := create(t, dir, "gone", 1024)
	require.NoError(t, gone.Close())
	old, err := q.Buffer(1024)
	require.NoError(t, err)
	q.Release(old)
	good := newBatch(t, q, f, 0, pattern(2048, 1), false).Writes[0]
	change := func(fn func(w *backend.Write)) backend.Write {
		w := good
		fn(&w)
		return w
	}
	for name, c := range map[string]struct {
		w    backend.Write
		want error
		says string
	}{
		"offset":          {change(func(w *backend.Write) { w.Offset = 5632 }), sim.ErrContract, "not aligned"},
		"length":          {change(func(w *backend.Write) { w.Offset, w.Data = 5120, w.Data[:512] }), sim.ErrContract, "not aligned"},
		"negative":        {change(func(w *backend.Write) { w.Offset = -1024 }), sim.ErrContract, "at -1024"},
		"beyond the size": {change(func(w *backend.Write) { w.Offset = 7168 }), sim.ErrContract, "of 8192 bytes"},
		"overflow":        {change(func(w *backend.Write) { w.Offset = 1<<63 - 1024 }), sim.ErrContract, "of 8192 bytes"},
		"in flight":       {change(func(w *backend.Write) { w.Offset = 3072 }), sim.ErrContract, "overlaps one in flight"},
		"in batch":        {change(func(w *backend.Write) { w.Offset = 1024 }), sim.ErrContract, "0 and 1 of the batch overlap"},
		"data's place":    {change(func(w *backend.Write) { w.Offset, w.Data = 5120, w.Buffer.Bytes[512:1536] }), sim.ErrContract, "begins at byte 512"},
		"no buffer":       {change(func(w *backend.Write) { w.Offset, w.Buffer = 5120, nil }), sim.ErrContract, "in no buffer"},
		"outside":         {change(func(w *backend.Write) { w.Offset, w.Data = 5120, pattern(1024, 1) }), sim.ErrContract, "not in its buffer"},
		"too long":        {change(func(w *backend.Write) { w.Offset, w.Data = 5120, pattern(3072, 1) }), sim.ErrContract, "not in its buffer"},
		"released":        {change(func(w *backend.Write) { w.Offset, w.Buffer, w.Data = 5120, old, old.Bytes[:1024] }), sim.ErrContract, "not in its buffer"},
		"other dir":       {change(func(w *backend.Write) { w.File, w.Offset, w.Data = foreign, 6144, w.Data[:1024] }), sim.ErrContract, "queue's directory"},
		"closed file":     {change(func(w *backend.Write) { w.File = gone }), backend.ErrClosed, "gone"},
		"no file":         {backend.Write{Sync: true}, sim.ErrContract, "queue's directory"},
	} {
		before := d.Ops()
		err := q.Submit(&backend.Batch{Writes: []backend.Write{good, c.w}})
		require.ErrorIs(t, err, c.want, name)
		require.ErrorContains(t, err, c.says, name)
		require.Equal(t, before, d.Ops(), "%s: nothing was started", name)
	}
	syncOnly := submit(t, q, f, 0, nil, true)
	require.ErrorIs(t, q.Submit(flying), sim.ErrContract, "the batch is in flight")
	require.ErrorIs(t, q.Submit(syncOnly), sim.ErrContract, "the batch is in flight")
	submit(t, q, f, 1024, pattern(1024, 1), false)
	require.ErrorContains(t, q.Submit(newBatch(t, q, f, 2048, pattern(1024, 1), false)), "3 batches in flight")
	require.ErrorIs(t, d.Misuse(), sim.ErrContract)
}

func TestDataIsTheQueuesInFlight(t *testing.T) {
	d := sim.New(sim.Options{})
	dir, q := openQueue(t, d, 1)
	f := create(t, dir, "f", 512)
	b := submit(t, q, f, 0, pattern(512, 1), true)
	b.Writes[0].Data[3] = 9
	q.Release(b.Writes[0].Buffer)
	require.ErrorContains(t, d.Misuse(), "release of a buffer in flight")
	got, err := q.Wait()
	require.NoError(t, err)
	require.ErrorIs(t, got.Failed(), sim.ErrContract)
	require.ErrorContains(t, d.Misuse(), "data changed in flight")
}

// TestWaitReturnsEveryBatchOnce, in an order that the seed decides.
func TestWaitReturnsEveryBatchOnce(t *testing.T) {
	orders := map[string]bool{}
	for seed := range uint64(20) {
		d := sim.New(sim.Options{Depth: 3, Seed: seed})
		dir, q := openQueue(t, d, 3)
		f := create(t, dir, "f", 4096)
		order := ""
		for i, tag := range []string{"a", "b", "c"} {
			submit(t, q, f, int64(i)*512, pattern(512, byte(i+1)), false).Tag = tag
			require.Equal(t, make([]byte, 4096), read(t, d, "f"), "not visible before Wait")
		}
		for range 3 {
			order += wait(t, q).Tag.(string)
		}
		require.ElementsMatch(t, []byte("abc"), []byte(order))
		orders[order] = true
		require.NoError(t, q.Close())
	}
	require.Greater(t, len(orders), 3)
}

func TestWaitWake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := sim.New(sim.Options{Depth: 2})
		dir, q := openQueue(t, d, 2)
		f := create(t, dir, "f", 1024)
		q.Wake()
		q.Wake()
		b, err := q.Wait()
		require.NoError(t, err)
		require.Nil(t, b, "a wake before Wait is not lost")

		d.Stall()
		submit(t, q, f, 0, pattern(512, 1), true)
		results := make(chan *backend.Batch)
		go func() {
			for range 2 {
				b, err := q.Wait()
				if err != nil {
					t.Error(err)
				}
				results <- b
			}
		}()
		synctest.Wait()
		select {
		case <-results:
			t.Fatal("Wait returned during the stall")
		default:
		}
		q.Wake()
		require.Nil(t, <-results, "a blocked Wait returns on a wake")
		synctest.Wait()
		d.Complete(1)
		require.NotNil(t, <-results)

		d.Stall()
		submit(t, q, f, 0, pattern(512, 2), true)
		closed := make(chan error)
		go func() { closed <- q.Close() }()
		synctest.Wait()
		require.Equal(t, pattern(512, 1), read(t, d, "f")[:512])
		d.Resume()
		require.NoError(t, <-closed)
		require.Equal(t, pattern(512, 2), read(t, d, "f")[:512], "Close waits for what is in flight")
		_, err = q.Wait()
		require.ErrorIs(t, err, backend.ErrClosed)
		require.ErrorIs(t, q.Submit(&backend.Batch{}), backend.ErrClosed)
		require.ErrorIs(t, q.Close(), backend.ErrClosed)
		_, err = q.Buffer(1)
		require.ErrorIs(t, err, backend.ErrClosed)
	})
}

// TestWakeAndCompletion: when both are due, Wait returns both, in either order.
func TestWakeAndCompletion(t *testing.T) {
	first := map[bool]int{}
	for seed := range uint64(20) {
		d := sim.New(sim.Options{Seed: seed})
		dir, q := openQueue(t, d, 1)
		f := create(t, dir, "f", 512)
		submit(t, q, f, 0, pattern(512, 1), true)
		q.Wake()
		a, err := q.Wait()
		require.NoError(t, err)
		b, err := q.Wait()
		require.NoError(t, err)
		require.True(t, (a == nil) != (b == nil))
		first[a == nil]++
	}
	require.Len(t, first, 2)
}

// TestConcurrentUse is for the race detector.
func TestConcurrentUse(t *testing.T) {
	for _, noTrace := range []bool{false, true} {
		d := sim.New(sim.Options{Depth: 2, NoTrace: noTrace})
		dir, err := d.OpenDir(at, backend.DirOptions{Create: true})
		require.NoError(t, err)
		var wg sync.WaitGroup
		for g := range 4 {
			wg.Go(func() {
				q, err := dir.Queue(backend.QueueOptions{Depth: 2})
				if err != nil {
					t.Error(err)
					return
				}
				f, err := dir.Create(string(rune('a'+g)), 8192)
				if err != nil {
					t.Error(err)
					return
				}
				for i := range 100 {
					buf, _ := q.Buffer(512)
					b := &backend.Batch{Writes: []backend.Write{{
						File: f, Offset: int64(i%16) * 512, Data: buf.Bytes[:512], Buffer: buf, Sync: i%2 == 0,
					}}}
					buf.Bytes[0] = byte(i)
					q.Wake()
					if err := q.Submit(b); err != nil {
						t.Error(err)
					}
					for got, err := q.Wait(); got == nil; got, err = q.Wait() {
						if err != nil {
							t.Error(err)
							return
						}
					}
					q.Release(buf)
					_, _ = f.ReadAt(make([]byte, 100), 0)
					if i%10 == 0 {
						d.Mark(i)
						d.Image(sim.Image{Mode: sim.Random, Seed: uint64(i)}).Hash()
						_, _ = d.Trace().Cursor().Units(), dir.Sync()
					}
				}
				if err := q.Close(); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		require.NoError(t, d.Misuse())
	}
}
