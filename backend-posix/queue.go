package posix

import (
	"github.com/chronik-go/wal/core/backend"
	"github.com/chronik-go/wal/core/backend/inline"
)

// queue writes one batch at a time, in Wait. Workers that keep more batches in flight were
// measured to be slower, see docs/performance.md: a file system lets the synced writes of
// one file in one by one.
type queue struct {
	*inline.Queue
	own      func(backend.File) (File, bool)
	carryOut func(*backend.Batch)
	pool     pool
}

var _ backend.Queue = (*queue)(nil)

func newQueue(d *dir) backend.Queue {
	own := func(f backend.File) (File, bool) {
		x, ok := f.(*file)
		return x, ok && x != nil && x.dir == d
	}
	x := new(executor)
	return NewQueue(backend.Limits{Alignment: d.alignment, PreferWritten: d.direct}, own, x.run)
}

// NewQueue returns a queue that carries out one batch at a time, on the goroutine that calls
// Wait, for backends that are built on this one. own gives the file of this package behind one
// of the caller's, if it is of the queue's directory; carryOut writes a batch that was
// checked, and sets its errors. Limits.Depth is 1.
func NewQueue(limits backend.Limits, own func(backend.File) (File, bool), carryOut func(*backend.Batch)) backend.Queue {
	q := &queue{own: own, carryOut: carryOut}
	q.Queue = inline.New(limits, q)
	return q
}

func (q *queue) Buffer(size int) (*backend.Buffer, error) { return q.pool.get(size) }

func (q *queue) Release(b *backend.Buffer) { q.pool.put(b) }

// CarryOut is for the inline queue.
func (q *queue) CarryOut(b *backend.Batch) { q.carryOut(b) }

// Close writes what was submitted and frees all buffers.
func (q *queue) Close() error {
	if err := q.Queue.Close(); err != nil {
		return err
	}
	q.pool.close()
	return nil
}
