package wal

import (
	"context"
	"fmt"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/chronik-go/wal/core/format"
)

// Partition is the handle of one stream of records. It stays valid until the Manager is
// closed; all methods may be called concurrently.
type Partition struct {
	topic string
	num   int32
	shard *shard

	// The submission side, guarded by the shard's append lock: where the next append
	// goes, whether or not what came before is acknowledged yet.
	id          uint32 // 0 until the first append
	next        int64
	first       int64
	truncations uint64
	// cutting counts the truncations that are submitted and not acknowledged yet: until then
	// the acknowledged side is not what a later entry stands behind.
	cutting int
	// producers are those that number their records, onceLSN the LSN of the newest append of one.
	producers producers
	onceLSN   uint64
	// dictionary is what appends are compressed with, by a codec that it is for; nil for none.
	dictionary atomic.Pointer[dictionary]

	// The acknowledged side: what readers see.
	mu       sync.RWMutex
	extents  extents
	known    producers     // those whose appends are acknowledged
	cut      atomic.Uint64 // extents.cuts.count
	visible  atomic.Int64  // next offset
	lowest   atomic.Int64  // first offset
	stable   atomic.Int64  // durable offset
	exists   atomic.Bool
	waiting  chan struct{} // closed when something is acknowledged; nil if nobody waits
	declared *segment      // the newest segment that declares it; the committer's
	counted  uint64        // when its producers were counted; the committer's
	dirty    bool          // acknowledged something since the last sync; the committer's
}

// Topic returns the partition's topic.
func (p *Partition) Topic() string { return p.topic }

// ID returns the partition's number in its topic.
func (p *Partition) ID() int32 { return p.num }

// FirstOffset returns the lowest offset that was not truncated.
func (p *Partition) FirstOffset() int64 { return p.lowest.Load() }

// NextOffset returns the offset behind the last acknowledged record.
func (p *Partition) NextOffset() int64 {
	p.mu.RLock() // not while a transaction comes into view, here or elsewhere
	defer p.mu.RUnlock()
	return p.visible.Load()
}

// DurableOffset returns the offset up to which, exclusive, records would survive a power
// failure: NextOffset, but for FsyncPeriodic.
func (p *Partition) DurableOffset() int64 {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return min(p.stable.Load(), p.visible.Load())
}

// Append appends records as one atomic batch and waits until they are acknowledged. It
// returns the first one's offset; the others follow it.
//
// ctx bounds the wait, not the write: after an error that wraps ctx.Err() the records may
// or may not be in the log. After ErrNoSpace and ErrFailed they are not, but if the process
// ends before anything else is appended, the next open may find them: the write may have
// gone further than its error tells. After any other error they are not. The caller may
// reuse the records' memory as soon as Append returns.
func (p *Partition) Append(ctx context.Context, records ...Record) (int64, error) {
	r, err := p.request(records)
	if err != nil {
		return 0, err
	}
	if err := p.begin(ctx, &r); err != nil {
		return 0, err
	}
	r.pack(records)
	sl, w, err := p.shard.reserve(ctx, &r, true)
	if err != nil {
		r.unpack()
		return 0, err
	}
	p.shard.submit(sl, &r, records)
	r.unpack()
	if err := p.shard.waitOn(ctx, w); err != nil {
		return 0, err
	}
	return sl.ack.offset, sl.ack.Wait(ctx)
}

// AppendAsync submits records as one atomic batch and returns without waiting for their
// acknowledgement. ctx bounds the wait for space in the write buffer. The caller may reuse
// the records' memory as soon as AppendAsync returns.
func (p *Partition) AppendAsync(ctx context.Context, records ...Record) (Ack, error) {
	r, err := p.request(records)
	if err != nil {
		return Ack{}, err
	}
	return p.send(ctx, r, records)
}

// AppendAfter is AppendAsync for a producer that has several appends in flight whose order
// counts: if the one before has failed, so does this one, with an error that wraps that
// one's. Without it, appends that are submitted after a disk was full for a moment may go
// in while those before them did not. before is an append to the same partition; the zero
// Ack is none.
func (p *Partition) AppendAfter(ctx context.Context, before Ack, records ...Record) (Ack, error) {
	r, err := p.request(records)
	if err != nil {
		return Ack{}, err
	}
	r.after = before
	return p.send(ctx, r, records)
}

