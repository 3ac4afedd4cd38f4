package wal

import (
	"errors"
	"fmt"
	"io"

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
	// known tells a partition's name by its id, where the segment's own declaration is
	// lost.
	known func(id uint32) (format.Declaration, bool)

	durable  uint64 // the highest durable LSN that a frame tells
	damage   []Damage
	tornTail int64
}

func newScan(g *segment, limit int64, pool *bufferPool) *scan {
	return &scan{
		seg: g, table: newTable(),
		reader: frameReader{
			window: window{file: g.file, limit: limit, chunk: windowSize, pool: pool},
			epoch:  g.Epoch, alignment: g.Alignment, position: format.HeaderSize,
			lsn: g.FirstLSN, chain: g.Predecessor.Chain, check: true,
		},
	}
}

// run scans to the end. Its error is about reading; damage is collected.
func (s *scan) run() error {
	defer s.reader.release()
	for {
		f, err := s.reader.next()
		var bad *badFrame
		switch {
		case err == nil:
			if err := s.take(f); err != nil {
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
		case !errors.As(err, &bad):
			return fmt.Errorf("read %s, LSN %d: %w", s.seg.at(s.reader.position), s.reader.lsn, err)
		}
		if more, err := s.handle(bad); err != nil || !more {
			return err
		}
	}
}

// take collects a good frame.
func (s *scan) take(f *frame) error {
	s.durable = max(s.durable, f.Durable)
	s.table.frames++
	err := f.each(func(e format.Entry, lsn uint64, data []byte) error {
		if e.Kind == format.KindDeclare {
			d, _, err := format.ReadDeclaration(data)
			if err == nil {
				s.table.declare(e.Partition, d)
			}
			return err
		}
		if s.table.add(e, lsn, f.Position) {
			return nil
		}
		if s.salvage && s.known != nil {
			if d, ok := s.known(e.Partition); ok {
				s.table.declare(e.Partition, d)
				s.table.add(e, lsn, f.Position)
				return nil
			}
		}
		return fmt.Errorf("%w: partition %d is used and not declared", format.ErrCorrupt, e.Partition)
	})
	if err != nil {
		s.add(f.Position, f.Length, err.Error())
	}
	if s.each != nil {
		if err := s.each(f); err != nil {
			return err
		}
	}
	if s.hash != nil { // last, for it may move the window that the frame lies in
		padded := int(format.AlignUp(f.Length, s.reader.alignment))
		if b, err := s.reader.bytes(f.Position, padded); err == nil {
			_, _ = s.hash.Write(b)
		}
	}
	return nil
}

func (s *scan) add(offset, length int64, reason string) {
	s.damage = append(s.damage, Damage{Segment: s.seg.path, Offset: offset, Length: length, Reason: reason})
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
	if again, err := s.readAgain(bad); again || err != nil {
		return again, err
	}
	end := s.reader.limit
	if behind != nil {
		end = behind.Position
	} else if !s.exact {
		end = min(end, bad.position+max(format.AlignUp(bad.length, s.reader.alignment), s.reader.alignment))
	}
	s.add(bad.position, end-bad.position, bad.reason)
	if behind == nil || !s.salvage {
		return false, nil
	}
	s.hash = nil
	s.reader.position, s.reader.loose = behind.Position, true
	return true, nil
}

// readAgain tells whether a frame that was bad is good now: a reader beside a running
// writer may come upon a frame just before it is written, and upon the next one after.
func (s *scan) readAgain(bad *badFrame) (bool, error) {
	s.reader.forget()
	at, lsn, chain, loose := s.reader.position, s.reader.lsn, s.reader.chain, s.reader.loose
	_, err := s.reader.next()
	s.reader.position, s.reader.lsn, s.reader.chain, s.reader.loose = at, lsn, chain, loose
	var still *badFrame
	if err == nil || errors.As(err, &still) || errors.Is(err, io.EOF) {
		return err == nil, nil
	}
	return false, err
}

// end is where the good frames end.
func (s *scan) end() format.Link {
	return format.Link{
		Segment: s.seg.Number, End: min(s.reader.position, s.reader.limit), LSN: s.reader.lsn - 1, Chain: s.reader.chain,
	}
}
