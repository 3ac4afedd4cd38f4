package wal

import (
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/cespare/xxhash/v2"

	"github.com/chronik-go/wal/core/format"
)

// scan reads a segment front to back and collects what its footer would say.
type scan struct {
	seg    *segment
	reader frameReader
	table  *table
	// exact: the segment is known to end at the reader's limit, so anything bad below
	// it is damage.
	exact bool
	// salvage goes on behind damage.
	salvage bool
	// hash, if set, takes in every byte of the segment.
	hash *xxhash.Digest
	// each, if set, is called for each good frame.
	each func(*frame) error
	// known tells a partition's name by its id, where it was declared before the scan began.
	known func(id uint32) (format.Declaration, bool)
	// stop, if set, is the LSN before which the segment ends.
	stop uint64

	durable  uint64 // the highest durable LSN that a frame tells
	flaws    []flaw
	notes    map[uint32]*scanNotes
	used     []lsnRange // LSNs of sound entries
	tornTail int64
}

func newScan(g *segment, limit int64, pool *bufferPool) *scan {
	return &scan{
		seg: g, table: newTable(), notes: map[uint32]*scanNotes{},
		reader: frameReader{
			window: window{file: g.file, limit: limit, chunk: windowSize, ahead: true, pool: pool},
			epoch:  g.Epoch, sum: g.Checksum, alignment: g.Alignment, position: format.HeaderSize,
			lsn: g.FirstLSN, chain: g.Predecessor.Chain, check: true,
		},
	}
}

// name returns what the segment has declared an id to be, so far.
func (s *scan) name(id uint32) (topic string, partition int32, ok bool) {
	p := s.table.partitions[id]
	if p == nil || p.Topic == "" {
		return "", 0, false
	}
	return p.Topic, p.Declaration.Partition, true
}

// lsnRange is LSNs from first on, end exclusive.
type lsnRange struct{ first, end uint64 }

// run scans to the end. Its error is about reading; damage is collected.
func (s *scan) run() error {
	defer s.reader.release()
	for {
		f, err := s.reader.next()
		var bad *badFrame
		switch {
		case err == nil:
			more, err := s.take(f)
			if err != nil || !more {
				return err
			}
			continue
		case errors.Is(err, io.EOF) && s.reader.position >= s.reader.limit:
			return nil
		case errors.Is(err, io.EOF):
			bad = &badFrame{position: s.reader.position, reason: "the segment ends too early"}
			if !s.exact {
				return nil
			}
		case s.shrunk(err):
			continue
		case !errors.As(err, &bad):
			return s.readError(err)
		}
		more, err := s.handle(bad)
		if s.shrunk(err) {
			continue
		}
		if err != nil || !more {
			return err
		}
	}
}

func (s *scan) readError(err error) error {
	return fmt.Errorf("read %s, LSN %d: %w", s.seg.at(s.reader.position), s.reader.lsn, err)
}

// shrunk tells whether reading failed because a running writer has cut the file where the
// segment ends, to seal it. Then the scan goes up to there.
func (s *scan) shrunk(err error) bool {
	if !errors.Is(err, io.ErrUnexpectedEOF) {
		return false
	}
	size, err := s.seg.file.Size()
	if err != nil || size >= s.reader.limit {
		return false
	}
	s.reader.limit = size
	s.reader.forget()
	return true
}

