package wal

import (
	"fmt"
	"sync"

	"github.com/chronik-go/wal/core/format"
)

// Codec compresses the records of an append, which are one batch. The module codec has
// those that the format gives an id: import it, by name or blank, and batches of its codecs
// can be read; WithCodec and its like have them written.
//
// Its methods may be called concurrently, and keep none of the slices.
type Codec interface {
	// ID is what batches on disk name the codec by, from 1 to 62. Those from 1 to 31 are the
	// format's, see docs/format.md; the others are the application's.
	ID() uint8
	// Name is for people.
	Name() string
	// Compress appends src, compressed, to dst, whose spare room it uses as far as that goes. It
	// returns nil if that is not smaller than src; it may give up early.
	Compress(dst, src []byte) []byte
	// Decompress fills dst with what src holds decompressed. It is an error if that is not
	// just as long as dst. src may be anything: Decompress does not panic, and its memory is
	// bounded by the lengths of dst and src.
	Decompress(dst, src []byte) error
}

// maxCodec is the highest id that a codec may have.
const maxCodec = 62

var (
	codecsMu sync.RWMutex
	codecs   [maxCodec + 1]Codec
)

// RegisterCodec has all logs of this program read batches of a codec. A module calls it from
// an init function, so that importing the module is enough. It panics if the id is out of
// range or taken: that is a mistake in the build.
func RegisterCodec(c Codec) {
	codecsMu.Lock()
	defer codecsMu.Unlock()
	if id := c.ID(); id < 1 || id > maxCodec || codecs[id] != nil {
		panic(fmt.Sprintf("wal: RegisterCodec of %s: id %d is taken, or not from 1 to %d", c.Name(), id, maxCodec))
	}
	codecs[c.ID()] = c
}

// registeredCodec returns the codec of an id, nil if none is registered.
func registeredCodec(id uint8) Codec {
	if id > maxCodec {
		return nil
	}
	codecsMu.RLock()
	defer codecsMu.RUnlock()
	return codecs[id]
}

// codecName is what people call the codec of an id.
func codecName(id uint8) string {
	if c := registeredCodec(id); c != nil {
		return c.Name()
	}
	if name := format.CodecName(id); name != "" {
		return name
	}
	return fmt.Sprintf("codec %d", id)
}

// codecNames are those of a set of codecs, bit c for codec c.
func codecNames(set uint64) []string {
	names := []string{}
	for id := range uint8(64) {
		if set&(1<<id) != 0 {
			names = append(names, codecName(id))
		}
	}
	return names
}

// CodecError is the error for a batch whose codec this program does not have. It wraps
// ErrCodec.
type CodecError struct {
	// Offset is that of the batch's first record.
	Offset int64
	// ID and Name are the codec's.
	ID   uint8
	Name string
}

func (e *CodecError) Error() string {
	advice := "register it with RegisterCodec, or pass it to Open"
	if format.CodecName(e.ID) != "" {
		advice = `import _ "github.com/chronik-go/wal/codec"`
	}
	return fmt.Sprintf("%v: the batch at offset %d is compressed with %s: %s", ErrCodec, e.Offset, e.Name, advice)
}

func (e *CodecError) Unwrap() error { return ErrCodec }

// codecFor is what the appends of a topic are compressed with, nil for nothing.
func (c *config) codecFor(topic string) Codec {
	if codec, ok := c.topicCodecs[topic]; ok {
		return codec
	}
	return c.codec
}

// codecByID returns the codec that batches of an id are read with, nil if there is none: one that
// was passed by option, else the one that is registered.
func (c *config) codecByID(id uint8) Codec {
	if c.codec != nil && c.codec.ID() == id {
		return c.codec
	}
	for _, codec := range c.topicCodecs {
		if codec != nil && codec.ID() == id {
			return codec
		}
	}
	return registeredCodec(id)
}

// checkCodecs checks the codecs that were passed by option.
func (c *config) checkCodecs() error {
	list := []Codec{c.codec}
	for _, codec := range c.topicCodecs {
		list = append(list, codec)
	}
	for _, codec := range list {
		if codec != nil && (codec.ID() < 1 || codec.ID() > maxCodec) {
			return invalidCodec(codec)
		}
	}
	return nil
}

func invalidCodec(c Codec) error {
	return fmt.Errorf("%w codec %s: its id is %d, from 1 to %d are possible", ErrInvalid, c.Name(), c.ID(), maxCodec)
}

// decoding is memory that decode may use again.
type decoding struct{ opened, raw []byte }

// decode returns the records of a batch as they were encoded: the data itself or, if that is
// compressed or encrypted, memory of m; of nobody else if m is nil.
//
// Its error wraps ErrKey, ErrCodec, ErrDictionary, ErrRecordTooLarge, ErrNotEncrypted, or
// format.ErrCorrupt, which alone is damage of the batch.
func (c *config) decode(m *decoding, b *stored) ([]byte, error) {
	if b.Codec == format.CodecNone && !c.sealedOnly {
		return b.data, nil
	}
	if m == nil {
		m = &decoding{}
	}
	data, id := b.data, b.Codec&^format.CodecSealed
	if b.Codec&format.CodecSealed != 0 {
		var err error
		if data, err = c.unseal(m.opened, b); err != nil {
			return nil, err
		}
		m.opened = data
	} else if c.sealedOnly {
		return nil, fmt.Errorf("%w: batch at offset %d of %s/%d", ErrNotEncrypted, b.Base, b.topic, b.partition)
	}
	if id == format.CodecNone {
		return data, nil
	}
	codec, by := c.codecByID(id), c.primerFor(id)
	if codec == nil && by == nil {
		return nil, &CodecError{Offset: b.Base, ID: id, Name: codecName(id)}
	}
	// A few bytes may claim to be gigabytes: nothing is reserved for what no append has made.
	if b.RawLength > c.maxRecord+moveBatch {
		return nil, fmt.Errorf("%w: batch at offset %d: %d bytes decompressed (the limit is %d): raise WithMaxRecordSize to read it",
			ErrRecordTooLarge, b.Base, b.RawLength, c.maxRecord)
	}
	if by != nil {
		var err error
		if codec, err = c.primedFor(b, by, data); err != nil {
			return nil, err
		}
	}
	m.raw = sized(m.raw, int(b.RawLength))
	if err := codec.Decompress(m.raw, data); err != nil {
		return nil, fmt.Errorf("%w: batch at offset %d: decompress with %s: %w", format.ErrCorrupt, b.Base, codec.Name(), err)
	}
	return m.raw, nil
}

// sized returns n bytes: of mem if it is large enough.
func sized(mem []byte, n int) []byte {
	if cap(mem) < n {
		return make([]byte, n)
	}
	return mem[:n]
}
