package wal

import (
	"errors"
	"fmt"
	"io"

	"github.com/chronik-go/wal/core/backend"
	"github.com/chronik-go/wal/core/format"
)

// frame is a frame that was read and found good.
type frame struct {
	format.FrameHeader
	entries []format.Entry
	bytes   []byte // header to directory
	// spoiled are the entries, by their place, whose data is not what was written; only
	// in the partial frame of a badFrame.
	spoiled []int
}

// lsns is how many LSNs the frame takes.
func (f *frame) lsns() (n uint64) {
	for i := range f.entries {
		if f.entries[i].Kind.HasLSN() {
			n++
		}
	}
	return n
}

// inTransaction reports whether entry i is one of several of a transaction.
func (f *frame) inTransaction(i int) bool {
	return f.entries[i].Flags&format.FlagTransaction != 0 ||
		i+1 < len(f.entries) && f.entries[i+1].Flags&format.FlagTransaction != 0
}

// each calls do for every entry with its LSN (for a declaration, that of the next entry)
// and data.
func (f *frame) each(do func(e format.Entry, lsn uint64, data []byte) error) error {
	lsn, at := f.LSN, int64(format.FrameHeaderSize)
	for _, e := range f.entries {
		if err := do(e, lsn, f.bytes[at:at+e.Length]); err != nil {
			return err
		}
		at += e.Length
		if e.Kind.HasLSN() {
			lsn++
		}
	}
	return nil
}

// badFrame says that no good frame stands at a position.
type badFrame struct {
	position int64
	reason   string
	// ours: there is a frame header of this segment, or there was one.
	ours bool
	// misplaced: it is whole, each CRC holds, but it does not belong there or says what
	// cannot be. No crash leaves that behind.
	misplaced bool
	// length is what the header says, 0 if there is none to trust.
	length int64
	// resume: it is sound and stands where it says, but what comes before it is missing.
	resume bool
	// partial is the frame if header and directory are sound and only data is not. It is
	// valid as long as a good frame would be.
	partial *frame
}

func (b *badFrame) Error() string { return fmt.Sprintf("byte %d: %s", b.position, b.reason) }

// frameReader walks the frames of one segment.
type frameReader struct {
	window
	epoch     uint64 // 0: not known, any will do for a search
	sum       format.Checksum
	alignment int64

	position int64  // of the next frame
	lsn      uint64 // that it must have
	chain    uint32 // that it must have
	// loose takes any LSN and chain: for readers, who begin anywhere, and to go on
	// behind damage.
	loose bool
	// check verifies all data, not only header and directory.
	check bool
	// deep, with check, verifies the records in the data too, with the codecs that it has; nil:
	// it does not.
	deep *config
	// header and name tell of the segment and its partitions, for that; decoding is its memory.
	header   *format.SegmentHeader
	name     func(id uint32) (topic string, partition int32, ok bool)
	decoding decoding
	// unchecked counts the batches whose contents cannot be looked at here.
	unchecked int64
	// lacking counts the batches whose dictionary is missing or damaged, by its id.
	lacking map[uint32]int64
	// rising takes any LSN that is not below the next one: a repaired segment.
	rising bool

	frame frame
}

// next reads the frame at the reader's position and moves on behind it. The frame is valid
// until the next call. It returns io.EOF at the limit, *badFrame where there is no good
// frame, or the error of reading.
func (r *frameReader) next() (*frame, error) {
	if r.position+format.FrameHeaderSize > r.limit {
		return nil, io.EOF
	}
	b, err := r.bytes(r.position, format.FrameHeaderSize)
	if err != nil {
		return nil, err
	}
	h, err := format.ReadFrameHeader(b)
	if errors.Is(err, format.ErrVersion) && h.Epoch == r.epoch && h.Position == r.position {
		return nil, err // to take it for a torn tail would cut off what a later version wrote
	}
	if err != nil {
		return nil, &badFrame{position: r.position, reason: err.Error()}
	}
	if err := r.checkPlace(h); err != nil {
		return nil, err
	}
	b, err = r.bytes(r.position, int(h.Length))
	if err != nil {
		return nil, err
	}
	entries, err := format.ReadDirectory(r.frame.entries[:0], h, b[h.DirectoryAt():])
	r.frame = frame{FrameHeader: h, entries: entries, bytes: b}
	sound := err == nil
	if sound && r.check {
		err = r.checkData()
	}
	if err != nil {
		return nil, r.bad(err, sound)
	}
	r.position += format.AlignUp(h.Length, r.alignment)
	r.lsn, r.chain, r.loose = h.LSN+r.frame.lsns(), h.CRC, r.loose && !r.check
	return &r.frame, nil
}

// bad returns the error for a frame in which something is wrong: with its directory, or that is
// sound and it is the data.
func (r *frameReader) bad(err error, sound bool) error {
	if errors.Is(err, format.ErrVersion) {
		return err
	}
	bad := &badFrame{position: r.position, ours: true, length: r.frame.Length, reason: err.Error()}
	if sound {
		bad.partial = &r.frame
	}
	bad.misplaced = bad.whole(r.sum, r.frame.FrameHeader, r.frame.bytes)
	return bad
}

// whole tells whether all sums hold of a frame that is bad all the same. Without a partial
// frame it is the directory that cannot be.
func (b *badFrame) whole(sum format.Checksum, h format.FrameHeader, bytes []byte) bool {
	if format.CRC(bytes[h.DirectoryAt():]) != h.DirectoryCRC {
		return false
	}
	return b.partial == nil ||
		b.partial.each(func(e format.Entry, _ uint64, data []byte) error { return format.CheckData(sum, e, data) }) == nil
}

