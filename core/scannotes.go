package wal

import (
	"slices"

	"github.com/chronik-go/wal/core/format"
)

// scanNotes is what a scan finds out about a partition besides what a footer says: where
// damage has taken something, and how far that can be pinned down.
type scanNotes struct {
	// declared is the LSN before which the partition is declared; 0: the declaration is
	// lost.
	declared uint64
	// lasts are the LSNs of the last entry of each run.
	lasts []uint64
	// missing are batches that a sound directory names and whose data is damaged.
	missing []step
}

// step is a run as recovery applies it.
type step struct {
	format.Run
	// last is the LSN of the run's last entry.
	last uint64
	// missing: no frame holds the run, damage took it. Its LSN lies between after and
	// before.
	missing       bool
	after, before uint64
}

// note returns the notes on a partition.
func (s *scan) note(id uint32) *scanNotes {
	n := s.notes[id]
	if n == nil {
		n = &scanNotes{}
		s.notes[id] = n
	}
	return n
}

func (n *scanNotes) declare(lsn uint64) {
	if n.declared == 0 && len(n.lasts) == 0 && len(n.missing) == 0 {
		n.declared = lsn
	}
}

// add notes an entry, which belongs to the last of so many runs.
func (n *scanNotes) add(runs int, lsn uint64) {
	if len(n.lasts) < runs {
		n.lasts = append(n.lasts, lsn)
		return
	}
	n.lasts[runs-1] = lsn
}

// lose notes a batch whose data is damaged.
func (n *scanNotes) lose(e format.Entry, lsn uint64) {
	n.missing = append(n.missing, missing(e.Base-e.Gap, e.End(), lsn-1, lsn+1))
}

// missing makes the step that gives up offsets, to be written at an LSN between two.
func missing(from, to int64, after, before uint64) step {
	return step{
		Run:     format.Run{Kind: format.KindLost, Base: to, End: to, Gap: to - from, LSN: after + 1},
		missing: true, after: after, before: before, last: after,
	}
}

// split keeps runs apart that have damage between them: what looks like their continuation
// may follow a truncation that is lost.
func (s *scan) split() {
	for _, p := range s.table.partitions {
		p.split = true
	}
}

// steps returns what a scan found of a partition, in the order of the log.
func (s *scan) steps(id uint32) []step {
	runs, notes := s.table.partitions[id].Runs, s.note(id)
	list := make([]step, 0, len(runs)+len(notes.missing))
	for i, run := range runs {
		list = append(list, step{Run: run, last: notes.lasts[i]})
	}
	list = append(list, notes.missing...)
	slices.SortStableFunc(list, byLSN)
	return list
}

func byLSN(a, b step) int {
	if a.LSN < b.LSN {
		return -1
	}
	if a.LSN > b.LSN {
		return 1
	}
	return 0
}
