package wal

import (
	"sync"

	"github.com/chronik-go/wal/core/format"
)

// How long compressed records are shows only when they are compressed, and a place in a group
// is given out by length. So an append that is compressed is encoded and compressed first, in
// memory of its own, and copied to its place; all of it in the producer, outside every lock.

// packed is an append's data, made before it gets its place.
type packed struct {
	raw, out []byte // memory: the records encoded, and compressed
	data     []byte // the one that is stored
}

// maxPacked is the largest memory that is kept for the next append, bytes.
const maxPacked = 1 << 20

var packs = sync.Pool{New: func() any { return new(packed) }}

// pack encodes and compresses the records of a request that has a codec, and notes how they are
// stored: as they are if they do not shrink, and sealed if the log has a key.
func (r *request) pack(records []Record) {
	if s := r.part.shard.sealer; s != nil && r.entry.Kind == format.KindData {
		defer s.wrap(&r.entry)
	}
	if r.codec == nil {
		return
	}
	p, _ := packs.Get().(*packed)
	p.raw = sized(p.raw, int(r.entry.RawLength))
	putRecords(p.raw, records, r.start.UnixNano())
	p.out = sized(p.out, len(p.raw)+len(p.raw)/6+64) // what no codec needs more than
	p.data = p.raw
	if out := r.codec.Compress(p.out[:0], p.raw); out != nil && len(out) < len(p.raw) {
		p.out, p.data = out, out
		r.entry.Codec, r.entry.Length = r.codec.ID(), int64(len(out))
	}
	r.packed = p
}

// unpack gives back the memory of pack.
func (r *request) unpack() {
	if p := r.packed; p != nil && p.raw != nil && cap(p.raw) <= maxPacked && cap(p.out) <= maxPacked {
		packs.Put(p)
	}
	r.packed = nil
}

// putRecords encodes records to b, which they fill.
func putRecords(b []byte, records []format.Record, now int64) {
	n := 0
	for i := range records {
		n += format.PutRecord(b[n:], &records[i], timestampOf(&records[i], now))
	}
}
