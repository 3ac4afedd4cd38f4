package posix

import (
	"fmt"

	"github.com/chronik-go/wal/core/backend"
)

// queue writes one batch at a time: Submit keeps it and Wait writes it, on the caller's
// goroutine, so that a group commit costs its system calls and no hand-over. Workers
// that keep more batches in flight were measured to be slower, see docs/performance.md:
// a file system lets the synced writes of one file in one by one.
type queue struct {
	limits   backend.Limits
	own      func(backend.File) (File, bool)
	carryOut func(*backend.Batch)
	closed   bool
	pool     pool
	wake     chan struct{} // holds at most one wake
	pending  *backend.Batch
}

var _ backend.Queue = (*queue)(nil)

func newQueue(d *dir) backend.Queue {
	own := func(f backend.File) (File, bool) {
		x, ok := f.(*file)
		return x, ok && x != nil && x.dir == d
	}
	x := new(executor)
	return NewQueue(backend.Limits{Alignment: d.alignment, Depth: 1, PreferWritten: d.direct}, own, x.run)
}

// NewQueue returns a queue that carries out one batch at a time, on the goroutine that calls
// Wait, for backends that are built on this one. own gives the file of this package behind one
// of the caller's, if it is of the queue's directory; carryOut writes a batch that was
// checked, and sets its errors. Limits.Depth is 1.
func NewQueue(limits backend.Limits, own func(backend.File) (File, bool), carryOut func(*backend.Batch)) backend.Queue {
	return &queue{limits: limits, own: own, carryOut: carryOut, wake: make(chan struct{}, 1)}
}

func (q *queue) Limits() backend.Limits { return q.limits }

func (q *queue) Buffer(size int) (*backend.Buffer, error) { return q.pool.get(size) }

func (q *queue) Release(b *backend.Buffer) { q.pool.put(b) }

// Submit checks a batch against the contract before anything of it starts.
func (q *queue) Submit(b *backend.Batch) error {
	if q.closed {
		return fmt.Errorf("submit: %w", backend.ErrClosed)
	}
	if err := q.check(b); err != nil {
		return fmt.Errorf("submit: %w", err)
	}
	if q.pending != nil {
		return fmt.Errorf("submit: %w: another batch is in flight, call Wait first", errBatch)
	}
	b.Err = nil
	for i := range b.Writes {
		b.Writes[i].Err = nil
	}
	q.pending = b
	return nil
}

// Wait returns a written batch. A wake that came before is kept for the Wait after
// it: losing one could leave the caller asleep with work to do.
func (q *queue) Wait() (*backend.Batch, error) {
	if q.closed {
		return nil, fmt.Errorf("wait: %w", backend.ErrClosed)
	}
	if b := q.pending; b != nil {
		q.pending = nil
		q.carryOut(b)
		return b, nil
	}
	<-q.wake
	return nil, nil
}

func (q *queue) Wake() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// Close writes what was submitted and frees all buffers.
func (q *queue) Close() error {
	if q.closed {
		return fmt.Errorf("close queue: %w", backend.ErrClosed)
	}
	q.closed = true
	if b := q.pending; b != nil {
		q.pending = nil
		q.carryOut(b)
	}
	q.pool.close()
	return nil
}
