package crash

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	wal "github.com/chronik-go/wal/core"
	"github.com/chronik-go/wal/core/format"
)

// sealedBatch is a batch of a segment, and where it stands.
type sealedBatch struct {
	format.Entry
	frame int64 // where its frame begins
	index int   // of its entry
	data  int64 // where its data begins
}

// sealedBatches returns the batches of a segment. Its error says that one is not encrypted.
func sealedBatches(b []byte) (list []sealedBatch, err error) {
	err = eachFrame(b, func(at int64, h format.FrameHeader, entries []format.Entry) {
		data := at + format.FrameHeaderSize
		for i, e := range entries {
			if e.Kind == format.KindData {
				if e.Codec&format.CodecSealed == 0 {
					err = violation(Sealed, "the batch at offset %d is not encrypted", e.Base)
				}
				list = append(list, sealedBatch{e, at, i, data})
			}
			data += e.Length
		}
	})
	return list, err
}

// eachFrame calls do for the frames of a segment.
func eachFrame(b []byte, do func(at int64, h format.FrameHeader, entries []format.Entry)) error {
	head, err := format.ReadSegmentHeader(b)
	if err != nil {
		return err
	}
	at := int64(format.HeaderSize)
	for h, ok := frameAt(b, at, head.Epoch); ok; h, ok = frameAt(b, at, head.Epoch) {
		entries, err := format.ReadDirectory(nil, h, b[at+h.DirectoryAt():at+h.Length])
		if err != nil {
			return err
		}
		do(at, h, entries)
		at += format.AlignUp(h.Length, head.Alignment)
	}
	return nil
}

// put changes what the segment says of a batch.
func (x sealedBatch) put(b []byte) {
	h, _ := format.ReadFrameHeader(b[x.frame:]) // it was read before
	format.PutEntry(b[x.frame+h.DirectoryAt()+int64(x.index)*format.EntrySize:], x.Entry)
}

func (x sealedBatch) of(b []byte) []byte { return b[x.data : x.data+x.Length] }

// recompute makes all checksums of a segment's frames right, as who changed it would.
func recompute(b []byte) {
	head, _ := format.ReadSegmentHeader(b) // it was read before
	at := int64(format.HeaderSize)
	first, _ := format.ReadFrameHeader(b[at:])
	chain := first.Chain // the end of the segment before
	for h, ok := frameAt(b, at, head.Epoch); ok; h, ok = frameAt(b, at, head.Epoch) {
		directory, data := b[at+h.DirectoryAt():at+h.Length], b[at+format.FrameHeaderSize:]
		h.DirectoryCRC = format.CRC(directory)
		entries, _ := format.ReadDirectory(nil, h, directory)
		for i, e := range entries {
			e.CRC = head.Checksum.Sum(data[:e.Length])
			if e.Length > 0 {
				format.PutEntry(directory[i*format.EntrySize:], e)
			}
			data = data[e.Length:]
		}
		h.DirectoryCRC, h.Chain = format.CRC(directory), chain
		chain = format.PutFrameHeader(b[at:], h)
		at += format.AlignUp(h.Length, head.Alignment)
	}
}

// distinct demands that no two batches look alike, though many hold equal records: each has a nonce of
// its own.
func (s *sealedLog) distinct() error {
	heads, texts := map[format.Seal]bool{}, map[string]bool{}
	for name, b := range s.killed {
		if !isSegment(name) {
			continue
		}
		list, err := sealedBatches(b)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		for _, x := range list {
			seal, err := format.ReadSeal(x.of(b))
			text := string(x.of(b)[format.SealPrefix:][:16])
			if err != nil || heads[seal] || texts[text] {
				return violation(Sealed, "%s: the batch at offset %d begins as another one does: %x, %x, %v", name, x.Base, seal, text, err)
			}
			heads[seal], texts[text] = true, true
		}
	}
	return nil
}

// forgery is a change to a segment that somebody makes who can compute checksums.
type forgery struct {
	what string
	// do reports whether it could be made.
	do func(b []byte, list []sealedBatch) bool
	// as is how it is refused.
	as error
}

