package conformance

import (
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/stretchr/testify/require"

	"github.com/chronik-go/wal/core/backend"
)

var errOld = errors.New("an error of before")

// waiting is a Wait on a goroutine of its own.
type waiting struct {
	b   *backend.Batch
	err error
}

// startWait returns when the goroutine runs; Wait may not have blocked yet.
func startWait(q backend.Queue) chan waiting {
	c, begun := make(chan waiting, 1), make(chan struct{})
	go func() {
		close(begun)
		b, err := q.Wait()
		c <- waiting{b, err}
	}()
	<-begun
	return c
}

// end returns what the Wait returned.
func (t *T) end(c chan waiting) *backend.Batch {
	t.Helper()
	var w waiting
	t.soon("Wait", func() { w = <-c })
	require.NoError(t, w.err)
	return w.b
}

// rest does something else for a while: what happens by itself has had every chance to when
// it is done.
func (t *T) rest(d backend.Dir) {
	t.Helper()
	for range 5 {
		t.list(d)
		runtime.GC() // stops and starts every goroutine
		runtime.Gosched()
	}
}

func checkWaitBlocks(t *T) {
	d := t.newDir()
	q := t.queue(d, 1)
	for range 20 {
		c := startWait(q)
		t.rest(d)
		require.Empty(t, c, "Wait returns with nothing in flight and no wake")
		q.Wake()
		require.Nil(t, t.end(c), "a batch that was never submitted")
	}
}

func checkWake(t *T) {
	d := t.newDir()
	f, q := t.create(d, "f", block), t.queue(d, 1)
	buf := t.buffer(q, block, 1)
	batch := func() {
		t.Helper()
		t.write(q, backend.Write{File: f, Data: buf.Bytes[:block], Buffer: buf})
	}
	for round := range 300 {
		c := startWait(q) // blocked, or not yet
		if round%2 == 0 {
			runtime.Gosched()
		}
		q.Wake()
		require.Nil(t, t.end(c))
		if round%10 == 0 {
			batch() // the wake ended one Wait, and this is another
		}
		q.Wake() // while none is blocked
		require.Nil(t, t.wait(q))
		if round%10 == 5 {
			batch()
		}
	}
	// Several may count as one, and none as two.
	const wakes = 5
	for range wakes {
		q.Wake()
	}
	require.Nil(t, t.wait(q))
	t.submit(q, backend.Write{File: f, Data: buf.Bytes[:block], Buffer: buf})
	nils := 1
	for t.wait(q) == nil {
		nils++
	}
	require.LessOrEqual(t, nils, wakes)
}

// checkWakeAndBatch makes both due, in either order, and demands both.
func checkWakeAndBatch(t *T) {
	d := t.newDir()
	for _, asked := range depths[:3] {
		q := t.queue(d, asked)
		depth := min(q.Limits().Depth, asked)
		f := t.create(d, "f", int64(depth)*block)
		buf := t.buffer(q, depth*block, 1)
		for round := range 60 {
			if round%2 == 0 {
				q.Wake()
			}
			for i := range depth {
				t.submit(q, backend.Write{File: f, Offset: int64(i) * block, Data: buf.Bytes[i*block : (i+1)*block], Buffer: buf, Sync: round%5 == 0})
			}
			if round%2 == 1 {
				q.Wake()
			}
			batches, wakes := 0, 0
			for range depth + 1 {
				if b := t.wait(q); b == nil {
					wakes++
				} else {
					require.NoError(t, b.Failed())
					batches++
				}
			}
			require.Equal(t, depth, batches, "batches that came back beside a wake")
			require.Equal(t, 1, wakes, "wakes beside %d batches", depth)
		}
		require.NoError(t, f.Close())
		require.NoError(t, d.Remove("f"))
	}
}

func checkWakeAfterClose(t *T) {
	d := t.newDir()
	q := t.queue(d, 1)
	var wg sync.WaitGroup
	var panicked atomic.Value
	for range 4 { // before, during and after Close
		wg.Go(func() {
			defer func() {
				if x := recover(); x != nil {
					panicked.Store(fmt.Sprint(x))
				}
			}()
			for range 200 {
				q.Wake()
			}
		})
	}
	require.NoError(t, q.Close())
	t.soon("Wake", func() { q.Wake(); wg.Wait() })
	require.Nil(t, panicked.Load(), "Wake panics while the queue is closed")
	_, err := q.Wait()
	require.ErrorIs(t, err, backend.ErrClosed)
}

func checkCloseCarriesOut(t *T) {
	d := t.newDir()
	for _, asked := range depths[:3] {
		for _, sync := range []bool{false, true} {
			q := t.queue(d, asked)
			depth := min(q.Limits().Depth, 100)
			f := t.create(d, "f", int64(depth)*16*block)
			buf := t.buffer(q, depth*16*block, asked)
			want := append([]byte(nil), buf.Bytes[:depth*16*block]...)
			for i := range depth {
				at := i * 16 * block
				t.submit(q, backend.Write{File: f, Offset: int64(at), Data: buf.Bytes[at : at+16*block], Buffer: buf, Sync: sync})
			}
			var err error
			t.soon("Close", func() { err = q.Close() })
			require.NoError(t, err)
			t.same(want, t.content(f), "a file after Close of a queue with %d batches in flight", depth)
			require.NoError(t, f.Close())
			require.NoError(t, d.Remove("f"))
		}
	}
}
