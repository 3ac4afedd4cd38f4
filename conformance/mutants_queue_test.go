package conformance

import (
	"errors"
	"slices"

	"github.com/chronik-go/wal/core/backend"
)

func queueMutants() []mutant {
	return append(append(limitMutants(), bufferMutants()...), append(batchMutants(), waitMutants()...)...)
}

// limited changes Limits.
func limited(change func(q *brokenQueue, l *backend.Limits)) hooks {
	return hooks{limits: func(q *brokenQueue) backend.Limits {
		l := q.Queue.Limits()
		change(q, &l)
		return l
	}}
}

func limitMutants() []mutant {
	return []mutant{
		{breaks: "the alignment is that of no device", check: "Queue/AlignmentIsInRange",
			hooks: limited(func(_ *brokenQueue, l *backend.Limits) { l.Alignment = 256 })},
		{breaks: "the depth is more than the queue takes", check: "Queue/DepthIsUsable",
			hooks: limited(func(_ *brokenQueue, l *backend.Limits) { l.Depth++ })},
		{breaks: "Limits change", check: "Queue/LimitsAreConstant", hooks: limited(func(q *brokenQueue, l *backend.Limits) {
			q.count++
			l.PreferWritten = q.count%2 == 0
		})},
	}
}

func bufferMutants() []mutant {
	return []mutant{
		{breaks: "buffers lie in each other", check: "Queue/BuffersAreApart", hooks: hooks{
			buffer: func(q *brokenQueue, size int) (*backend.Buffer, error) {
				q.mu.Lock()
				defer q.mu.Unlock()
				if q.buf != nil && len(q.buf.Bytes) >= size {
					return &backend.Buffer{Bytes: q.buf.Bytes[:size], Backend: q.buf.Backend}, nil
				}
				b, err := q.Queue.Buffer(size)
				q.buf = b
				return b, err
			},
			release: func(*brokenQueue, *backend.Buffer) {}}},
		{breaks: "a buffer of no bytes has one", check: "Queue/ImpossibleBuffers", hooks: hooks{
			buffer: func(q *brokenQueue, size int) (*backend.Buffer, error) { return q.Queue.Buffer(max(size, 1)) }}},
		{breaks: "no buffer while a batch is in flight", check: "Queue/AnyGoroutine", hooks: hooks{
			submit: func(q *brokenQueue, b *backend.Batch) error {
				q.mu.Lock()
				defer q.mu.Unlock()
				q.count++
				return q.submitInside(b)
			},
			wait: func(q *brokenQueue) (*backend.Batch, error) {
				b, err := q.waitInside()
				q.mu.Lock()
				defer q.mu.Unlock()
				if b != nil {
					q.count--
				}
				return b, err
			},
			buffer: func(q *brokenQueue, size int) (*backend.Buffer, error) {
				q.mu.Lock()
				defer q.mu.Unlock()
				if q.count > 0 {
					return nil, errors.New("not now")
				}
				return q.Queue.Buffer(size)
			}}},
		{breaks: "released memory is lost", check: "Queue/ReleasedMemoryIsUsedAgain", system: true, hooks: hooks{
			release: func(*brokenQueue, *backend.Buffer) {}}},
		{breaks: "Release does not stand a closed queue", check: "Queue/ReleaseAfterClose", hooks: hooks{
			release: func(q *brokenQueue, b *backend.Buffer) {
				if q.closed {
					panic("release after close")
				}
				q.Queue.Release(b)
			},
			closeQueue: func(q *brokenQueue) error {
				q.closed = true
				return q.Queue.Close()
			}}},
		{breaks: "Close of a Queue leaves a goroutine", check: "Errors/CloseLeavesNothing", hooks: hooks{
			closeQueue: func(q *brokenQueue) error {
				leakGoroutine()
				return q.Queue.Close()
			}}},
		{breaks: "Close of a Queue keeps its memory", check: "Errors/CloseLeavesNothing", system: true, hooks: hooks{
			closeQueue: func(*brokenQueue) error { return nil }}},
	}
}

