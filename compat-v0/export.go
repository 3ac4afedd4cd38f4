package walv0

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	wal "github.com/chronik-go/wal/core"
)

// Export makes a v0 data directory, to, which is empty or not there, of the v1 log in from. What came from
// V2 records becomes V2c, all else V1. It is like Import in all that it promises. Nothing may write to the
// log meanwhile.
//
// A v0 directory is never encrypted: keys among opts are for reading the log, and what comes of it is plain.
//
// V1 has no room for times between two milliseconds, nor for a value that is absent and not empty: the
// report counts such records.
func Export(ctx context.Context, from, to string, o Options, opts ...wal.Option) (*Report, error) {
	opts = append(opts[:len(opts):len(opts)], wal.WithLegacyFormat(false), wal.WithReadOnly())
	m, err := wal.Open(from, opts...)
	if err != nil {
		return nil, err
	}
	e := &exporter{m: m, to: to, o: o, report: &Report{DryRun: o.DryRun}}
	e.o.Progress, e.o.Batch = progress(o), batchBytes(o)
	if err = e.look(ctx); err == nil && !o.DryRun {
		err = e.run(ctx)
	}
	e.report.Partitions = e.parts
	return e.report, errors.Join(err, m.Close())
}

type exporter struct {
	m      *wal.Manager
	to     string
	o      Options
	report *Report
	parts  []Partition
	done   int64 // bytes, for Progress
	lost   int64 // offsets that reads left out
}

// exported is a record and how v0 has it.
type exported struct {
	*wal.Record
	// last is the last offset it stands for, opaque what says so; nil for V1.
	last   int64
	opaque *opaque
}

// records returns the records of a partition from an offset on.
func (e *exporter) records(ctx context.Context, part *Partition, from int64) iter.Seq2[exported, error] {
	return func(yield func(exported, error) bool) {
		p, err := e.m.Lookup(part.Topic, part.Partition)
		if err != nil {
			yield(exported{}, err)
			return
		}
		var held *wal.Record // until the next one is known
		for r, err := range p.Read(ctx, min(max(from, p.FirstOffset()), p.NextOffset())) {
			var lost *wal.LostError
			switch {
			case errors.As(err, &lost) && e.o.AcceptLost:
				e.lost += lost.To - lost.From
				continue
			case err != nil:
				yield(exported{}, err)
				return
			}
			if held != nil && !yield(asV0(held, r.Offset), nil) {
				return
			}
			held = &r
		}
		if held != nil {
			yield(asV0(held, maxOffset+1), nil)
		}
	}
}

// asV0 is a record behind which the next one has an offset. It is a V2 record if it came from one and the
// offsets that it stands for are still its own.
func asV0(r *wal.Record, next int64) exported {
	if o, ok := fromV2(r); ok && o.base == r.Offset && o.last < next {
		return exported{r, o.last, &o}
	}
	return exported{r, r.Offset, nil}
}

func (x *exported) append(b []byte, p *Partition) ([]byte, error) {
	if o := x.opaque; o != nil {
		return AppendV2c(b, p.Topic, p.Partition, x.Value, o.base, o.last, o.count)
	}
	return AppendV1(b, x.Record)
}

// look reads all, and finds out whether v0 can have it.
func (e *exporter) look(ctx context.Context) error {
	segments, err := e.m.Segments()
	if err != nil {
		return err
	}
	e.report.Files = len(segments)
	for _, g := range segments {
		e.report.Bytes += g.RawBytes
	}
	var scratch []byte
	for _, info := range e.m.Partitions() {
		p := Partition{Topic: info.Topic, Partition: info.Partition}
		if err := e.lookAt(ctx, &p, &scratch); err != nil {
			return fmt.Errorf("%s/%d: %w", p.Topic, p.Partition, err)
		}
		p.First, p.Next, p.Records = p.digest.first, p.digest.next, p.digest.records
		e.parts = append(e.parts, p)
		e.report.Records += p.Records
	}
	e.report.Lost = e.lost
	return nil
}

func (e *exporter) lookAt(ctx context.Context, p *Partition, scratch *[]byte) error {
	var h hasher
	for r, err := range e.records(ctx, p, 0) {
		if err != nil {
			return err
		}
		if *scratch, err = r.append((*scratch)[:0], p); err != nil {
			return err
		}
		if r.Timestamp.Nanosecond()%int(time.Millisecond) != 0 || r.Value == nil || hasAbsent(r.Headers) {
			e.report.Approximated++
		}
		e.progress("reading", int64(len(*scratch)))
		rounded := *r.Record
		rounded.Timestamp = time.UnixMilli(r.Timestamp.UnixMilli())
		p.digest.add(r.Offset, r.last, h.ofV1(&rounded))
	}
	return nil
}

func hasAbsent(list []wal.Header) bool {
	for i := range list {
		if list[i].Value == nil {
			return true
		}
	}
	return false
}

func (e *exporter) progress(what string, n int64) {
	e.done += n
	e.o.Progress(what, e.done, max(e.done, e.report.Bytes))
}

func (e *exporter) run(ctx context.Context) error {
	return migrate(ctx, e.to, goalOf("v0", wal.Storage{}, Options{AcceptLost: e.o.AcceptLost}, e.parts), e.report, e)
}

func (e *exporter) foreign(err error) error { return fmt.Errorf("%w: %s: %w", ErrForeign, e.to, err) }

// verify compares a v0 directory with the log.
func (e *exporter) verify(ctx context.Context, dir string) error {
	o := e.o
	o.MaxRecord = wal.MaxRecordLimit << 1
	o.Renumber, o.AcceptBadCRC = nil, false
	o.Progress = func(_ string, done, total int64) { e.o.Progress("verifying", done, total) }
	s, err := Scan(ctx, dir, o)
	if errors.Is(err, ErrNoSource) && e.report.Records == 0 {
		return nil
	}
	if err != nil {
		return err
	}
	r := s.Report()
	found := map[partitionID]*digest{}
	for _, p := range s.parts {
		found[partitionID{p.Topic, p.Partition}] = &p.digest
	}
	if err = errors.Join(r.Err(), s.Close()); err != nil {
		return fmt.Errorf("%w: %w", ErrVerify, err)
	}
	if r.TornTails > 0 || r.Duplicates > 0 || r.BadCRC > 0 {
		return fmt.Errorf("%w: %d torn tails, %d duplicates", ErrVerify, r.TornTails, r.Duplicates)
	}
	return compare(e.parts, found)
}

// unchanged returns an error if something was appended to the log since it was opened.
func (e *exporter) unchanged(ctx context.Context) error {
	before := e.m.Partitions()
	if err := e.m.Refresh(ctx); err != nil {
		return err
	}
	after := e.m.Partitions()
	if len(after) != len(before) {
		return ErrSourceChanged
	}
	for i, p := range before {
		if p.NextOffset != after[i].NextOffset || p.FirstOffset != after[i].FirstOffset {
			return ErrSourceChanged
		}
	}
	return nil
}
