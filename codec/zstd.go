package codec

import (
	"fmt"
	"sync"

	"github.com/klauspost/compress/zstd"

	wal "github.com/chronik-go/wal/core"
	"github.com/chronik-go/wal/core/format"
)

const maxZstd = 4

// Zstd returns the codec zstd: the smallest result, for more CPU time. Levels 1 to 4 are those of
// the library, from the fastest to the best; 0 is 1. Levels outside that range count as the
// nearest.
func Zstd(level int) wal.Codec {
	level = min(max(level, 1), maxZstd)
	return zstdCodec{level: level}
}

type zstdCodec struct{ level int }

var _ wal.Codec = zstdCodec{}

func (zstdCodec) ID() uint8    { return format.CodecZstd }
func (zstdCodec) Name() string { return "zstd" }

// An encoder, and the decoder, serve any number of goroutines, and keep the memory for as many
// as there are processors.
var (
	zstdEncoders [maxZstd + 1]func() *zstd.Encoder
	zstdDecoder  = sync.OnceValue(func() *zstd.Decoder { return newZstdDecoder() })
)

func init() {
	for level := 1; level <= maxZstd; level++ {
		zstdEncoders[level] = sync.OnceValue(func() *zstd.Encoder { return newZstdEncoder(level) })
	}
}

// newZstdEncoder makes an encoder that adds no checksum, for the batch has one. Its frames state
// their size, and ask no more memory than that of who decodes them.
func newZstdEncoder(level int, more ...zstd.EOption) *zstd.Encoder {
	e, err := zstd.NewWriter(nil, append([]zstd.EOption{
		zstd.WithEncoderLevel(zstd.EncoderLevel(level)),
		zstd.WithEncoderCRC(false), zstd.WithSingleSegment(true), zstd.WithZeroFrames(true),
	}, more...)...)
	if err != nil { // only for options that it does not know
		panic(fmt.Sprintf("zstd encoder: %v", err))
	}
	return e
}

// newZstdDecoder makes a decoder that writes no further than the room it is given.
func newZstdDecoder(more ...zstd.DOption) *zstd.Decoder {
	d, err := zstd.NewReader(nil, append([]zstd.DOption{
		zstd.WithDecoderConcurrency(0), zstd.WithDecodeAllCapLimit(true),
		zstd.WithDecoderMaxMemory(format.MaxFrame), zstd.WithDecoderMaxWindow(1 << 29),
	}, more...)...)
	if err != nil { // only for options that it does not know
		panic(fmt.Sprintf("zstd decoder: %v", err))
	}
	return d
}

func (c zstdCodec) Compress(dst, src []byte) []byte {
	return encodeWith(zstdEncoders[c.level](), dst, src)
}

func encodeWith(e *zstd.Encoder, dst, src []byte) []byte {
	start := len(dst)
	dst = e.EncodeAll(src, room(dst, len(src)))
	if len(dst)-start >= len(src) {
		return nil
	}
	return dst
}

func (zstdCodec) Decompress(dst, src []byte) error { return decodeWith(zstdDecoder(), dst, src) }

func decodeWith(d *zstd.Decoder, dst, src []byte) error {
	out, err := d.DecodeAll(src, dst[:0:len(dst)])
	if err != nil {
		return err
	}
	if err := checkLength(len(out), len(dst)); err != nil {
		return err
	}
	if len(dst) > 0 && &out[0] != &dst[0] {
		copy(dst, out)
	}
	return nil
}
