package wal

import (
	"bytes"
	"fmt"
	"math/bits"

	"github.com/chronik-go/wal/core/format"
)

// footerPadded reports whether the padding between a footer's body and its trailer is zeros. No
// CRC covers it, and a footer is whole only with it: a crash may have left the write of it torn
// just there.
func (g *segment) footerPadded(t format.Trailer) (bool, error) {
	from := t.BodyAt + t.BodyLength
	b := make([]byte, g.size.Load()-format.TrailerSize-from)
	if _, err := g.file.ReadAt(b, from); err != nil {
		return false, fmt.Errorf("read footer of %s: %w", g.at(from), err)
	}
	return len(bytes.Trim(b, "\x00")) == 0, nil
}

// checkFooterRemains looks at what follows a segment without a sound footer, and decides
// whether it is the damaged rest of one.
//
// A segment has no footer where a crash or a failure came before it was sealed, and part of
// one where it came meanwhile. That is in order: a footer only repeats what the frames
// say. It is damage if the log was closed cleanly since then, with this segment sealed. Else nobody
// can tell: a sector that a crash tore may differ from what it must be in a few bits only.
func (r *recovery) checkFooterRemains(g *segment, sc *scan) error {
	end := sc.end()
	want := format.AppendFooter(nil, sc.table.footer(&g.SegmentHeader, end, sc.hash.Sum64()), g.Alignment)
	have := make([]byte, max(0, min(int64(len(want)), g.size.Load()-end.End)))
	if len(have) == 0 {
		return nil
	}
	if _, err := g.file.ReadAt(have, end.End); err != nil {
		return fmt.Errorf("read %s: %w", g.at(end.End), err)
	}
	if !r.sealedAtClose(g) {
		return nil
	}
	size := end.End + int64(len(want))
	if g.size.Load() == size && len(have) == len(want) {
		if at := flippedBits(have, want); at >= 0 {
			sc.remark(end.End+int64(at), 1, "the footer has changed")
			return nil
		}
	}
	if g.size.Load() == size {
		sc.remark(end.End, int64(len(want)), "the footer is gone although the log was closed cleanly")
	} else if bytes.Equal(have, want[:len(have)]) {
		sc.remark(end.End, int64(len(have)), fmt.Sprintf("the file has %d bytes, should have %d", g.size.Load(), size))
	}
	return nil
}

// fewBits is how many bits of a sector may differ for the sector to pass for a damaged one
// rather than for another one.
const fewBits = 4

// flippedBits returns where the first sector that differs does so, if no sector differs in
// more than a few bits. It returns -1 else, or if all is equal.
func flippedBits(have, want []byte) (at int) {
	at = -1
	for from := 0; from < len(want); from += format.MinAlignment {
		n := 0
		for i := from; i < min(from+format.MinAlignment, len(want)); i++ {
			if d := bits.OnesCount8(have[i] ^ want[i]); d > 0 {
				if n += d; at < 0 {
					at = i
				}
			}
		}
		if n > fewBits {
			return -1
		}
	}
	return at
}
