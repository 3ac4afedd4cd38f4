package uring

import (
	"errors"
	"fmt"
	"slices"

	"github.com/chronik-go/wal/core/backend"
)

// queueDepth is the most batches in flight. More than a few bring nothing: one group is being
// written while another gathers.
const queueDepth = 4

// queue writes batches by a ring: its own or, one of many queues, a shared one.
type queue struct {
	dir      *dir
	limits   backend.Limits
	memory   memory
	carrier  carrier
	inflight int
	closed   bool
}

var _ backend.Queue = (*queue)(nil)

// carrier carries out the batches of a queue.
type carrier interface {
	submit(q *queue, b *backend.Batch)
	wait() (*backend.Batch, error)
	wake()
	// finished takes a batch that is complete.
	finished(b *backend.Batch)
	forget(f *file)
	// leave ends the carrier, with nothing in flight.
	leave() error
}

// Queue opens a queue as [backend.Dir] describes.
func (d *dir) Queue(o backend.QueueOptions) (backend.Queue, error) {
	// The directory refuses what it must, closed or read-only.
	if q, err := d.Dir.Queue(o); err != nil {
		return nil, err
	} else if err := q.Close(); err != nil {
		return nil, err
	}
	q := &queue{
		dir:    d,
		limits: backend.Limits{Alignment: d.Alignment(), Depth: min(max(o.Depth, 1), queueDepth), PreferWritten: true},
	}
	var err error
	if o.Many {
		q.carrier, err = d.backend.joinHub()
		q.memory.init(nil)
	} else {
		q.carrier, err = newSolo(q)
	}
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	d.queues = append(d.queues, q)
	d.mu.Unlock()
	return q, nil
}

func (q *queue) Limits() backend.Limits { return q.limits }

func (q *queue) Buffer(size int) (*backend.Buffer, error) { return q.memory.get(size) }

func (q *queue) Release(b *backend.Buffer) { q.memory.put(b) }

func (q *queue) forget(f *file) { q.carrier.forget(f) }

func (q *queue) Wake() { q.carrier.wake() }

// errBatch is wrapped by the error of Submit for a batch that breaks the contract.
var errBatch = errors.New("invalid batch")

// Submit puts the requests of a batch in place. With a ring of its own the next Wait has the
// kernel take them, in the same system call that waits; those of a large batch it takes at once.
func (q *queue) Submit(b *backend.Batch) error {
	if q.closed {
		return fmt.Errorf("submit: %w", backend.ErrClosed)
	}
	if err := q.check(b); err != nil {
		return fmt.Errorf("submit: %w", err)
	}
	if q.inflight == q.limits.Depth {
		return fmt.Errorf("submit: %w: %d batches are in flight, call Wait first", errBatch, q.limits.Depth)
	}
	b.Err = nil
	for i := range b.Writes {
		b.Writes[i].Err = nil
	}
	q.inflight++
	q.carrier.submit(q, b)
	return nil
}

func (q *queue) check(b *backend.Batch) error {
	if b == nil {
		return fmt.Errorf("%w: nil", errBatch)
	}
	for i := range b.Writes {
		w := &b.Writes[i]
		f, ok := w.File.(*file)
		if !ok || f == nil || f.dir != q.dir {
			return fmt.Errorf("%w: write %d: the file is not of this directory", errBatch, i)
		}
		if err := f.Use(); err != nil {
			return fmt.Errorf("write %s: %w", f.Path(), err)
		}
		f.Done()
		if len(w.Data) == 0 {
			continue
		}
		if _, err := q.memory.find(w.Buffer, w.Data); err != nil {
			return fmt.Errorf("%w: write %d to %s: %w", errBatch, i, f.Path(), err)
		}
		if err := f.CheckWrite(w); err != nil {
			return fmt.Errorf("%w: write %d to %s: %w", errBatch, i, f.Path(), err)
		}
	}
	return nil
}

// Wait returns the next completed batch.
func (q *queue) Wait() (*backend.Batch, error) {
	if q.closed {
		return nil, fmt.Errorf("wait: %w", backend.ErrClosed)
	}
	b, err := q.carrier.wait()
	if err != nil {
		return nil, fmt.Errorf("wait: %w", err)
	}
	if b != nil {
		q.inflight--
	}
	return b, nil
}

// Close waits for what is in flight, and gives back the ring and all memory.
func (q *queue) Close() error {
	if q.closed {
		return fmt.Errorf("close queue: %w", backend.ErrClosed)
	}
	var err error
	for q.inflight > 0 && err == nil {
		_, err = q.Wait()
	}
	q.closed = true
	q.dir.mu.Lock()
	q.dir.queues = slices.DeleteFunc(q.dir.queues, func(other forgetter) bool { return other == q })
	q.dir.mu.Unlock()
	if err == nil {
		q.memory.close()
	} else {
		q.memory.abandon()
	}
	return errors.Join(err, q.carrier.leave())
}
