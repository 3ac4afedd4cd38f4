package codec

import (
	"github.com/klauspost/compress/s2"

	wal "github.com/chronik-go/wal/core"
	"github.com/chronik-go/wal/core/format"
)

const maxS2 = 2

// S2 returns the codec s2, an extension of Snappy: the least work for small appends. Level 0 is
// the fast compressor, 1 and 2 compress better. Levels outside that range count as the nearest.
func S2(level int) wal.Codec { return s2Codec{min(max(level, 0), maxS2)} }

type s2Codec struct{ level int }

var _ wal.Codec = s2Codec{}

func (s2Codec) ID() uint8    { return format.CodecS2 }
func (s2Codec) Name() string { return "s2" }

func (c s2Codec) Compress(dst, src []byte) []byte {
	most := s2.MaxEncodedLen(len(src))
	if most < 0 {
		return nil // too large for a block
	}
	start := len(dst)
	dst = room(dst, most)
	out := dst[start : start+most]
	switch c.level {
	case 0:
		out = s2.Encode(out, src)
	case 1:
		out = s2.EncodeBetter(out, src)
	default:
		out = s2.EncodeBest(out, src)
	}
	if len(out) >= len(src) {
		return nil
	}
	return dst[:start+len(out)]
}

func (s2Codec) Decompress(dst, src []byte) error {
	n, err := s2.DecodedLen(src)
	if err != nil {
		return err
	}
	if err := checkLength(n, len(dst)); err != nil {
		return err // before s2 makes room for what the data claims
	}
	_, err = s2.Decode(dst, src)
	return err
}
