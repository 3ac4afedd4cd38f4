package wal

import (
	"github.com/chronik-go/wal/core/format"
)

// guessHeader makes up a header, for salvage, for a segment that has lost its own: from
// its footer, if it has one, and its first sound frame. The end of the segment before it
// stays unknown, but for the LSN.
func guessHeader(g *segment, number uint64) bool {
	epoch, ok := footerEpoch(g, number)
	if !ok {
		return false
	}
	r := frameReader{
		window: window{file: g.file, limit: g.size.Load(), chunk: windowSize}, epoch: epoch, alignment: format.MinAlignment,
	}
	h, err := r.search(format.HeaderSize)
	if err != nil || h == nil {
		return false
	}
	first := *h
	r.epoch = first.Epoch
	alignment := int64(format.MaxAlignment)
	for ; err == nil && h != nil; h, err = r.search(h.Position + h.Length) {
		for h.Position%alignment != 0 {
			alignment /= 2
		}
	}
	if err != nil {
		return false
	}
	g.SegmentHeader = format.SegmentHeader{
		Alignment: alignment, Number: number, Epoch: first.Epoch, FirstLSN: first.LSN,
		Predecessor: format.Link{Segment: number - 1, LSN: first.LSN - 1, Chain: first.Chain},
	}
	g.guessed = true
	if g.Checksum, err = guessChecksum(&r, first); err != nil {
		return false
	}
	if first.Position > format.HeaderSize {
		g.Predecessor.Chain = 0 // there were frames before it
	}
	return true
}

// guessChecksum tells which kind of checksum the data of a segment has, whose first frame header
// is known: the one that fits the first entry that it fits, CRC-32C if none does.
func guessChecksum(r *frameReader, first format.FrameHeader) (format.Checksum, error) {
	for h := &first; h != nil; {
		r.position, r.loose = h.Position, true
		if f, err := r.next(); err == nil {
			kind := format.Checksum(0)
			_ = f.each(func(e format.Entry, _ uint64, data []byte) error { // it never fails
				for _, k := range []format.Checksum{format.ChecksumCRC32C, format.ChecksumXXH64} {
					if kind == 0 && len(data) > 0 && k.Sum(data) == e.CRC {
						kind = k
					}
				}
				return nil
			})
			if kind != 0 {
				return kind, nil
			}
		}
		var err error
		if h, err = r.search(h.Position + r.alignment); err != nil {
			return 0, err
		}
	}
	return format.ChecksumCRC32C, nil
}

// footerEpoch returns the epoch that the trailer of a segment tells, 0 if it has none. It is
// not ok if the trailer is that of another segment.
func footerEpoch(g *segment, number uint64) (epoch uint64, ok bool) {
	var b [format.TrailerSize]byte
	size := g.size.Load()
	if size < format.HeaderSize+format.TrailerSize {
		return 0, true
	}
	if _, err := g.file.ReadAt(b[:], size-format.TrailerSize); err != nil {
		return 0, true
	}
	t, err := format.ReadTrailer(b[:])
	if err != nil {
		return 0, true
	}
	return t.Epoch, t.Number == number
}
