package cli

import (
	"context"
	"errors"
	"fmt"

	wal "github.com/chronik-go/wal/core"
)

// What read says of records that are lost: one line for each hole. A hole may be many lost batches.

// metHole reports whether any hole was met.
func (r *reader) metHole() bool { return r.hole != wal.PartitionSpan{} }

// meetHole takes in that records are lost. The hole before is told once it is known where it ends.
func (r *reader) meetHole(s wal.PartitionSpan) {
	if r.metHole() && s.From == r.hole.To {
		r.hole.To = s.To
		return
	}
	r.tellHole()
	r.hole = s
}

// tellHole prints what the last hole is, if there is one.
func (r *reader) tellHole() {
	if r.metHole() {
		r.note("chronik-wal read: " + r.lostError(r.hole).Error())
	}
}

// wholeHole looks for the end of the hole at which reading ends.
func (r *reader) wholeHole(ctx context.Context) {
	for _, err := range r.partition.Read(ctx, r.hole.To) {
		var lost *wal.LostError
		if !errors.As(err, &lost) || lost.From > r.hole.To {
			break
		}
		r.meetHole(lost.PartitionSpan)
	}
}

// lostError says what is missing and what to do.
func (r *reader) lostError(s wal.PartitionSpan) error {
	what := fmt.Sprintf("from offset %d on", s.From)
	if s.To > s.From {
		what = fmt.Sprintf("at offsets %d to %d", s.From, s.To-1)
	}
	advice := "see chronik-wal verify"
	if !r.flags.skipDamage && s.To > s.From {
		advice += "; --skip-damage reads on behind them"
	}
	return refusef("topic %s partition %d: the records %s are lost: %s", s.Topic, s.Partition, what, advice)
}

// lostAtEnd finds damage that leaves no hole to stumble over: records that are missing
// behind the last one that is there.
func (r *reader) lostAtEnd() {
	next := r.partition.NextOffset()
	for _, d := range r.manager.Damage() {
		for _, s := range d.Partitions {
			mine := s.Topic == r.partition.Topic() && s.Partition == r.flags.partition
			told := s.To == 0 && s.From < r.hole.To
			if mine && !told && (s.To == 0 || s.To > next) {
				r.meetHole(wal.PartitionSpan{Topic: s.Topic, Partition: s.Partition, From: max(s.From, next), To: s.To})
				return
			}
		}
	}
}
