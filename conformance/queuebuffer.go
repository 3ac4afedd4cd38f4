package conformance

import (
	"errors"
	"math"
	"runtime"
	"sync"

	"github.com/stretchr/testify/require"

	"github.com/chronik-go/wal/core/backend"
)

// checkBuffersApart fills buffers of many sizes, each as a whole, and looks whether all keep
// what they hold while others come, are written from and go.
func checkBuffersApart(t *T) {
	d := t.newDir()
	f, q, other := t.create(d, "f", 1<<20), t.queue(d, 1), t.queue(d, 1)
	type held struct {
		b    *backend.Buffer
		q    backend.Queue
		kind int
	}
	var all []held
	demand := func(h held, what string) {
		t.Helper()
		t.same(filled(len(h.b.Bytes), h.kind), h.b.Bytes, "a buffer of %d bytes, %s", len(h.b.Bytes), what)
	}
	rng := t.rng()
	for round := range 300 {
		if len(all) > 40 || len(all) > 0 && rng.IntN(3) == 0 {
			k := rng.IntN(len(all))
			demand(all[k], "before its release")
			all[k].q.Release(all[k].b)
			all = append(all[:k], all[k+1:]...)
			continue
		}
		h := held{q: []backend.Queue{q, other}[round%2], kind: round}
		h.b = t.buffer(h.q, 1+rng.IntN(1<<rng.IntN(19)), h.kind)
		all = append(all, h)
		if n := len(h.b.Bytes) / block * block; h.q == q && n > 0 && n <= 1<<20 {
			t.write(q, backend.Write{File: f, Data: h.b.Bytes[:n], Buffer: h.b})
		}
	}
	for _, h := range all {
		demand(h, "at the end")
	}
	// Every whole block of a buffer may be written from.
	b := t.buffer(q, 8*block, 1)
	align := q.Limits().Alignment
	for at := 0; at+align <= 8*block; at += align {
		t.write(q, backend.Write{File: f, Offset: int64(at), Data: b.Bytes[at : at+align], Buffer: b})
	}
	t.same(b.Bytes[:8*block], t.content(f)[:8*block], "what was written from every block of a buffer")
}

func checkImpossibleBuffers(t *T) {
	q := t.queue(t.newDir(), 1)
	for _, size := range []int{0, -1, math.MinInt, math.MaxInt, math.MaxInt - 1<<20} {
		_, err := q.Buffer(size)
		require.Error(t, err, "%d bytes", size)
	}
	t.buffer(q, 1, 1)
}

// checkRelease takes and gives back more than any machine has, a little at a time.
func checkRelease(t *T) {
	const size, rounds = 4 << 20, 2000
	q := t.queue(t.newDir(), 1)
	use := func(n int) {
		for i := range n {
			if i%50 == 0 {
				runtime.GC() // for queues whose memory it gives back
			}
			b, err := q.Buffer(size)
			require.NoError(t, err)
			b.Bytes[0], b.Bytes[size-1] = 1, 1
			q.Release(b)
		}
	}
	use(100)
	before, err := virtualSize()
	use(rounds)
	if err != nil {
		return // no such thing here: it was at least possible
	}
	after, err := virtualSize()
	require.NoError(t, err)
	require.Less(t, after-before, int64(rounds)*size/4, "bytes that the process grew by")
}

func checkReleaseAfterClose(t *T) {
	d := t.newDir()
	q, next := t.queue(d, 1), t.queue(d, 1)
	before, after := t.buffer(q, block, 1), t.buffer(q, block, 2)
	kept := t.buffer(next, block, 3)
	q.Release(before)
	require.NoError(t, q.Close())
	t.soon("Release", func() { q.Release(after) })
	t.same(filled(len(kept.Bytes), 3), kept.Bytes, "a buffer of another queue")
}

// checkAnyGoroutine takes buffers, gives them back and wakes, from several goroutines, while
// another one writes and then closes the queue.
func checkAnyGoroutine(t *T) {
	d := t.newDir()
	f, q := t.create(d, "f", 2*block), t.queue(d, 1)
	own := t.buffer(q, block, 1)
	var wg sync.WaitGroup
	errs := make([]error, 4)
	for i := range errs {
		wg.Go(func() {
			for kind := 0; errs[i] == nil; kind++ {
				b, err := q.Buffer(2 * block)
				if errors.Is(err, backend.ErrClosed) {
					return
				}
				if errs[i] = err; err == nil {
					q.Wake()
					q.Release(b)
				}
			}
		})
	}
	for range 200 {
		b := t.submit(q, backend.Write{File: f, Data: own.Bytes[:block], Buffer: own})
		var err error
		t.soon("Buffer, Release or Wake with a batch in flight", func() {
			var other *backend.Buffer
			if other, err = q.Buffer(block); err == nil {
				q.Release(other)
				q.Wake()
			}
		})
		require.NoError(t, err)
		got := t.wait(q)
		for got == nil { // a wake
			got = t.wait(q)
		}
		require.Same(t, b, got)
		require.NoError(t, got.Failed())
	}
	t.same(filled(block, 1), own.Bytes[:block], "a buffer while others come and go")
	require.NoError(t, q.Close())
	t.soon("Buffer, Release or Wake", wg.Wait)
	require.NoError(t, errors.Join(errs...))
}
