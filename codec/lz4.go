package codec

import (
	"fmt"
	"sync"

	"github.com/pierrec/lz4/v4"

	wal "github.com/chronik-go/wal/core"
	"github.com/chronik-go/wal/core/format"
)

const maxLZ4 = 9

// LZ4 returns the codec lz4: the fastest to decompress. Level 0 is the fast compressor; 1 to 9
// search longer for what compresses better. Levels outside that range count as the nearest.
func LZ4(level int) wal.Codec { return lz4Codec{min(max(level, 0), maxLZ4)} }

type lz4Codec struct{ level int }

var _ wal.Codec = lz4Codec{}

func (lz4Codec) ID() uint8    { return format.CodecLZ4 }
func (lz4Codec) Name() string { return "lz4" }

var (
	lz4Fast = sync.Pool{New: func() any { return new(lz4.Compressor) }}
	lz4High = sync.Pool{New: func() any { return new(lz4.CompressorHC) }}
)

func (c lz4Codec) Compress(dst, src []byte) []byte {
	if len(src) < 2 {
		return nil
	}
	start := len(dst)
	dst = room(dst, len(src)-1)
	out := dst[start : start+len(src)-1] // what does not fit there does not shrink
	n, err := c.compressBlock(src, out)
	if n == 0 || err != nil {
		return nil
	}
	return dst[:start+n]
}

func (c lz4Codec) compressBlock(src, dst []byte) (int, error) {
	if c.level == 0 {
		e, _ := lz4Fast.Get().(*lz4.Compressor)
		defer lz4Fast.Put(e)
		return e.CompressBlock(src, dst)
	}
	e, _ := lz4High.Get().(*lz4.CompressorHC)
	defer lz4High.Put(e)
	e.Level = lz4.Level1 << (c.level - 1)
	return e.CompressBlock(src, dst)
}

func (lz4Codec) Decompress(dst, src []byte) error {
	n, err := lz4.UncompressBlock(src, dst)
	if err != nil {
		return err
	}
	return checkLength(n, len(dst))
}

// checkLength compares the length of what was decompressed with what it has to be.
func checkLength(got, want int) error {
	if got != want {
		return fmt.Errorf("%d bytes, should be %d", got, want)
	}
	return nil
}
