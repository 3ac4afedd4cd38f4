package posix

import (
	"fmt"
	"sync"

	"github.com/chronik-go/wal/core/backend"
)

// maxDepth bounds the worker goroutines of a queue. A file system lets few synced
// writes of one file proceed at a time; more of them only wait there.
const maxDepth = 4

// queue writes batches. With a depth of 1 it has no goroutine: Submit keeps the
// batch and Wait writes it, so that a group commit costs its system calls and no
// hand-over. With a larger depth as many workers take batches from a channel.
type queue struct {
	dir    *dir
	limits backend.Limits
	closed bool
	pool   pool
	wake   chan struct{} // holds at most one wake

	// Depth 1.
	pending *backend.Batch
	inline  executor

	// Depth over 1: neither channel ever blocks, each has room for depth batches.
	work, done chan *backend.Batch
	inFlight   int
	workers    sync.WaitGroup
}

var _ backend.Queue = (*queue)(nil)

func newQueue(d *dir, o backend.QueueOptions) *queue {
	depth := min(max(o.Depth, 1), maxDepth)
	q := &queue{
		dir:    d,
		limits: backend.Limits{Alignment: d.alignment, Depth: depth, PreferWritten: d.direct},
		wake:   make(chan struct{}, 1),
	}
	if depth == 1 {
		return q
	}
	q.work = make(chan *backend.Batch, depth)
	q.done = make(chan *backend.Batch, depth)
	for range depth {
		q.workers.Go(q.worker)
	}
	return q
}

// worker ends when Close closes work.
func (q *queue) worker() {
	var x executor
	for b := range q.work {
		x.run(b)
		q.done <- b
	}
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
	if q.inFlight == q.limits.Depth {
		return fmt.Errorf("submit: %w: %d batches are in flight, call Wait first", errBatch, q.inFlight)
	}
	b.Err = nil
	for i := range b.Writes {
		b.Writes[i].Err = nil
	}
	q.inFlight++
	if q.work == nil {
		q.pending = b
	} else {
		q.work <- b
	}
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
		q.inFlight--
		q.inline.run(b)
		return b, nil
	}
	select {
	case b := <-q.done: // nil, and so never ready, with a depth of 1
		q.inFlight--
		return b, nil
	case <-q.wake:
		return nil, nil
	}
}

func (q *queue) Wake() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// Close writes what was submitted, ends the workers and frees all buffers.
func (q *queue) Close() error {
	if q.closed {
		return fmt.Errorf("close queue: %w", backend.ErrClosed)
	}
	q.closed = true
	if b := q.pending; b != nil {
		q.pending = nil
		q.inline.run(b)
	}
	if q.work != nil {
		close(q.work)
		q.workers.Wait()
	}
	q.pool.close()
	return nil
}
