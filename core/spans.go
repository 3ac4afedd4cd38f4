package wal

import (
	"slices"
	"strings"
)

// declaredLost returns the offsets whose records were given up, by a repair or by the
// recovery itself.
func (p *Partition) declaredLost() (spans []PartitionSpan) {
	x := &p.extents
	for _, e := range x.list {
		if e.lost {
			spans = append(spans, PartitionSpan{p.topic, p.num, e.first, e.end})
		}
	}
	return joinSpans(spans)
}

// declaredOnly takes what damage has just cost off what was given up.
func declaredOnly(list []PartitionSpan, damage []Damage) []PartitionSpan {
	for _, d := range damage {
		for _, cut := range d.Partitions {
			var left []PartitionSpan
			for _, s := range list {
				left = append(left, s.without(cut)...)
			}
			list = left
		}
	}
	return joinSpans(list)
}

// without returns what is left of a span without another.
func (s PartitionSpan) without(cut PartitionSpan) (left []PartitionSpan) {
	if s.Topic != cut.Topic || s.Partition != cut.Partition || cut.To <= s.From || s.To <= cut.From {
		return []PartitionSpan{s}
	}
	if s.From < cut.From {
		left = append(left, PartitionSpan{s.Topic, s.Partition, s.From, cut.From})
	}
	if cut.To < s.To {
		left = append(left, PartitionSpan{s.Topic, s.Partition, cut.To, s.To})
	}
	return left
}

// joinSpans sorts spans and joins those that touch.
func joinSpans(list []PartitionSpan) []PartitionSpan {
	slices.SortFunc(list, func(a, b PartitionSpan) int {
		switch {
		case a.Topic != b.Topic:
			return strings.Compare(a.Topic, b.Topic)
		case a.Partition != b.Partition:
			return int(a.Partition) - int(b.Partition)
		case a.From < b.From:
			return -1
		}
		return 1
	})
	var joined []PartitionSpan
	for _, s := range list {
		if n := len(joined); n > 0 {
			last := &joined[n-1]
			if last.Topic == s.Topic && last.Partition == s.Partition && last.To >= s.From {
				last.To = max(last.To, s.To)
				continue
			}
		}
		joined = append(joined, s)
	}
	return joined
}