// take collects what is sound of a frame. It reports whether the scan goes on.
func (s *scan) take(f *frame) (more bool, err error) {
	if s.stop > 0 && f.LSN >= s.stop {
		s.reader.position, s.reader.lsn, s.reader.chain = f.Position, f.LSN, f.Chain
		return false, nil
	}
	s.durable = max(s.durable, f.Durable)
	s.table.frames++
	i, at := -1, f.Position+format.FrameHeaderSize
	err = f.each(func(e format.Entry, lsn uint64, data []byte) error {
		i++
		at += e.Length
		if slices.Contains(f.spoiled, i) {
			s.lose(e, lsn, at-e.Length, f.inTransaction(i))
			return nil
		}
		return s.takeEntry(f, e, lsn, data)
	})
	if err != nil {
		s.add(f.Position, f.Length, err.Error())
	}
	if s.each != nil {
		if err := s.each(f); err != nil {
			return false, err
		}
	}
	if s.hash != nil { // last, for it may move the window that the frame lies in
		padded := min(format.AlignUp(f.Length, s.reader.alignment), s.reader.limit-f.Position)
		if b, err := s.reader.bytes(f.Position, int(padded)); err == nil {
			_, _ = s.hash.Write(b)
		}
	}
	return true, nil
}

// takeEntry collects a sound entry.
func (s *scan) takeEntry(f *frame, e format.Entry, lsn uint64, data []byte) error {
	if e.Kind == format.KindDeclare {
		d, _, err := format.ReadDeclaration(data)
		if err == nil {
			s.table.declare(e.Partition, d)
			s.note(e.Partition).declare(lsn)
			if p := s.table.partitions[e.Partition]; p.Topic == "" { // the first one is lost
				p.Topic, p.Declaration.Partition = d.Topic, d.Partition
			}
		}
		return err
	}
	if e.Kind == format.KindProducer {
		return s.takeProducer(e, f.Position)
	}
	if n := len(s.used); n > 0 && s.used[n-1].end == lsn {
		s.used[n-1].end++
	} else {
		s.used = append(s.used, lsnRange{lsn, lsn + 1})
	}
	if s.table.add(e, lsn, f.Position) {
		s.note(e.Partition).add(len(s.table.partitions[e.Partition].Runs), lsn)
		return nil
	}
	if s.salvage && s.known != nil {
		if d, ok := s.known(e.Partition); ok {
			s.table.declare(e.Partition, d)
			s.table.add(e, lsn, f.Position)
			return nil
		}
	}
	if len(s.flaws) > 0 { // a damaged frame may have held the declaration
		s.table.declare(e.Partition, format.Declaration{})
		s.table.add(e, lsn, f.Position)
		s.note(e.Partition).add(1, lsn)
		return nil
	}
	return fmt.Errorf("%w: partition %d is used and not declared", format.ErrCorrupt, e.Partition)
}

// takeProducer collects what is stated of a producer.
func (s *scan) takeProducer(e format.Entry, position int64) error {
	if s.salvage && s.known != nil && s.table.partitions[e.Partition] == nil {
		if d, ok := s.known(e.Partition); ok {
			s.table.declare(e.Partition, d)
		}
	}
	if !s.table.add(e, 0, position) && len(s.flaws) == 0 {
		return fmt.Errorf("%w: partition %d has a producer and is not declared", format.ErrCorrupt, e.Partition)
	}
	return nil
}

// lose notes an entry whose data, at a position, is spoiled: its frame's directory tells
// exactly what is lost.
func (s *scan) lose(e format.Entry, lsn uint64, position int64, inTransaction bool) {
	reason := "the CRC of the batch does not match its data"
	if inTransaction {
		reason += "; it is part of a transaction, of which the rest may be there"
	}
	s.flaws = append(s.flaws, flaw{lsn: lsn, Damage: Damage{
		Segment: s.seg.path, Offset: position, Length: e.Length, Reason: reason,
	}})
	s.split()
	if e.Kind != format.KindData || e.Flags&format.FlagMoved != 0 {
		return
	}
	s.table.declare(e.Partition, format.Declaration{})
	s.note(e.Partition).lose(e, lsn)
}

// add notes damage that begins where the next frame is due.
func (s *scan) add(offset, length int64, reason string) {
	s.flaws = append(s.flaws, flaw{
		lsn: s.reader.lsn, Damage: Damage{Segment: s.seg.path, Offset: offset, Length: length, Reason: reason},
	})
	s.split()
}

