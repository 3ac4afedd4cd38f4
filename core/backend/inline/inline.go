// Package inline is the Queue of backends that carry out a batch on the goroutine that waits
// for it: a group commit then costs its system calls and no hand-over. A backend adds how it
// checks and writes a batch. One whose device gains from several batches in flight writes a
// Queue of its own.
package inline

import (
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/chronik-go/wal/core/backend"
)

// ErrBatch is wrapped by the error of Submit for a batch that breaks the contract: a mistake
// of the caller, found before any byte of the batch was written.
var ErrBatch = errors.New("invalid batch")

// Carrier is the part of a queue that a backend adds.
type Carrier interface {
	// Check returns an error for a batch that cannot be carried out as promised.
	Check(b *backend.Batch) error
	// CarryOut writes a batch that was checked, and sets the errors of what fails.
	CarryOut(b *backend.Batch)
}

// Queue is a backend.Queue for one batch at a time, with buffers on the Go heap: a backend
// that needs other memory overrides Buffer, Release and Close.
type Queue struct {
	limits  backend.Limits
	carrier Carrier
	closed  atomic.Bool
	wake    chan struct{} // holds at most one wake
	pending *backend.Batch
}

var _ backend.Queue = (*Queue)(nil)

// New returns a Queue whose Limits are those given, with a Depth of 1.
func New(limits backend.Limits, c Carrier) *Queue {
	limits.Depth = 1
	return &Queue{limits: limits, carrier: c, wake: make(chan struct{}, 1)}
}

// Limits returns what New was given.
func (q *Queue) Limits() backend.Limits { return q.limits }

// maxBuffer is more than the engine asks for, and less than ends a program, bytes.
const maxBuffer = 1 << 30

// Buffer makes memory that is as large as asked for.
func (q *Queue) Buffer(size int) (*backend.Buffer, error) {
	if q.closed.Load() {
		return nil, fmt.Errorf("buffer: %w", backend.ErrClosed)
	}
	if size < 1 || size > maxBuffer {
		return nil, fmt.Errorf("buffer of %d bytes: not a possible size", size)
	}
	return &backend.Buffer{Bytes: make([]byte, size)}, nil
}

// Release leaves the memory to the garbage collector.
func (q *Queue) Release(*backend.Buffer) {}

// Submit keeps a batch for Wait.
func (q *Queue) Submit(b *backend.Batch) error {
	switch {
	case q.closed.Load():
		return fmt.Errorf("submit: %w", backend.ErrClosed)
	case b == nil:
		return fmt.Errorf("submit: %w: nil", ErrBatch)
	case q.pending != nil:
		return fmt.Errorf("submit: %w: another batch is in flight, call Wait first", ErrBatch)
	}
	if err := q.carrier.Check(b); err != nil {
		return fmt.Errorf("submit: %w", err)
	}
	b.Err = nil
	for i := range b.Writes {
		b.Writes[i].Err = nil
	}
	q.pending = b
	return nil
}

// Wait carries out the batch that was submitted. A wake that came before is kept for the Wait
// after it: losing one could leave the caller asleep with work to do.
func (q *Queue) Wait() (*backend.Batch, error) {
	if q.closed.Load() {
		return nil, fmt.Errorf("wait: %w", backend.ErrClosed)
	}
	if b := q.pending; b != nil {
		q.pending = nil
		q.carrier.CarryOut(b)
		return b, nil
	}
	<-q.wake
	return nil, nil
}

// Wake ends a Wait.
func (q *Queue) Wake() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// Close carries out what was submitted.
func (q *Queue) Close() error {
	if q.closed.Swap(true) {
		return fmt.Errorf("close queue: %w", backend.ErrClosed)
	}
	if b := q.pending; b != nil {
		q.pending = nil
		q.carrier.CarryOut(b)
	}
	return nil
}
