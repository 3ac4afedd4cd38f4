package wal

import (
	"cmp"
	"slices"
	"strings"
)

// flaw is damage as recovery finds it.
type flaw struct {
	Damage
	// lsn is the first that may be lost by it; 0 where nothing is.
	lsn uint64
}

// damage returns what is damaged, in the order of the log.
func (r *recovery) damage() []Damage {
	var list []Damage
	for _, f := range r.flaws {
		list = append(list, f.Damage)
	}
	slices.SortStableFunc(list, func(a, b Damage) int {
		return cmp.Or(strings.Compare(a.Segment, b.Segment), cmp.Compare(a.Offset, b.Offset))
	})
	return list
}

// note adds damage by which no entry is lost.
func (r *recovery) note(segment string, offset, length int64, reason string) {
	r.flaws = append(r.flaws, flaw{Damage: Damage{Segment: segment, Offset: offset, Length: length, Reason: reason}})
}

// explain returns the flaw by which something was lost between two LSNs: the first one
// there, or else the last one before. It returns nil if there is none.
func (r *recovery) explain(after, before uint64) (found *flaw) {
	for i := range r.flaws {
		f := &r.flaws[i]
		if f.lsn == 0 || f.lsn >= before {
			continue
		}
		switch {
		case found == nil:
			found = f
		case f.lsn > after:
			if found.lsn <= after || f.lsn < found.lsn {
				found = f
			}
		case f.lsn > found.lsn && found.lsn <= after:
			found = f
		}
	}
	return found
}

// blame notes offsets that are lost at the flaw by which they are.
func (r *recovery) blame(m *mend, spans []PartitionSpan, reason string) {
	f := r.explain(m.after, m.before)
	if f == nil {
		r.flaws = append(r.flaws, flaw{Damage: Damage{Segment: m.seg.path, Reason: reason}, lsn: m.before - 1})
		f = &r.flaws[len(r.flaws)-1]
	}
	for _, s := range spans {
		if !slices.Contains(f.Partitions, s) {
			f.Partitions = append(f.Partitions, s)
		}
	}
}
