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
		base := c.next
		var records []Record
		size, latest := int64(0), int64(math.MinInt64)
		for c.next < e.end && size < moveBatch {
			r, err := c.record()
			if errors.Is(err, io.EOF) || errors.Is(err, ErrOffsetOutOfRange) {
				return errStaleMove
			}
			if err != nil {
				return err
			}
			size += format.RecordSize(&r)
			latest = max(latest, r.Timestamp.UnixNano())
			records = append(records, r)
		}
		r := request{part: p, at: -1, start: time.Now(), truncations: truncations, entry: format.Entry{
			Kind: format.KindData, Flags: format.FlagMoved, Base: base, Gap: gap, Count: len(records),
			Length: size, RawLength: size, MaxTimestamp: latest,
		}}
		ack, err := p.send(k.ctx, r, records)
		if err != nil {
			return err
		}
		if err := ack.Wait(k.ctx); err != nil {
			return err
		}
		k.s.count.movedBytes.Add(uint64(size))
		gap = 0
	}
	return nil
}
