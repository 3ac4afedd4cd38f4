package walv0

import (
	"context"
	"fmt"
	"sync"

	wal "github.com/chronik-go/wal/core"
)

// headerEnd marks the record that makes the offsets below it known, and is gone right after that.
const headerEnd = "chronik.v0.end"

// writer appends the records of a source to a log, each partition's in the order of offsets. So what a
// partition has at any time is a prefix of what it will have, and its next offset says where to go on.
type writer struct {
	m      *wal.Manager
	source *Source
	parts  []written
}

// written is what was submitted to a partition.
type written struct {
	p    *wal.Partition
	next int64
	last wal.Ack // the newest append
}

func (w *writer) run(ctx context.Context) error {
	for i := range w.parts {
		if err := w.begin(ctx, i); err != nil {
			return err
		}
	}
	if err := w.pump(ctx); err != nil {
		return err
	}
	for i := range w.parts {
		if err := w.end(ctx, i); err != nil {
			return err
		}
	}
	return nil
}

// begin finds out how far a partition is.
func (w *writer) begin(ctx context.Context, i int) (err error) {
	part := &w.source.parts[i]
	p := &w.parts[i]
	if p.p, err = w.m.Partition(part.Topic, part.Partition); err != nil {
		return err
	}
	p.next = p.p.NextOffset()
	if p.next <= part.Next {
		return nil
	}
	for r, err := range p.p.Read(ctx, part.Next) {
		if err != nil {
			return err
		}
		if r.Offset == part.Next && p.next == part.Next+1 && len(r.Headers) == 1 && r.Headers[0].Key == headerEnd {
			p.next = part.Next
			return p.p.TruncateAfter(ctx, part.Next-1)
		}
		break
	}
	return fmt.Errorf("%w: %v: its next offset is %d, that of the source %d", ErrVerify, p.p, p.next, part.Next)
}

// pump has the source read on one goroutine, and the log appended to on another.
func (w *writer) pump(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	free, full := make(chan *batch, 3), make(chan *batch, 3)
	for range cap(free) {
		free <- &batch{}
	}
	begun := make([]int64, len(w.parts)) // what is appended meanwhile does not count
	for i := range begun {
		begun[i] = w.parts[i].next
	}
	var readErr error
	var wg sync.WaitGroup
	wg.Go(func() {
		defer close(full)
		readErr = w.source.batches(ctx, func(part int) int64 { return begun[part] },
			func() *batch { return <-free }, // the writer gives each one back
			func(b *batch) error { full <- b; return nil })
	})
	var err error
	done := int64(0)
	for b := range full {
		if err == nil {
			if err = w.append(ctx, b); err != nil {
				cancel()
			}
			done += b.size
			w.source.o.Progress("writing", done, w.source.report.Bytes)
		}
		free <- b
	}
	wg.Wait()
	if err != nil {
		return err
	}
	return readErr
}

// append submits a batch. What follows a batch that failed does not go in.
func (w *writer) append(ctx context.Context, b *batch) (err error) {
	p := &w.parts[b.part]
	first, count := b.records[0].Offset, int64(len(b.records))
	if first == p.next && b.records[count-1].Offset == first+count-1 {
		p.last, err = p.p.AppendAfter(ctx, p.last, b.records...)
		p.next = first + count
		return err
	}
	for rest := b.records; len(rest) > 0 && err == nil; {
		rest, err = w.appendRuns(ctx, p, rest)
	}
	return err
}

// txRuns is how many rows of offsets are appended together: a reader looks at all of a frame for each.
const txRuns = 512

// appendRuns submits records of which some leave offsets out, and returns those that are left. Appends at
// explicit offsets go in whatever became of those before them: so these have to be there, and they go in
// together.
func (w *writer) appendRuns(ctx context.Context, p *written, rest []wal.Record) ([]wal.Record, error) {
	if err := p.wait(ctx); err != nil {
		return nil, err
	}
	tx, err := w.m.Begin()
	if err != nil {
		return nil, err
	}
	defer tx.Abort()
	for range txRuns {
		n := 1
		for n < len(rest) && rest[n].Offset == rest[n-1].Offset+1 {
			n++
		}
		p.next = rest[n-1].Offset + 1
		if err := tx.AppendAt(p.p, rest[0].Offset, rest[:n]...); err != nil {
			return nil, err
		}
		if rest = rest[n:]; len(rest) == 0 {
			break
		}
	}
	acks, err := tx.CommitAsync(ctx)
	if err == nil {
		p.last = acks[len(acks)-1]
	}
	return rest, err
}

// wait waits until all that was submitted is in the log.
func (p *written) wait(ctx context.Context) error {
	if p.last == (wal.Ack{}) {
		return nil
	}
	return p.last.Wait(ctx)
}

// end makes the offsets known that stand behind the last record: one is appended behind them, and
// dropped. A kill between leaves it to the next run.
func (w *writer) end(ctx context.Context, i int) error {
	p, next := &w.parts[i], w.source.parts[i].Next
	if err := p.wait(ctx); err != nil {
		return err
	}
	if p.next == next {
		return nil
	}
	ack, err := p.p.AppendAt(ctx, next, wal.Record{Headers: []wal.Header{{Key: headerEnd}}})
	if err == nil {
		err = ack.Wait(ctx)
	}
	if err != nil {
		return err
	}
	return p.p.TruncateAfter(ctx, next-1)
}