// checkData checks the data of the frame just read, and notes which entries are spoiled.
// It returns what is wrong with the first of them.
func (r *frameReader) checkData() (first error) {
	i := 0
	_ = r.frame.each(func(e format.Entry, lsn uint64, data []byte) error { // it never fails
		err := format.CheckData(r.sum, e, data)
		if err == nil && r.deep != nil && e.Kind == format.KindData {
			err = r.checkContents(e, lsn, data)
		}
		if err != nil {
			r.frame.spoiled = append(r.frame.spoiled, i)
			if first == nil {
				first = err
			}
		}
		i++
		return nil
	})
	return first
}

// checkContents checks the records of a batch, if they can be decoded here. If not, that is no
// damage.
func (r *frameReader) checkContents(e format.Entry, lsn uint64, data []byte) error {
	topic, partition, ok := r.name(e.Partition)
	b := stored{e, lsn, topic, partition, r.header, data}
	if !ok && e.Codec&format.CodecSealed != 0 {
		r.unchecked++ // what it was sealed for is not known
		return nil
	}
	raw, err := r.deep.decode(&r.decoding, &b)
	if err != nil {
		return r.onlyDamage(err)
	}
	return checkRecords(e, raw)
}

// onlyDamage passes on an error of decode if that is damage of the batch, else counts it.
func (r *frameReader) onlyDamage(err error) error {
	var dict *DictionaryError
	if errors.As(err, &dict) { // the batch is sound, and stays
		if r.lacking == nil {
			r.lacking = map[uint32]int64{}
		}
		r.lacking[dict.Dictionary]++
		return nil
	}
	if errors.Is(err, format.ErrCorrupt) {
		return err
	}
	r.unchecked++
	return nil
}

// checkRecords checks that records fill the data of a batch exactly.
func checkRecords(e format.Entry, data []byte) (err error) {
	for range e.Count {
		if _, data, err = format.ReadRecord(data); err != nil {
			return fmt.Errorf("batch at offset %d: %w", e.Base, err)
		}
	}
	if len(data) > 0 {
		return fmt.Errorf("%w: batch at offset %d: %d bytes behind the last record", format.ErrCorrupt, e.Base, len(data))
	}
	return nil
}

// checkPlace tells whether a sound header belongs where it stands.
func (r *frameReader) checkPlace(h format.FrameHeader) error {
	inside := r.position+h.Length <= r.limit
	if h.Epoch == r.epoch && h.Position == r.position && r.follows(h.LSN) && (r.loose || h.Chain == r.chain) && inside {
		return nil
	}
	bad := &badFrame{position: r.position, length: h.Length}
	if h.Epoch != r.epoch {
		bad.reason = "the frame is of an earlier use of the file"
		return bad
	}
	bad.ours, bad.misplaced = true, true
	bad.resume = h.Position == r.position && h.LSN >= r.lsn && inside
	switch {
	case h.Position != r.position:
		bad.reason = fmt.Sprintf("the frame belongs at byte %d", h.Position)
	case !r.follows(h.LSN):
		bad.reason = fmt.Sprintf("the frame has LSN %d, should have %d", h.LSN, r.lsn)
	case !r.loose && h.Chain != r.chain:
		bad.reason = fmt.Sprintf("the frame follows one with CRC %08x, not %08x", h.Chain, r.chain)
	default:
		bad.misplaced = false
		bad.reason = fmt.Sprintf("the frame of %d bytes goes beyond the end of the segment at %d", h.Length, r.limit)
	}
	return bad
}

// follows reports whether a frame may have that LSN. Behind damage it is not known, but
// it never goes back.
func (r *frameReader) follows(lsn uint64) bool {
	switch {
	case r.loose && !r.check:
		return true
	case r.loose || r.rising:
		return lsn >= r.lsn
	}
	return lsn == r.lsn
}

// search looks from a position on for the next place where a frame header of this
// segment stands. It returns nil where there is none.
func (r *frameReader) search(from int64) (*format.FrameHeader, error) {
	for at := format.AlignUp(from, r.alignment); at+format.FrameHeaderSize <= r.limit; at += r.alignment {
		at = r.skipZeros(at)
		if at+format.FrameHeaderSize > r.limit {
			break
		}
		b, err := r.bytes(at, format.FrameHeaderSize)
		if err != nil {
			return nil, err
		}
		if !format.IsFrame(b) {
			continue
		}
		if h, err := format.ReadFrameHeader(b); err == nil && (h.Epoch == r.epoch || r.epoch == 0) && h.Position == at {
			return &h, nil
		}
	}
	return nil, nil
}

// behind returns the position of the next frame behind a bad one, the limit if there is none.
func (r *frameReader) behind(bad *badFrame) (int64, error) {
	from := bad.position + r.alignment
	next, err := r.search(from)
	if errors.Is(err, errShown) { // it is further on
		plain := frameReader{
			window: window{file: r.file, limit: r.limit, chunk: r.chunk, pool: r.pool}, epoch: r.epoch, alignment: r.alignment,
		}
		defer plain.release()
		next, err = plain.search(max(from, r.end()-format.FrameHeaderSize))
	}
	if err != nil || next == nil {
		return r.limit, err
	}
	return next.Position, nil
}

// skipZeros returns the first aligned position, not below at, that is worth reading. It
// asks only where the window has to move anyway.
func (r *frameReader) skipZeros(at int64) int64 {
	finder, ok := r.file.(backend.DataFinder)
	if !ok || at < r.at+int64(len(r.buf)) {
		return at
	}
	next, err := finder.NextData(at)
	if err != nil || next <= at {
		return at
	}
	return max(at, next&^(r.alignment-1))
}
