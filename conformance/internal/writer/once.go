package writer

import (
	"context"

	wal "github.com/chronik-go/wal/core"

	"github.com/chronik-go/wal/conformance/crash"
	"github.com/chronik-go/wal/conformance/internal/script"
)

// id is that under which a producer numbers its records.
func id(producer int) uint64 { return uint64(producer) + 1 }

// repeat appends the last records that were numbered again, as one does that was not told what became
// of them: the log has to know them.
func (p *producer) repeat(ctx context.Context, s script.State) error {
	sequence, offset, n := s.Row.Last(3)
	if n == 0 {
		return nil
	}
	ack, err := p.part.AppendOnce(ctx, id(p.number), sequence, make([]wal.Record, n)...)
	if err != nil {
		return err
	}
	if !ack.Duplicate() || ack.Offset() != offset {
		return violation(crash.AppendedOnce, "%v: producer %d repeats %d records from number %d on: appended before: %v, offset %d instead of %d",
			p.part, p.number, n, sequence, ack.Duplicate(), ack.Offset(), offset)
	}
	return ack.Wait(ctx)
}

// once appends records that are numbered. Those of other appends on their way are waited for first: where
// one fails, this one must too, and only numbers in a row see to that. So nothing follows one that may have
// any number until that is acknowledged.
func (p *producer) once(ctx context.Context, o script.Op) error {
	if !p.streak || o.Fresh {
		if err := p.drain(ctx, 0); err != nil {
			return err
		}
	}
	ack, err := p.part.AppendOnce(ctx, id(p.number), o.Sequence, o.Records()...)
	if err != nil {
		return err
	}
	if ack.Duplicate() {
		return violation(crash.AppendedOnce, "%v: number %d is taken for one that was appended", p.part, o.Sequence)
	}
	p.pending, p.last = append(p.pending, ack), ack
	p.streak = true
	if o.Again {
		if err := p.again(ctx, o, ack); err != nil {
			return err
		}
	}
	if o.Fresh {
		return p.drain(ctx, 0)
	}
	return p.drain(ctx, p.job.Window-1)
}

// again appends once more what is on its way.
func (p *producer) again(ctx context.Context, o script.Op, first wal.Ack) error {
	ack, err := p.part.AppendOnce(ctx, id(p.number), o.Sequence, o.Records()...)
	if err != nil {
		return err
	}
	if ack.Duplicate() && ack.Offset() == first.Offset() {
		return nil
	}
	if err := first.Wait(ctx); err != nil {
		return err // it was gone by then
	}
	return violation(crash.AppendedOnce, "%v: number %d, repeated at once: appended before: %v, offset %d instead of %d",
		p.part, o.Sequence, ack.Duplicate(), ack.Offset(), first.Offset())
}