// altered carries out other writes than it was given, and reports on the given ones.
func altered(change func(q *brokenQueue, ws []backend.Write) []backend.Write) hooks {
	return hooks{
		submit: func(q *brokenQueue, b *backend.Batch) error {
			for i := range b.Writes {
				b.Writes[i].Err = nil
			}
			return q.submitInside(&backend.Batch{Writes: change(q, slices.Clone(b.Writes)), Tag: b})
		},
		wait: func(q *brokenQueue) (*backend.Batch, error) {
			got, err := q.waitInside()
			if got == nil {
				return nil, err
			}
			b := got.Tag.(*backend.Batch)
			b.Err = got.Failed()
			return b, nil
		},
	}
}

func batchMutants() []mutant {
	return []mutant{
		{breaks: "a write takes the block behind it too", check: "Queue/NeighboursAreKept", hooks: altered(
			func(_ *brokenQueue, ws []backend.Write) []backend.Write {
				if w := ws[0]; len(ws) == 1 && len(w.Data) <= block && w.Offset < 2*block {
					w.Offset += int64(len(w.Data))
					ws = append(ws, w)
				}
				return ws
			})},
		{breaks: "the last write of a large batch is left out", check: "Queue/WritesMatchModel", hooks: altered(
			func(_ *brokenQueue, ws []backend.Write) []backend.Write {
				return ws[:min(len(ws), 6)]
			})},
		{breaks: "zeros are not written", check: "Queue/WritesMatchModel", hooks: altered(
			func(_ *brokenQueue, ws []backend.Write) []backend.Write {
				return slices.DeleteFunc(ws, func(w backend.Write) bool {
					return len(w.Data) > 0 && !slices.ContainsFunc(w.Data, func(b byte) bool { return b != 0 })
				})
			})},
		{breaks: "where a batch is of many files, some of it goes to another one", check: "Queue/WritesMatchModel", hooks: altered(
			func(_ *brokenQueue, ws []backend.Write) []backend.Write {
				for i := 16; i < len(ws); i++ {
					ws[i].File = ws[i%16].File
				}
				return ws
			})},
		{breaks: "a short write is passed over", check: "Queue/ShortWrites", hooks: altered(
			func(_ *brokenQueue, ws []backend.Write) []backend.Write {
				for i := range ws {
					ws[i].Data = ws[i].Data[:min(len(ws[i].Data), 16<<20)]
				}
				return ws
			})},
		{breaks: "Data is changed", check: "Queue/BatchIsKept", hooks: hooks{
			wait: func(q *brokenQueue) (*backend.Batch, error) {
				b, err := q.waitInside()
				if b != nil && len(b.Writes) > 0 && len(b.Writes[0].Data) > 0 {
					b.Writes[0].Data[0]++
				}
				return b, err
			}}},
		{breaks: "errors of before stay", check: "Queue/OldErrorsAreGone", hooks: hooks{
			submit: func(q *brokenQueue, b *backend.Batch) error {
				q.errs = []error{b.Err}
				return q.submitInside(b)
			},
			wait: func(q *brokenQueue) (*backend.Batch, error) {
				b, err := q.waitInside()
				if b != nil && b.Err == nil {
					b.Err = q.errs[0]
				}
				return b, err
			}}},
		{breaks: "Submit takes what it should refuse", check: "Queue/SubmitRefuses", hooks: hooks{
			submit: func(q *brokenQueue, b *backend.Batch) error {
				if b.Err = q.submitInside(b); b.Err != nil {
					q.held = append(q.held, b)
				}
				return nil
			},
			wait: waitHeld}},
		{breaks: "a batch that is refused comes back", check: "Queue/RefusedBatchesDoNothing", hooks: hooks{
			submit: func(q *brokenQueue, b *backend.Batch) error {
				err := q.submitInside(b)
				if err != nil {
					q.held = append(q.held, b)
				}
				return err
			},
			wait: waitHeld}},
		{breaks: "a part of a refused batch is written", check: "Queue/RefusedBatchesDoNothing", hooks: hooks{
			submit: func(q *brokenQueue, b *backend.Batch) error {
				err := q.submitInside(b)
				if err != nil && len(b.Writes) > 1 {
					if q.submitInside(&backend.Batch{Writes: slices.Clone(b.Writes[:1])}) == nil {
						_, _ = q.waitInside() // its content is what counts
					}
				}
				return err
			}}},
		{breaks: "every second Submit takes memory", check: "Alloc/SteadyStateAllocatesNothing", hooks: hooks{
			submit: func(q *brokenQueue, b *backend.Batch) error {
				if q.count++; q.count%2 == 0 {
					q.errs = make([]error, 1)
				}
				return q.submitInside(b)
			}}},
		{breaks: "Submit takes memory", check: "Alloc/SteadyStateAllocatesNothing", hooks: hooks{
			submit: func(q *brokenQueue, b *backend.Batch) error {
				q.errs = make([]error, 1)
				return q.submitInside(b)
			}}},
	}
}

