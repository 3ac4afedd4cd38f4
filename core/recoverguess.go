package wal

import (
	"cmp"

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
	more, err := guessMore(&r, first)
	if err != nil {
		return false
	}
	g.Checksum, g.Key, g.sealedWith = cmp.Or(more.sum, format.ChecksumCRC32C), more.key, more.sealedWith
	if g.Key != nil {
		g.Log = g.Key.Log
	}
	if first.Position > format.HeaderSize {
		g.Predecessor.Chain = 0 // there were frames before it
	}
	return true
}

// guessed is what the frames of a segment tell of its header, beyond what is in their own.
type guessed struct {
	sum format.Checksum
	key *format.Key
	// sealedWith is the key that a batch names; zero if none was found.
	sealedWith format.KeyID
	open       bool // a batch is there that is not sealed, so none is
}

// guessMore looks through the frames from the first one on for what tells the kind of checksum and,
// where batches are sealed, their key.
func guessMore(r *frameReader, first format.FrameHeader) (w guessed, err error) {
	for h := &first; h != nil; {
		r.position, r.loose = h.Position, true
		if f, err := r.next(); err == nil {
			_ = f.each(func(e format.Entry, _ uint64, data []byte) error { w.learn(e, data); return nil })
			if w.complete() {
				return w, nil
			}
		}
		if h, err = r.search(h.Position + r.alignment); err != nil {
			return w, err
		}
	}
	return w, nil
}

// complete reports whether there is no more to learn, but from frames that are not there.
func (w *guessed) complete() bool {
	return w.sum != 0 && (w.key != nil || w.open)
}

// learn takes in what an entry tells, if its checksum of some kind is good.
func (w *guessed) learn(e format.Entry, data []byte) {
	sum := format.Checksum(0)
	for k := format.ChecksumCRC32C; k.Known(); k++ {
		if len(data) > 0 && k.Sum(data) == e.CRC {
			sum = k
		}
	}
	if sum == 0 || w.sum != 0 && w.sum != sum {
		return
	}
	w.sum = sum
	switch {
	case e.Kind == format.KindDeclare && e.Flags&format.FlagKey != 0 && w.key == nil:
		if _, rest, err := format.ReadDeclaration(data); err == nil {
			w.key, _, _ = format.ReadKey(rest)
		}
	case e.Kind == format.KindData && e.Codec&format.CodecSealed != 0:
		if head, err := format.ReadSeal(data); err == nil {
			w.sealedWith = head.Key
		}
	case e.Kind == format.KindData:
		w.open = true
	}
}

// findKeys gives segments whose key is lost the one of the same id that another segment has, for
// all that one open began have the same, or that has a file.
func (r *recovery) findKeys() {
	keys := map[format.KeyID]*format.Key{}
	for _, g := range r.segments {
		if g.Key != nil {
			keys[g.Key.ID] = g.Key
		}
	}
	for _, g := range r.segments {
		if g.guessed {
			g.Log = r.s.id
		}
		if g.guessed && g.Key == nil {
			g.Key = keys[g.sealedWith]
		}
		if g.guessed {
			g.Key = r.ownKey(g)
		}
	}
}

// ownKey is the key of a segment, by its file if need be; nil if there is none.
func (r *recovery) ownKey(g *segment) *format.Key {
	if g.Key == nil && g.sealedWith != (format.KeyID{}) {
		return r.s.filedKey(g.sealedWith)
	}
	return g.Key
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