// AppendAt is AppendAsync at an explicit offset, which is not below the next one; the
// offsets between are declared to have no record. It suits imports, and a raft log after
// a snapshot. An offset below the next one is ErrOffsetOutOfRange.
func (p *Partition) AppendAt(ctx context.Context, offset int64, records ...Record) (Ack, error) {
	r, err := p.request(records)
	if err != nil {
		return Ack{}, err
	}
	if offset < 0 || offset > math.MaxInt64-int64(len(records)) {
		return Ack{}, fmt.Errorf("%w: %s: append at offset %d", ErrOffsetOutOfRange, p, offset)
	}
	r.at = offset
	return p.send(ctx, r, records)
}

// AppendWith is AppendAsync with a codec of its own for these records, in place of the one
// for the topic; nil stores them as they are.
func (p *Partition) AppendWith(ctx context.Context, c Codec, records ...Record) (Ack, error) {
	if c != nil && (c.ID() < 1 || c.ID() > maxCodec) {
		return Ack{}, invalidCodec(c)
	}
	r, err := p.request(records)
	if err != nil {
		return Ack{}, err
	}
	r.codec = p.primed(c)
	return p.send(ctx, r, records)
}

func (p *Partition) send(ctx context.Context, r request, records []Record) (Ack, error) {
	if err := p.begin(ctx, &r); err != nil {
		return Ack{}, err
	}
	r.pack(records)
	defer r.unpack()
	sl, _, err := p.shard.reserve(ctx, &r, false)
	if err != nil {
		return Ack{}, err
	}
	p.shard.submit(sl, &r, records)
	return sl.ack, nil
}

// TruncateBefore drops the records below offset, which becomes the first one. It returns
// once that is durable; the space is freed in the background. At or below the first
// offset it does nothing; beyond the next one it is ErrOffsetOutOfRange.
func (p *Partition) TruncateBefore(ctx context.Context, offset int64) error {
	if offset <= p.FirstOffset() {
		return p.Sync(ctx) // for who truncated to there may not have come that far
	}
	return p.control(ctx, format.KindTruncateBefore, offset)
}

// TruncateAfter drops the records behind offset: the next one gets offset + 1. It returns
// once that is durable. It is ErrOffsetOutOfRange unless first - 1 <= offset < next.
func (p *Partition) TruncateAfter(ctx context.Context, offset int64) error {
	if offset < -1 || offset == math.MaxInt64 {
		return fmt.Errorf("%w: %s: truncate after %d", ErrOffsetOutOfRange, p, offset)
	}
	return p.control(ctx, format.KindTruncateAfter, offset+1)
}

func (p *Partition) control(ctx context.Context, kind format.Kind, base int64) error {
	r := request{part: p, at: base, start: time.Now(), entry: format.Entry{Kind: kind}}
	ack, err := p.send(ctx, r, nil)
	if err != nil {
		return err
	}
	if err := ack.Wait(ctx); err != nil {
		return err
	}
	return p.Sync(ctx)
}

// Sync returns once everything acknowledged to the partition before the call is durable.
// It has something to do only in mode periodic.
func (p *Partition) Sync(ctx context.Context) error { return p.shard.sync(ctx) }

func (p *Partition) String() string { return fmt.Sprintf("%s/%d", p.topic, p.num) }

// primed returns a codec with the dictionary in use, if it is one that this is for.
func (p *Partition) primed(c Codec) Codec {
	if d := p.dictionary.Load(); d != nil && c != nil {
		return d.prime(c)
	}
	return c
}

// request checks and measures records.
func (p *Partition) request(records []Record) (request, error) {
	if p == nil || p.shard == nil {
		return request{}, fmt.Errorf("%w: the partition is none: it comes from Manager.Partition or Lookup", ErrInvalid)
	}
	r := request{part: p, at: -1, start: time.Now(), codec: p.primed(p.shard.cfg.codecFor(p.topic))}
	if len(records) == 0 {
		return r, fmt.Errorf("%w: append of no records", ErrInvalid)
	}
	now, size, latest := r.start.UnixNano(), int64(0), int64(math.MinInt64)
	for i := range records {
		rec := &records[i]
		n := format.RecordSize(rec)
		size += n
		if size > p.shard.cfg.maxRecord {
			return r, fmt.Errorf("%w: %s: %d records are over %d bytes (the limit is %d)",
				ErrRecordTooLarge, p, i+1, size, p.shard.cfg.maxRecord)
		}
		if len(rec.Headers) > MaxHeaders {
			return r, fmt.Errorf("%w: %s: record with %d headers (the limit is %d)", ErrInvalid, p, len(rec.Headers), MaxHeaders)
		}
		if !validTimestamp(rec.Timestamp) {
			return r, fmt.Errorf("%w: %s: timestamp %v is not between 1678 and 2262", ErrInvalid, p, rec.Timestamp)
		}
		latest = max(latest, timestampOf(rec, now))
	}
	r.entry = format.Entry{
		Kind: format.KindData, Codec: format.CodecNone, Count: len(records),
		Length: size, RawLength: size, MaxTimestamp: latest,
	}
	return r, nil
}