// waitHeld returns what is held before what is done.
func waitHeld(q *brokenQueue) (*backend.Batch, error) {
	if len(q.held) > 0 {
		b := q.held[0]
		q.held = q.held[1:]
		return b, nil
	}
	return q.waitInside()
}

func waitMutants() []mutant {
	return []mutant{
		{breaks: "a batch comes back twice", check: "Queue/BatchesComeBackOnce", hooks: hooks{
			wait: func(q *brokenQueue) (b *backend.Batch, err error) {
				if q.count++; q.count%5 == 0 {
					return q.last, nil
				}
				q.last, err = q.waitInside()
				return q.last, err
			}}},
		{breaks: "an empty batch does not come back", check: "Queue/BatchesComeBackOnce", hooks: hooks{
			submit: func(q *brokenQueue, b *backend.Batch) error {
				if len(b.Writes) == 0 {
					return nil
				}
				return q.submitInside(b)
			}}},
		{breaks: "Close throws away what is in flight", check: "Queue/CloseCarriesOut", hooks: carriedOutByWait()},
		{breaks: "Wait does not block", check: "Queue/WaitBlocks", hooks: hooks{
			wait: func(q *brokenQueue) (*backend.Batch, error) {
				q.Queue.Wake()
				return q.waitInside()
			}}},
		{breaks: "a wake that comes before Wait is lost", check: "Queue/WakeEndsOneWait", hooks: hooks{
			wait: func(q *brokenQueue) (*backend.Batch, error) {
				q.add(1)
				defer q.add(-1)
				return q.waitInside()
			},
			wake: func(q *brokenQueue) {
				if q.add(0) > 0 {
					q.Queue.Wake()
				}
			}}},
		{breaks: "a wake ends two Waits", check: "Queue/WakeEndsOneWait", hooks: hooks{
			wait: func(q *brokenQueue) (*backend.Batch, error) {
				if q.count > 0 {
					q.count = 0
					return nil, nil
				}
				b, err := q.waitInside()
				if b == nil {
					q.count = 1
				}
				return b, err
			}}},
		{breaks: "a wake is lost beside a batch", check: "Queue/WakeAndBatch", hooks: hooks{
			submit: func(q *brokenQueue, b *backend.Batch) error {
				q.add(1)
				return q.submitInside(b)
			},
			wait: func(q *brokenQueue) (*backend.Batch, error) {
				b, err := q.waitInside()
				if b != nil {
					q.add(-1)
				}
				return b, err
			},
			wake: func(q *brokenQueue) {
				if q.add(0) == 0 {
					q.Queue.Wake()
				}
			}}},
		{breaks: "a wake wakes all queues", check: "Dir/QueuesAreIndependent", hooks: hooks{
			wake: func(q *brokenQueue) {
				for _, other := range q.b.queues {
					other.Queue.Wake()
				}
			}}},
		{breaks: "Wake does not stand a closed queue", check: "Queue/WakeAfterClose", hooks: hooks{
			wake: func(q *brokenQueue) {
				if q.add(0) > 0 {
					panic("wake after close")
				}
				q.Queue.Wake()
			},
			closeQueue: func(q *brokenQueue) error {
				q.add(1)
				return q.Queue.Close()
			}}},
	}
}

// add counts, and says how far it has come.
func (q *brokenQueue) add(n int) int {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.count += n
	return q.count
}

// carriedOutByWait carries out a batch when it is waited for, and not at Close.
func carriedOutByWait() hooks {
	return hooks{
		submit: func(q *brokenQueue, b *backend.Batch) error {
			q.held = append(q.held, b)
			return nil
		},
		wait: func(q *brokenQueue) (*backend.Batch, error) {
			if len(q.held) > 0 {
				b := q.held[0]
				q.held = q.held[1:]
				if err := q.submitInside(b); err != nil {
					return nil, err
				}
			}
			return q.waitInside()
		},
	}
}