// remark notes damage by which no entry is lost.
func (s *scan) remark(offset, length int64, reason string) {
	s.flaws = append(s.flaws, flaw{Damage: Damage{Segment: s.seg.path, Offset: offset, Length: length, Reason: reason}})
}

// handle decides whether a bad frame is damage or the torn tail of the log. It is damage
//
//   - if the segment's end is known and lies behind it;
//   - if it is sound, but not what belongs there;
//   - if a frame behind it says that it was durable.
//
// Else nothing that was acknowledged stood there, nor behind it. It reports whether the
// scan goes on.
func (s *scan) handle(bad *badFrame) (more bool, err error) {
	damaged := s.exact || bad.misplaced
	behind, err := s.reader.search(bad.position + s.reader.alignment)
	if err != nil {
		return false, fmt.Errorf("read %s: %w", s.seg.path, err)
	}
	if s.stop > 0 && behind != nil && behind.LSN < s.stop {
		damaged = true // another segment follows this one
	}
	last := bad.position
	for h := behind; h != nil && !damaged; {
		last = h.Position + format.AlignUp(h.Length, s.reader.alignment)
		damaged = h.Durable >= s.reader.lsn
		if h, err = s.reader.search(h.Position + s.reader.alignment); err != nil {
			return false, fmt.Errorf("read %s: %w", s.seg.path, err)
		}
	}
	if !damaged {
		if bad.ours {
			last = max(last, bad.position+format.AlignUp(bad.length, s.reader.alignment))
		}
		s.tornTail = min(last, s.reader.limit) - bad.position
		return false, nil
	}
	still, err := s.readAgain()
	if err != nil || still == nil {
		return still == nil, err
	}
	if still.partial != nil && s.salvage {
		return s.takePartial(still.partial)
	}
	end := s.reader.limit
	if behind != nil {
		end = behind.Position
	} else if !s.exact {
		end = min(end, bad.position+max(format.AlignUp(bad.length, s.reader.alignment), s.reader.alignment))
	}
	s.add(bad.position, end-bad.position, bad.reason)
	s.hash = nil
	switch {
	case !s.salvage:
		return false, nil
	case still.resume:
		s.reader.loose = true
		return true, nil
	case behind == nil:
		return false, nil
	}
	s.reader.position, s.reader.loose = behind.Position, true
	return true, nil
}

// takePartial collects what is sound of a frame whose data is damaged in part, and goes on
// behind it.
func (s *scan) takePartial(f *frame) (more bool, err error) {
	s.hash = nil
	h, lsns := f.FrameHeader, f.lsns()
	if more, err = s.take(f); err != nil || !more {
		return false, err
	}
	s.reader.position = h.Position + format.AlignUp(h.Length, s.reader.alignment)
	s.reader.lsn, s.reader.chain, s.reader.loose = h.LSN+lsns, h.CRC, false
	return true, nil
}

// readAgain looks whether a frame that was bad still is: a reader beside a running writer
// may come upon a frame just before it is written, and upon the next one after. It returns
// nil if the frame is good now.
func (s *scan) readAgain() (still *badFrame, err error) {
	s.reader.forget()
	at, lsn, chain, loose := s.reader.position, s.reader.lsn, s.reader.chain, s.reader.loose
	_, err = s.reader.next()
	s.reader.position, s.reader.lsn, s.reader.chain, s.reader.loose = at, lsn, chain, loose
	switch {
	case err == nil || errors.As(err, &still):
		return still, nil
	case errors.Is(err, io.EOF):
		return &badFrame{position: at}, nil
	}
	return nil, err
}

// end is where the good frames end, with their padding, even if the file has lost that.
func (s *scan) end() format.Link {
	return format.Link{
		Segment: s.seg.Number, End: s.reader.position, LSN: s.reader.lsn - 1, Chain: s.reader.chain,
	}
}
