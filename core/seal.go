package wal

import (
	"crypto/cipher"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/chronik-go/wal/core/format"
)

// sealer encrypts what a log appends, with a key that is new for each open and a counter that goes
// up for each batch: no nonce is ever used twice, whatever a crash or a failed write takes back.
type sealer struct {
	key     *format.Key
	aead    cipher.AEAD
	counter atomic.Uint64
	filed   bool // the key's file was written; the committer's
}

// startSealing makes the data key of a log that is open for writing with keys.
func (s *shard) startSealing() error {
	if err := s.checkKeys(); err != nil || s.cfg.keys == nil {
		return err
	}
	key, aead, err := s.cfg.newKey(s.logID())
	if err != nil {
		return err
	}
	s.sealer = &sealer{key: key, aead: aead}
	return nil
}

// sealKey is the key that what is appended is sealed with, nil if it is not.
func (s *shard) sealKey() *format.Key {
	if s.sealer == nil {
		return nil
	}
	return s.sealer.key
}

// sealing is memory for sealing a batch, or opening it.
type sealing struct {
	nonce [12]byte
	about []byte // what is authenticated besides the data
}

var sealings = sync.Pool{New: func() any { return new(sealing) }}

// wrap notes that a request's data will be sealed.
func (s *sealer) wrap(e *format.Entry) {
	e.Codec |= format.CodecSealed
	e.Length += format.SealOverhead
}

// inside is where in the place of a sealed batch what is to be sealed goes.
func inside(b []byte) []byte {
	return b[format.SealPrefix : len(b)-(format.SealOverhead-format.SealPrefix)]
}

// seal encrypts, in place, what stands inside b.
func (s *sealer) seal(b []byte, e *format.Entry, lsn uint64, p *Partition) {
	head := format.Seal{Key: s.key.ID, Counter: s.counter.Add(1)}
	format.PutSeal(b, head)
	m, _ := sealings.Get().(*sealing)
	m.nonce = head.Nonce()
	m.about = format.AppendSealed(m.about[:0], e, lsn, p.topic, p.num)
	s.aead.Seal(b[format.SealPrefix:format.SealPrefix], m.nonce[:], inside(b), m.about)
	sealings.Put(m)
}

// stored is a batch as it stands in a segment.
type stored struct {
	format.Entry
	lsn       uint64
	topic     string
	partition int32
	seg       *format.SegmentHeader
	data      []byte
}

// unseal returns what was sealed, in mem or new memory. Its error wraps ErrKey, or ErrTampered and
// format.ErrCorrupt.
func (c *config) unseal(mem []byte, b *stored) ([]byte, error) {
	head, err := format.ReadSeal(b.data)
	if err != nil {
		return nil, err
	}
	if k := b.seg.Key; k == nil || k.ID != head.Key {
		return nil, fmt.Errorf("%w: batch at offset %d: its data key %x is not in its segment's header", ErrKey, b.Base, head.Key)
	}
	aead, err := c.aead(b.seg.Log, b.seg.Key)
	if err != nil {
		return nil, fmt.Errorf("batch at offset %d: %w", b.Base, err)
	}
	m, _ := sealings.Get().(*sealing)
	defer sealings.Put(m)
	m.nonce = head.Nonce()
	m.about = format.AppendSealed(m.about[:0], &b.Entry, b.lsn, b.topic, b.partition)
	n := len(b.data) - format.SealOverhead
	out, err := aead.Open(sized(mem, n)[:0], m.nonce[:], b.data[format.SealPrefix:], m.about)
	if err != nil {
		return nil, fmt.Errorf("%w: %w: batch at offset %d of %s/%d does not belong there, or was changed",
			ErrTampered, format.ErrCorrupt, b.Base, b.topic, b.partition)
	}
	return out, nil
}
