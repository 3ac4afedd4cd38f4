package wal

import (
	"errors"
	"fmt"
	"slices"

	"github.com/chronik-go/wal/core/backend"
	"github.com/chronik-go/wal/core/format"
)

// declareAtOnce bounds the entries of one frame that a repair makes.
const declareAtOnce = 1024

// carryOut makes a segment anew and gives it its name. Before that nothing of the
// log has changed.
func (b *rebuild) carryOut(r *recovery, dir backend.Dir) (err error) {
	if b.follows != nil {
		b.header.Predecessor = b.follows.end
	}
	name := segmentName(b.header.Number)
	w, err := newSegmentWriter(dir, repairPrefix+name+tempSuffix, b.header)
	if err != nil {
		return err
	}
	if err := b.write(r, w); err != nil {
		return errors.Join(err, w.abandon())
	}
	end, err := w.seal(b.end, b.open)
	if err != nil {
		return errors.Join(err, w.abandon())
	}
	b.end = end
	if err := dir.Rename(w.name, name); err != nil {
		return fmt.Errorf("give the rebuilt segment its name: %w", err)
	}
	// Durable before the next segment is rebuilt: that one may rest on this one.
	if err := dir.Sync(); err != nil {
		return fmt.Errorf("sync the log's directory: %w", err)
	}
	return nil
}

// write writes the segment's frames.
func (b *rebuild) write(r *recovery, w *segmentWriter) error {
	if err := w.begin(); err != nil {
		return err
	}
	if err := b.declare(r, w); err != nil {
		return err
	}
	mends := b.mends
	if b.index >= 0 {
		sc, _ := r.newScan(b.index)
		sc.each = func(f *frame) error {
			if err := r.stop(); err != nil {
				return err
			}
			return eachRun(f, w.declared, func(entries []format.Entry, data [][]byte, lsn uint64) error {
				var err error
				if mends, err = writeMends(w, mends, lsn); err != nil {
					return err
				}
				return w.frame(entries, data, lsn, f.Durable)
			})
		}
		if err := sc.run(); err != nil {
			return err
		}
	}
	_, err := writeMends(w, mends, b.end.LSN+1)
	return err
}

// eachRun calls do for each row of entries of a frame, one behind the other, that are sound.
// Declarations are written anew at the segment's beginning.
func eachRun(f *frame, declared func(uint32) bool, do func([]format.Entry, [][]byte, uint64) error) error {
	var entries []format.Entry
	var data [][]byte
	first, i := uint64(0), -1
	flush := func() error {
		if len(entries) == 0 {
			return nil
		}
		err := do(entries, data, first)
		entries, data = entries[:0], data[:0]
		return err
	}
	err := f.each(func(e format.Entry, lsn uint64, d []byte) error {
		i++
		switch {
		case e.Kind == format.KindDeclare:
			return nil
		case slices.Contains(f.spoiled, i) || !declared(e.Partition):
			return flush()
		case len(entries) == 0:
			first = lsn
			e.Flags &^= format.FlagTransaction // what it goes on with is in another frame, or lost
		}
		entries, data = append(entries, e), append(data, d)
		return nil
	})
	return errors.Join(err, flush())
}

// writeMends writes the mends with LSNs below one, and returns the others.
func writeMends(w *segmentWriter, mends []*mend, below uint64) ([]*mend, error) {
	for len(mends) > 0 && mends[0].run.LSN < below {
		n := 1
		for n < len(mends) && n < declareAtOnce && mends[n].run.LSN < below && mends[n].run.LSN == mends[n-1].run.LSN+1 {
			n++
		}
		entries := make([]format.Entry, n)
		for i, m := range mends[:n] {
			entries[i] = format.Entry{
				Partition: m.part.id, Kind: m.run.Kind, Flags: m.run.Flags, Base: m.run.Base, Gap: m.run.Gap,
			}
		}
		lsn := mends[0].run.LSN
		if err := w.frame(entries, make([][]byte, n), lsn, lsn-1); err != nil {
			return nil, err
		}
		mends = mends[n:]
	}
	return mends, nil
}

// declare declares all partitions of the segment, each as it stood before it.
func (b *rebuild) declare(r *recovery, w *segmentWriter) error {
	list, known := map[uint32]format.Declaration{}, map[uint32]producers{}
	for _, m := range slices.Backward(b.mends) { // the first one of a partition counts
		list[m.part.id] = m.state
	}
	if b.index >= 0 {
		earlier := b.mendedBefore(r)
		for _, pt := range r.parts(b.index) {
			s, ok := r.starts[startKey{b.header.Number, pt.id}]
			if !ok {
				continue
			}
			known[pt.id] = s.known
			if d, mended := list[pt.id]; mended && b.firstMend(pt.id) < s.lsn {
				list[pt.id] = raiseFirst(d, s.First)
			} else if n, mended := earlier[pt.id]; mended && n >= s.mends {
				list[pt.id] = raiseFirst(r.mends[n].result, s.First)
			} else {
				list[pt.id] = s.Declaration
			}
		}
	}
	ids := make([]uint32, 0, len(list))
	for id := range list {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	for chunk := range slices.Chunk(ids, declareAtOnce) {
		if err := w.declare(chunk, list, known); err != nil {
			return err
		}
	}
	return nil
}

// mendedBefore returns the last mend of each partition that stands in an earlier segment. Its
// loss may have shown only in this one or behind it.
func (b *rebuild) mendedBefore(r *recovery) map[uint32]int {
	last := map[uint32]int{}
	for i, m := range r.mends {
		if !m.left && m.run.LSN < b.header.FirstLSN {
			last[m.part.id] = i
		}
	}
	return last
}

// raiseFirst brings in what was truncated meanwhile, as far as there is something to truncate.
func raiseFirst(d format.Declaration, first int64) format.Declaration {
	if d.First = max(d.First, min(first, d.Next)); d.Gap > d.Next-d.First {
		d.Gap = d.Next - d.First
		d.GapLost = d.GapLost && d.Gap > 0
	}
	return d
}

// firstMend is the LSN of the first mend of a partition.
func (b *rebuild) firstMend(id uint32) uint64 {
	for _, m := range b.mends {
		if m.part.id == id {
			return m.run.LSN
		}
	}
	return 0
}
