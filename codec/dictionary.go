package codec

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"

	"github.com/klauspost/compress/zstd"

	wal "github.com/chronik-go/wal/core"
	"github.com/chronik-go/wal/core/format"
)

// A Zstandard dictionary begins with a magic number, its id, and what it is about.
const (
	dictionaryMagic = 0xec30a437
	dictionaryHead  = 8
	// privateIDs are where the ids begin that are not for public dictionaries; they end below 2^31.
	privateIDs = 32768
)

var _ wal.DictionaryCodec = zstdCodec{}

// PrimedID implements wal.DictionaryCodec.
func (zstdCodec) PrimedID() uint8 { return format.CodecZstdDict }

// DictionaryID implements wal.DictionaryCodec. The id of a dictionary has to be the one that its content
// has: see SetDictionaryID.
func (zstdCodec) DictionaryID(dictionary []byte) (uint32, error) {
	if len(dictionary) <= dictionaryHead || binary.LittleEndian.Uint32(dictionary) != dictionaryMagic {
		return 0, errors.New("not a Zstandard dictionary")
	}
	id := binary.LittleEndian.Uint32(dictionary[4:])
	if want := contentID(dictionary); id != want {
		return 0, fmt.Errorf("the id of the dictionary is %08x, that of its content %08x", id, want)
	}
	return id, nil
}

// contentID makes an id of what a dictionary holds behind its own.
func contentID(dictionary []byte) uint32 {
	sum := sha256.Sum256(dictionary[dictionaryHead:])
	return privateIDs + binary.LittleEndian.Uint32(sum[:])%(1<<31-privateIDs)
}

// SetDictionaryID gives a Zstandard dictionary, from another program say, the id that a log asks for: one
// made of its content, so that no other dictionary passes for it. It changes the slice.
func SetDictionaryID(dictionary []byte) error {
	if len(dictionary) <= dictionaryHead || binary.LittleEndian.Uint32(dictionary) != dictionaryMagic {
		return fmt.Errorf("%w dictionary of %d bytes: not a Zstandard dictionary", wal.ErrInvalid, len(dictionary))
	}
	binary.LittleEndian.PutUint32(dictionary[4:], contentID(dictionary))
	return nil
}

// DictionaryOf implements wal.DictionaryCodec.
func (zstdCodec) DictionaryOf(data []byte) (uint32, error) {
	var h zstd.Header
	if err := h.Decode(data); err != nil {
		return 0, fmt.Errorf("zstd frame: %w", err)
	}
	if h.Skippable || h.DictionaryID == 0 {
		return 0, errors.New("zstd frame: it names no dictionary")
	}
	return h.DictionaryID, nil
}

// Prime implements wal.DictionaryCodec.
func (c zstdCodec) Prime(dictionary []byte) (wal.Codec, error) {
	id, err := c.DictionaryID(dictionary)
	if err != nil {
		return nil, err
	}
	if _, err := zstd.InspectDictionary(dictionary); err != nil {
		return nil, err
	}
	// Both keep memory for as many goroutines as there are processors, and most need one of them only.
	return &primedZstd{
		id: id,
		encoder: sync.OnceValue(func() *zstd.Encoder {
			return newZstdEncoder(c.level, zstd.WithEncoderDict(dictionary))
		}),
		decoder: sync.OnceValue(func() *zstd.Decoder { return newZstdDecoder(zstd.WithDecoderDicts(dictionary)) }),
	}, nil
}

// primedZstd is zstd with a dictionary.
type primedZstd struct {
	id      uint32
	encoder func() *zstd.Encoder
	decoder func() *zstd.Decoder
}

func (*primedZstd) ID() uint8    { return format.CodecZstdDict }
func (*primedZstd) Name() string { return format.CodecName(format.CodecZstdDict) }

func (p *primedZstd) Compress(dst, src []byte) []byte { return encodeWith(p.encoder(), dst, src) }

func (p *primedZstd) Decompress(dst, src []byte) error {
	id, err := zstdCodec{}.DictionaryOf(src)
	if err != nil {
		return err
	}
	if id != p.id {
		return fmt.Errorf("zstd frame of dictionary %08x, should be of %08x", id, p.id)
	}
	return decodeWith(p.decoder(), dst, src)
}
