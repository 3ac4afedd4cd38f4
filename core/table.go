package wal

import (
	"sort"

	"github.com/chronik-go/wal/core/format"
)

// indexDistance is how far apart index entries of a partition stand, bytes of segment:
// the most that a reader scans in vain.
const indexDistance = 64 << 10

// table is what a segment holds of each partition: what its footer says once it is
// sealed, collected while it is written or scanned.
type table struct {
	partitions map[uint32]*tableEntry
	last       *tableEntry // of the entry added last: the next one is often of the same partition
	frames     int64
	records    int64
	maxTime    int64
}

// tableEntry is one partition's part of a table.
type tableEntry struct {
	format.FooterPartition
	indexed int64 // position of the newest index entry, but for those of moved batches
	maxTime int64
	// split: the next run does not join the last one, for damage stands between them.
	split bool
	known producers
}

func newTable() *table { return &table{partitions: map[uint32]*tableEntry{}} }

// declare adds a partition. A later declaration of the same changes nothing: the first
// one says where the partition stood before anything in this segment.
func (t *table) declare(id uint32, d format.Declaration) {
	if t.partitions[id] == nil {
		t.partitions[id] = &tableEntry{
			FooterPartition: format.FooterPartition{ID: id, Declaration: d},
			indexed:         -indexDistance,
		}
	}
}

// add takes in an entry of the frame at position. It reports whether the partition was
// declared.
func (t *table) add(e format.Entry, lsn uint64, position int64) bool {
	p := t.last
	if p == nil || p.ID != e.Partition {
		if p = t.partitions[e.Partition]; p == nil {
			return false
		}
		t.last = p
	}
	p.known.apply(e)
	if e.Kind == format.KindProducer {
		return true
	}
	p.addRun(e, lsn)
	if e.Kind == format.KindTruncateAfter {
		p.cutIndex(e.Base)
	}
	if e.Kind != format.KindData {
		return true
	}
	p.Stored.Add(e)
	t.records += int64(e.Count)
	t.maxTime = max(t.maxTime, e.MaxTimestamp)
	p.maxTime = max(p.maxTime, e.MaxTimestamp)
	moved := e.Flags&format.FlagMoved != 0
	if !moved && position-p.indexed < indexDistance {
		return true
	}
	if !moved {
		p.indexed = position
	}
	p.addIndex(format.IndexEntry{Offset: e.Base, Position: position, MaxTimestamp: p.maxTime})
	return true
}

func (p *tableEntry) addRun(e format.Entry, lsn uint64) {
	flags := e.Flags &^ format.FlagTransaction // once it is whole a transaction is batches like others
	if n := len(p.Runs); n > 0 && e.Kind == format.KindData && e.Gap == 0 && !p.split {
		last := &p.Runs[n-1]
		if last.Kind == format.KindData && last.Flags == flags && last.End == e.Base {
			last.End = e.End()
			return
		}
	}
	p.split = false
	p.Runs = append(p.Runs, format.Run{
		Kind: e.Kind, Flags: flags, Base: e.Base, End: e.End(), Gap: e.Gap, LSN: lsn,
	})
}

// cutIndex forgets what was truncated, and has the next batch indexed: its records may be
// newer than those that the entries in between tell of.
func (p *tableEntry) cutIndex(next int64) {
	n := sort.Search(len(p.Index), func(i int) bool { return p.Index[i].Offset >= next })
	p.Index = p.Index[:n]
	p.indexed = -indexDistance
}

// addIndex keeps the index in the order of offsets. All but moved batches come in that
// order. Each of those has its entry, for they lie behind batches with higher offsets,
// and may hold newer records.
func (p *tableEntry) addIndex(x format.IndexEntry) {
	i := len(p.Index)
	for i > 0 && p.Index[i-1].Offset > x.Offset {
		i--
	}
	p.Index = append(p.Index, format.IndexEntry{})
	copy(p.Index[i+1:], p.Index[i:])
	p.Index[i] = x
}

// seek returns the position from which to scan for the batch that holds offset.
//
// The entry with the highest offset not above it is right: what was truncated stands
// before what replaced it, and moved batches have lower offsets than any that the segment
// got first hand.
func seekOffset(index []format.IndexEntry, offset int64) int64 {
	i := sort.Search(len(index), func(i int) bool { return index[i].Offset > offset })
	if i == 0 {
		return format.HeaderSize
	}
	for i > 1 && index[i-2].Offset == index[i-1].Offset {
		i--
	}
	return index[i-1].Position
}

// footer makes the footer of a segment from its table.
func (t *table) footer(h *format.SegmentHeader, end format.Link, xxh64 uint64) *format.Footer {
	f := &format.Footer{
		Number: h.Number, Epoch: h.Epoch, End: end, BodyAt: end.End,
		Frames: t.frames, Records: t.records, MaxTimestamp: t.maxTime, XXH64: xxh64,
		Partitions: make([]format.FooterPartition, 0, len(t.partitions)),
	}
	for _, p := range t.partitions {
		part := p.FooterPartition
		part.Producers = p.known
		f.Partitions = append(f.Partitions, part)
	}
	sort.Slice(f.Partitions, func(i, j int) bool { return f.Partitions[i].ID < f.Partitions[j].ID })
	return f
}
