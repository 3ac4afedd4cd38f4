package writer

import (
	"context"
	"errors"
	"fmt"
	"sync"

	wal "github.com/chronik-go/wal/core"
	"github.com/chronik-go/wal/core/backend"

	"github.com/chronik-go/wal/conformance/crash"
	"github.com/chronik-go/wal/conformance/internal/script"
)

// Job is what a writer is to do.
type Job struct {
	Dir  string
	Plan script.Plan
	// Done is what each producer's partition holds already.
	Done []script.Done
	// Window is how many appends a producer has in flight.
	Window int
	// Unread: nobody reads what is written meanwhile.
	Unread bool
	// Close closes the log when all is done.
	Close bool
}

// Write carries a job out and notes on the page how far it came. It returns the first error
// of the log; a log that fails leaves the others to fail by themselves.
func Write(ctx context.Context, b backend.Backend, job Job, page *Page) error {
	m, err := wal.Open(job.Dir, append(job.Plan.Options(), wal.WithBackend(b))...)
	if err != nil {
		return fmt.Errorf("open: %w", err)
	}
	stop, cancel := context.WithCancel(ctx)
	defer cancel()
	var readers, producers sync.WaitGroup
	errs := make([]error, job.Plan.Producers+1)
	for i := range job.Plan.Producers {
		part, err := m.Partition(script.Topic, int32(i))
		if err != nil {
			return errors.Join(fmt.Errorf("partition %d: %w", i, err), m.Close())
		}
		p := &producer{job: &job, number: i, m: m, part: part, page: page, durable: job.Plan.Mode() != wal.FsyncPeriodic}
		producers.Go(func() { errs[i] = p.run(ctx) })
		if i == 0 && !job.Unread {
			readers.Go(func() { errs[len(errs)-1] = p.watch(stop) })
		}
	}
	producers.Wait()
	cancel()
	readers.Wait()
	err = errors.Join(errs...)
	if job.Close || err != nil {
		err = errors.Join(err, m.Close())
	}
	return err
}

// producer carries out the operations of one partition.
type producer struct {
	job    *Job
	number int
	m      *wal.Manager
	part   *wal.Partition
	page   *Page
	// durable: what is acknowledged is durable.
	durable bool

	pending []wal.Ack
	last    wal.Ack
	settled int // operations that are acknowledged
	// streak: all that is on its way are numbered appends.
	streak bool
}

func (p *producer) run(ctx context.Context) error {
	plan := p.job.Plan
	s := plan.State(p.number, p.job.Done[p.number])
	if err := p.repeat(ctx, s); err != nil {
		return fmt.Errorf("producer %d: %w", p.number, err)
	}
	for i := range plan.Ops {
		o := plan.Op(p.number, i, s)
		if err := p.page.submitted(p.number, i+1); err != nil {
			return err
		}
		if err := p.do(ctx, o); err != nil {
			return fmt.Errorf("producer %d, %v: %w", p.number, o, err)
		}
		s = s.After(o)
	}
	return p.drain(ctx, 0)
}

func (p *producer) do(ctx context.Context, o script.Op) error {
	if o.Kind == script.Once {
		return p.once(ctx, o)
	}
	p.streak = false
	if o.Kind == script.Append && o.At < 0 {
		ack, err := p.part.AppendAfter(ctx, p.last, o.Records()...)
		if err != nil {
			return err
		}
		p.pending, p.last = append(p.pending, ack), ack
		return p.drain(ctx, p.job.Window-1)
	}
	if o.Kind == script.Transaction {
		return p.transact(ctx, o)
	}
	if err := p.drain(ctx, 0); err != nil {
		return err
	}
	var err error
	switch o.Kind {
	case script.Append:
		var ack wal.Ack
		if ack, err = p.part.AppendAt(ctx, o.At, o.Records()...); err == nil {
			p.last, err = ack, ack.Wait(ctx)
		}
	case script.TruncateBefore:
		err = p.part.TruncateBefore(ctx, o.At)
	case script.TruncateAfter:
		err = p.part.TruncateAfter(ctx, o.At)
	case script.Sync:
		err = p.part.Sync(ctx)
	}
	if err != nil {
		return err
	}
	p.settled++
	if o.Kind != script.Append || p.durable {
		return p.page.acked(p.number, p.settled)
	}
	return nil
}

// transact commits a transaction. The appends before it are acknowledged by then: it is to
// fail where they did.
func (p *producer) transact(ctx context.Context, o script.Op) error {
	if err := p.drain(ctx, 0); err != nil {
		return err
	}
	pair, err := p.m.Partition(script.PairTopic, int32(p.number))
	if err != nil {
		return err
	}
	tx, err := p.m.Begin()
	if err != nil {
		return err
	}
	if err := errors.Join(tx.Append(p.part, o.Records()...), tx.Append(pair, o.PairRecord())); err != nil {
		return err
	}
	acks, err := tx.CommitAsync(ctx)
	if err != nil {
		return err
	}
	p.pending, p.last = append(p.pending, acks[0]), acks[0]
	return nil
}

// drain waits until at most so many appends are in flight.
func (p *producer) drain(ctx context.Context, left int) error {
	for len(p.pending) > left {
		if err := p.pending[0].Wait(ctx); err != nil {
			return err
		}
		p.pending = p.pending[1:]
		p.settled++
		if p.durable {
			if err := p.page.acked(p.number, p.settled); err != nil {
				return err
			}
		}
	}
	return nil
}

// watch reads the partition over and over, as another goroutine of the application would, and
// notes what it has seen.
func (p *producer) watch(ctx context.Context) error {
	seen := 0
	for ctx.Err() == nil {
		from := max(p.part.FirstOffset(), p.part.NextOffset()-20)
		last := from - 1
		for r, err := range p.part.Read(ctx, from) {
			if errors.Is(err, wal.ErrOffsetOutOfRange) || errors.Is(err, context.Canceled) || errors.Is(err, wal.ErrClosed) {
				break // truncated meanwhile
			}
			if err != nil {
				return fmt.Errorf("%w: %w", ErrRead, err)
			}
			index, ok := p.job.Plan.Find(p.number, r)
			if !ok || r.Offset <= last {
				return violation(crash.ReadersWhole, "%v: the record at offset %d, after %d, is none that was submitted", p.part, r.Offset, last)
			}
			last = r.Offset
			if p.durable && index+1 > seen {
				seen = index + 1
				if err := p.page.seen(p.number, seen); err != nil {
					return err
				}
			}
		}
		if err := p.pause(ctx); err != nil {
			return err
		}
	}
	return nil
}

// pause waits until something is appended.
func (p *producer) pause(ctx context.Context) error {
	for _, err := range p.part.Follow(ctx, p.part.NextOffset()) {
		if err != nil && !errors.Is(err, wal.ErrOffsetOutOfRange) && ctx.Err() == nil {
			return fmt.Errorf("%w: follow: %w", ErrRead, err)
		}
		break
	}
	return nil
}

// ErrRead is wrapped by the error of a reader.
var ErrRead = errors.New("reader")