// forgeries are those that the log is to refuse.
func sealedForgeries() []forgery {
	last := func(f func(x *sealedBatch)) func(b []byte, list []sealedBatch) bool {
		return func(b []byte, list []sealedBatch) bool {
			x := list[len(list)-1]
			f(&x)
			x.put(b)
			return true
		}
	}
	return []forgery{
		{"two batches of a partition change places", pairs(func(x, y sealedBatch) bool { return x.Partition == y.Partition && x.Base != y.Base }, exchange), wal.ErrTampered},
		{"a batch of another partition", pairs(func(x, y sealedBatch) bool { return x.Partition != y.Partition }, overwrite), wal.ErrTampered},
		{"an earlier batch comes again", pairs(func(x, y sealedBatch) bool { return x.Partition == y.Partition && x.Base < y.Base }, overwrite), wal.ErrTampered},
		{"what was truncated comes again", pairs(func(x, y sealedBatch) bool { return x.Partition == y.Partition && x.Base == y.Base }, overwrite), wal.ErrTampered},
		{"an offset later, behind a gap", last(func(x *sealedBatch) { x.Base, x.Gap = x.Base+1, x.Gap+1 }), wal.ErrTampered},
		{"another time", last(func(x *sealedBatch) { x.MaxTimestamp ^= 1 << 40 }), wal.ErrTampered},
		{"a record less", last(func(x *sealedBatch) { x.Count-- }), wal.ErrTampered},
		{"another codec", last(func(x *sealedBatch) { x.Codec ^= 1 }), wal.ErrTampered},
		{"as if it were plain", last(func(x *sealedBatch) { x.Codec, x.RawLength = format.CodecNone, x.Length }), wal.ErrDamaged},
	}
}

// pairs makes a forgery of the last two batches that fit, the earlier one first.
func pairs(fit func(x, y sealedBatch) bool, do func(x, y []byte)) func(b []byte, list []sealedBatch) bool {
	return func(b []byte, list []sealedBatch) bool {
		for j, y := range slices.Backward(list) {
			for _, x := range slices.Backward(list[:j]) {
				if fit(x, y) && x.Length == y.Length {
					do(x.of(b), y.of(b))
					return true
				}
			}
		}
		return false
	}
}

func overwrite(x, y []byte) { copy(y, x) }

func exchange(x, y []byte) {
	old := bytes.Clone(x)
	copy(x, y)
	copy(y, old)
}

// forged changes the last segment, which nothing but its frames tells of, and makes all checksums right.
func (s *sealedLog) forged() error {
	name := ""
	for file := range s.killed {
		if isSegment(file) {
			name = max(name, file)
		}
	}
	list, err := sealedBatches(s.killed[name])
	if err != nil {
		return err
	}
	todo := sealedForgeries()
	x := list[0] // it is not truncated
	for i := int64(0); i < x.Length; i += s.every {
		as := wal.ErrTampered
		if i < int64(len(format.KeyID{})) {
			as = wal.ErrKey // it is another key's
		}
		todo = append(todo, forgery{fmt.Sprintf("byte %d of a batch", i), func(b []byte, _ []sealedBatch) bool {
			x.of(b)[i] ^= 1 << (i % 8)
			return true
		}, as})
	}
	if err := s.restore(s.killed); err != nil {
		return err
	}
	for _, f := range todo {
		b := bytes.Clone(s.killed[name])
		if !f.do(b, list) {
			return fmt.Errorf("there are no batches for this: %s", f.what)
		}
		recompute(b)
		if err := s.refuses(name, b, f.what, f.as); err != nil {
			return err
		}
	}
	return nil
}

// refuses demands that a file with another content is refused, and for the right reason.
func (s *sealedLog) refuses(name string, b []byte, what string, as error) error {
	if err := s.files.Write(name, b); err != nil {
		return err
	}
	refused, err := s.read(false)
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	if len(refused) == 0 || !errors.Is(refused[0], as) {
		return violation(Sealed, "%s: that is not refused, as %v: %v", what, as, refused)
	}
	return nil
}

// flipped flips bits of the closed log's segments, one after the other: each is noticed, or changes nothing.
func (s *sealedLog) flipped() error {
	r := newRand(uint64(s.every), 16)
	for name, b := range s.closed {
		if !isSegment(name) {
			continue
		}
		if err := s.restore(s.closed); err != nil {
			return err
		}
		for range 150 / s.every {
			at, bit := r.IntN(len(b)), r.IntN(8)
			changed := bytes.Clone(b)
			changed[at] ^= 1 << bit
			if err := s.files.Write(name, changed); err != nil {
				return err
			}
			if _, err := s.read(true); err != nil {
				return fmt.Errorf("bit %d of byte %d of %s: %w", bit, at, name, err)
			}
		}
	}
	return nil
}

// replayed puts an earlier copy of a segment in the place of what it became.
func (s *sealedLog) replayed() error {
	if err := s.restore(s.closed); err != nil {
		return err
	}
	return s.refuses(firstSegment, s.older, "an older copy of a segment", wal.ErrDamaged)
}