// The range of times that nanoseconds since 1970 can express, rounded to full seconds.
const (
	minUnix = math.MinInt64/int64(time.Second) + 1
	maxUnix = math.MaxInt64/int64(time.Second) - 1
)

func validTimestamp(t time.Time) bool {
	return t.IsZero() || t.Unix() >= minUnix && t.Unix() <= maxUnix
}

// timestampOf is the record's own, or now if it has none.
func timestampOf(r *Record, now int64) int64 {
	if r.Timestamp.IsZero() {
		return now
	}
	return r.Timestamp.UnixNano()
}

// check tells whether a request fits the partition's state. The caller holds the append
// lock.
func (p *Partition) check(r *request) error {
	e := &r.entry
	switch {
	case e.Flags&format.FlagMoved != 0:
		if p.truncations != r.truncations {
			return errStaleMove
		}
	case e.Kind == format.KindData && r.producer != 0:
		if err := p.checkSequence(r); err != nil {
			return err
		}
		return p.fits(r, p.next)
	case e.Kind == format.KindData:
		return p.fits(r, p.next)
	case e.Kind == format.KindTruncateBefore:
		if r.at > p.next {
			return fmt.Errorf("%w: %s: truncate before %d, the next one is %d", ErrOffsetOutOfRange, p, r.at, p.next)
		}
	case e.Kind == format.KindTruncateAfter:
		if r.at < p.first || r.at > p.next {
			return fmt.Errorf("%w: %s: truncate after %d, %s", ErrOffsetOutOfRange, p, r.at-1, rangeText(p.first, p.next))
		}
	}
	return nil
}

// fits tells whether a batch can be appended where an offset is the next one.
func (p *Partition) fits(r *request, next int64) error {
	if r.at >= 0 && r.at < next {
		return fmt.Errorf("%w: %s: append at offset %d, the next one is %d", ErrOffsetOutOfRange, p, r.at, next)
	}
	if max(next, r.at) > math.MaxInt64-int64(r.entry.Count) {
		return fmt.Errorf("%w: %s: offsets are used up", ErrOffsetOutOfRange, p)
	}
	return nil
}

// rangeText says which records there are between two offsets, the second exclusive.
func rangeText(first, next int64) string {
	if first == next {
		return fmt.Sprintf("the partition is empty and its next offset is %d", next)
	}
	return fmt.Sprintf("records are %d to %d", first, next-1)
}

// place gives a checked request its offset. The caller holds the append lock.
func (p *Partition) place(r *request) {
	e := &r.entry
	if p.id == 0 {
		p.shard.partitions = append(p.shard.partitions, p)
		p.shard.lastID++
		p.id = p.shard.lastID
	}
	e.Partition = p.id
	switch {
	case e.Flags&format.FlagMoved != 0: // keeps its offsets
	case e.Kind == format.KindData:
		e.Base = max(p.next, r.at)
		e.Gap = e.Base - p.next
		p.next = e.End()
	case e.Kind == format.KindTruncateBefore:
		p.first = max(p.first, r.at) // another truncation may have gone further meanwhile
		e.Base = p.first
		p.truncations++
		p.cutting++
	case e.Kind == format.KindTruncateAfter:
		e.Base = r.at
		p.next = r.at
		p.producers.cut(r.at)
		p.truncations++
		p.cutting++
	}
}

// rollBack forgets what was submitted and not acknowledged. The caller holds the append
// lock.
func (p *Partition) rollBack() {
	p.next, p.first = p.visible.Load(), p.lowest.Load()
	p.truncations++
	p.cutting = 0
	p.producers, p.onceLSN = slices.Clone(p.known), 0
}
