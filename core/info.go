package wal

import (
	"sort"
	"strings"
	"time"

	"github.com/chronik-go/wal/core/format"
)

// PartitionInfo describes a partition.
type PartitionInfo struct {
	Topic         string `json:"topic"`
	Partition     int32  `json:"partition"`
	FirstOffset   int64  `json:"first_offset"`
	NextOffset    int64  `json:"next_offset"`
	DurableOffset int64  `json:"durable_offset"`
	// Records is the number of records that are there to be read.
	Records int64 `json:"records"`
	// Bytes estimates what they take in the log.
	Bytes int64 `json:"bytes"`
}

// Partitions describes the partitions that exist, in the order of topic and number.
func (m *Manager) Partitions() []PartitionInfo {
	m.mu.RLock()
	var list []PartitionInfo
	for _, s := range m.shards { // all of a transaction or nothing
		s.showing.RLock()
	}
	for _, p := range m.partitions {
		if p.exists.Load() {
			list = append(list, p.info())
		}
	}
	for _, s := range m.shards {
		s.showing.RUnlock()
	}
	m.mu.RUnlock()
	sort.Slice(list, func(i, j int) bool {
		if c := strings.Compare(list[i].Topic, list[j].Topic); c != 0 {
			return c < 0
		}
		return list[i].Partition < list[j].Partition
	})
	return list
}

func (p *Partition) info() PartitionInfo {
	p.mu.RLock()
	defer p.mu.RUnlock()
	info := PartitionInfo{
		Topic: p.topic, Partition: p.num, FirstOffset: p.extents.first, NextOffset: p.extents.next,
		DurableOffset: min(p.stable.Load(), p.extents.next), Records: p.extents.count(),
	}
	for _, e := range p.extents.list {
		if n := e.seg.records.Load(); n > 0 && !e.lost {
			info.Bytes += (e.end - e.first) * e.seg.end.Load() / n
		}
	}
	return info
}

// SegmentInfo describes a segment.
type SegmentInfo struct {
	// Name is the file's name, relative to the data directory.
	Name   string `json:"segment"`
	Number uint64 `json:"number"`
	// State is active, unsealed or sealed.
	State string `json:"state"`
	// Size is that of the file, Bytes what of it holds frames.
	Size     int64  `json:"size"`
	Bytes    int64  `json:"bytes"`
	FirstLSN uint64 `json:"first_lsn"`
	LastLSN  uint64 `json:"last_lsn"`
	Records  int64  `json:"records"`
	// StoredBytes is what its batches take, RawBytes what they would without a codec. Codecs
	// are the names of those that they have, none among them.
	StoredBytes int64    `json:"stored_bytes"`
	RawBytes    int64    `json:"raw_bytes"`
	Codecs      []string `json:"codecs"`
	// Cipher is the name of what its batches are sealed with, empty for nothing.
	Cipher  string    `json:"cipher"`
	Created time.Time `json:"created"`
	// Partitions are the offsets that it got, truncated ones included. A partition of which
	// it got none is not there.
	Partitions []PartitionSpan `json:"partitions"`
}

// Segments describes the segments of all logs, oldest first.
func (m *Manager) Segments() ([]SegmentInfo, error) {
	var list []SegmentInfo
	for _, s := range m.allShards() {
		for _, g := range s.segments.pinAll() {
			info, err := s.describe(g)
			s.unpin(g)
			if err != nil {
				return nil, err
			}
			list = append(list, info)
		}
	}
	return list, nil
}

func (s *shard) describe(g *segment) (SegmentInfo, error) {
	info := SegmentInfo{
		Name: g.path, Number: g.Number, State: segmentState(g.state.Load()).String(), Size: g.size.Load(),
		Bytes: g.end.Load(), FirstLSN: g.FirstLSN, LastLSN: g.lastLSN.Load(), Records: g.records.Load(),
		Created: time.Unix(0, g.Created).UTC(), Cipher: keyCipher(g.Key),
	}
	spans := func(parts []format.FooterPartition) {
		codecs := uint64(0)
		defer func() { info.Codecs = codecNames(codecs) }()
		for _, p := range parts {
			info.StoredBytes += p.Bytes
			info.RawBytes += p.RawBytes
			codecs |= p.Codecs
			if span, ok := spanOf(p); ok {
				info.Partitions = append(info.Partitions, span)
			}
		}
	}
	g.mu.Lock()
	if g.table != nil { // its runs change while it is written
		spans(g.table.footer(&g.SegmentHeader, format.Link{}, 0).Partitions)
		g.mu.Unlock()
		return info, nil
	}
	g.mu.Unlock()
	f, err := s.footers.get(g)
	if err != nil {
		return info, err
	}
	spans(f.Partitions)
	return info, nil
}

// spanOf is the range of offsets that a segment holds of a partition. It is not ok if there
// are none: a segment may hold nothing but the truncation of a partition.
func spanOf(p format.FooterPartition) (span PartitionSpan, ok bool) {
	span = PartitionSpan{Topic: p.Topic, Partition: p.Partition}
	for _, r := range p.Runs {
		switch {
		case r.Kind != format.KindData:
		case !ok:
			span.From, span.To, ok = r.Base, r.End, true
		default:
			span.From, span.To = min(span.From, r.Base), max(span.To, r.End)
		}
	}
	return span, ok
}
