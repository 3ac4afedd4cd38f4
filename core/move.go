package wal

import (
	"errors"
	"io"
	"math"
	"time"

	"github.com/chronik-go/wal/core/format"
)

// Segments go strictly from the oldest on, so one partition that lags, and still needs
// some records of the oldest segment, holds back all the garbage behind it. Once that is
// more than the move limit, its records are written again at the end of the log.

// errStaleMove: the partition was truncated after the records were read, or is just being.
var errStaleMove = errors.New("truncated while its records were moved")

// moveBatch is how much is moved by one batch, bytes.
const moveBatch = 256 << 10

// move moves what is live in the oldest segment, if enough garbage waits behind it. It
// reports whether nothing live is left there.
func (k *keeper) move(g *segment) bool {
	if k.full != nil || k.s.cfg.moveLimit == 0 || k.garbage() <= k.s.cfg.moveLimit {
		return false
	}
	k.dropFiles() // whose space the copies may need
	k.s.mu.Lock()
	parts := append([]*Partition(nil), k.s.partitions...)
	k.s.mu.Unlock()
	for _, p := range parts {
		if err := k.movePartition(p, g); err != nil {
			k.noSpace(err)
			if !errors.Is(err, errStaleMove) && k.ctx.Err() == nil {
				k.s.cfg.logger.Warn("cannot move old records", "partition", p.String(), "error", err)
			}
			return false
		}
	}
	return g.live.Load() == 0
}

// garbage estimates the bytes of segments that hold nothing live, from the share of
// their records that is.
func (k *keeper) garbage() int64 {
	total := int64(0)
	list := k.s.segments.all()
	for _, g := range list {
		total += g.end.Load()
	}
	if total <= k.s.cfg.moveLimit {
		return 0
	}
	live := map[*segment]int64{}
	k.s.mu.Lock()
	parts := append([]*Partition(nil), k.s.partitions...)
	k.s.mu.Unlock()
	for _, p := range parts {
		p.mu.RLock()
		for _, e := range p.extents.list {
			if !e.lost {
				live[e.seg] += e.end - e.first
			}
		}
		p.mu.RUnlock()
	}
	garbage := int64(0)
	for _, g := range list {
		if n := g.records.Load(); n > 0 && !g.is(stateActive) {
			garbage += int64(float64(g.end.Load()) * (1 - float64(live[g])/float64(n)))
		}
	}
	return garbage
}

// movePartition writes again what a partition has in g.
func (k *keeper) movePartition(p *Partition, g *segment) error {
	for {
		k.s.mu.Lock()
		truncations, cutting := p.truncations, p.cutting
		k.s.mu.Unlock()
		if cutting > 0 {
			return errStaleMove // the copy would bring back what is being truncated
		}
		e, ok := p.extentIn(g)
		if !ok {
			return nil
		}
		if err := k.moveExtent(p, e, truncations); err != nil {
			return err
		}
	}
}

// extentIn returns the partition's first extent of records in g.
func (p *Partition) extentIn(g *segment) (extent, bool) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	for _, e := range p.extents.list {
		if e.seg == g && !e.lost {
			return e, true
		}
	}
	return extent{}, false
}

// moveExtent appends the extent's records again, as moved batches.
func (k *keeper) moveExtent(p *Partition, e extent, truncations uint64) error {
	c := newCursor(p, e.first)
	defer c.close()
	gap := e.gap
	for c.next < e.end {
		r := request{part: p, at: -1, start: time.Now(), truncations: truncations}
		records, err := c.moved(&r, e)
		if err != nil {
			return err
		}
		r.entry.Gap = gap
		ack, err := p.send(k.ctx, r, records)
		if err != nil {
			return err
		}
		if err := ack.Wait(k.ctx); err != nil {
			return err
		}
		k.s.count.movedBytes.Add(uint64(r.entry.RawLength))
		gap = 0
	}
	return nil
}

// moved fills in the request for what is to be moved next of an extent, and returns its records.
// A batch whose codec or dictionary is not there is moved as it is stored, and has none.
func (c *cursor) moved(r *request, e extent) (records []Record, err error) {
	r.entry = format.Entry{Kind: format.KindData, Flags: format.FlagMoved, Base: c.next, MaxTimestamp: math.MinInt64}
	r.codec = c.p.primed(c.p.shard.cfg.codecFor(c.p.topic))
	for c.next < e.end && r.entry.RawLength < moveBatch {
		rec, err := c.record()
		switch {
		case errors.Is(err, io.EOF) || errors.Is(err, ErrOffsetOutOfRange):
			return nil, errStaleMove
		case unreadable(err) && len(records) > 0:
			return records, nil
		case unreadable(err) && c.pending[0].Base == c.next && c.pending[0].End() <= e.end:
			return nil, c.movedAsStored(r)
		case err != nil: // of a part of a batch whose codec is not there too
			return nil, err
		}
		r.entry.Count++
		r.entry.Length += format.RecordSize(&rec)
		r.entry.RawLength = r.entry.Length
		r.entry.MaxTimestamp = max(r.entry.MaxTimestamp, rec.Timestamp.UnixNano())
		records = append(records, rec)
	}
	return records, nil
}

// unreadable reports whether a batch is sound, and its codec or its dictionary is not there.
func unreadable(err error) bool { return errors.Is(err, ErrCodec) || errors.Is(err, ErrDictionary) }

// movedAsStored fills in the request for a whole batch whose codec or dictionary is not there. If it is sealed
// it is sealed anew, for its copy stands elsewhere.
func (c *cursor) movedAsStored(r *request) error {
	b := c.pending[0]
	if b.Codec&format.CodecSealed != 0 {
		data, err := c.p.shard.cfg.unseal(nil, c.stored(b))
		if err != nil {
			return err
		}
		b.data, b.Codec, b.Length = data, b.Codec&^format.CodecSealed, int64(len(data))
	}
	c.pending, c.next = c.pending[1:], b.End()
	b.Flags, b.Gap = format.FlagMoved, 0
	r.entry, r.codec, r.packed = b.Entry, nil, &packed{data: b.data}
	return nil
}
