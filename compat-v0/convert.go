package walv0

import (
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/cespare/xxhash/v2"

	wal "github.com/chronik-go/wal/core"
)

// The headers of a v1 record that was a V2 record, in this order; their values are decimal numbers.
const (
	// HeaderBase is the base offset that stood in the record, or the one it was given.
	HeaderBase = "chronik.v0.base_offset"
	// HeaderLast is the last offset that the record stands for.
	HeaderLast = "chronik.v0.last_offset"
	// HeaderCount is how many records its data holds; 0: not known.
	HeaderCount = "chronik.v0.record_count"
)

// opaque is what V2 says of its data.
type opaque struct {
	base, last int64
	count      int32
}

// opaqueOf returns it for a record that gets an offset.
func (r *Record) opaqueOf(offset int64) opaque {
	if r.Variant != V2c {
		return opaque{offset, offset, 0}
	}
	return opaque{r.Offset, r.Last, r.Count}
}

// arena is memory for what v1 records need besides that of the v0 record.
type arena struct {
	headers []wal.Header
	text    []byte
}

func (a *arena) reset() {
	clear(a.headers)
	a.headers, a.text = a.headers[:0], a.text[:0]
}

// number adds a header for a number.
func (a *arena) number(key string, n int64) {
	from := len(a.text)
	a.text = strconv.AppendInt(a.text, n, 10)
	a.headers = append(a.headers, wal.Header{Key: key, Value: slices.Clip(a.text[from:])})
}

// v1 returns the record as v1 has it at an offset. Its memory is that of the arena, and of r.
func (a *arena) v1(r *Record, offset int64) wal.Record {
	from := len(a.headers)
	out := wal.Record{Offset: offset, Timestamp: time.UnixMilli(r.Time), Key: r.Key, Value: r.Value}
	if r.Variant == V1 {
		for _, h := range r.Headers {
			a.headers = append(a.headers, wal.Header{Key: h.Name, Value: h.Value})
		}
	} else {
		o := r.opaqueOf(offset)
		a.number(HeaderBase, o.base)
		a.number(HeaderLast, o.last)
		a.number(HeaderCount, int64(o.count))
	}
	if to := len(a.headers); to > from {
		out.Headers = a.headers[from:to:to]
	}
	return out
}

// hasher computes what a record holds, whichever layout it is in: a hash of its time, key, value and
// headers as v1 has them. Not of its offset.
type hasher struct {
	digest  xxhash.Digest
	scratch []byte
	arena   arena
}

// ofV0 is the hash of a v0 record, whose bytes are raw.
func (h *hasher) ofV0(r *Record, raw []byte, offset int64) uint64 {
	if r.Variant == V1 {
		return mix(xxhash.Sum64(raw[v1KeySize:]), uint64(r.Time)*uint64(time.Millisecond))
	}
	h.arena.reset()
	out := h.arena.v1(r, offset)
	return h.ofV1(&out)
}

// ofV1 is the hash of a v1 record.
func (h *hasher) ofV1(r *wal.Record) uint64 {
	h.digest.Reset()
	h.scratch = appendKey(h.scratch[:0], r)
	h.write(h.scratch)
	h.write(r.Value)
	h.scratch = appendHeaders(h.scratch[:0], r)
	h.write(h.scratch)
	return mix(h.digest.Sum64(), uint64(r.Timestamp.UnixNano()))
}

func (h *hasher) write(b []byte) { _, _ = h.digest.Write(b) } // it never fails

// mix returns a hash of two numbers.
func mix(a, b uint64) uint64 {
	a ^= b * 0x9e3779b97f4a7c15
	a = (a ^ a>>30) * 0xbf58476d1ce4e5b9
	a = (a ^ a>>27) * 0x94d049bb133111eb
	return a ^ a>>31
}

// digest is what a partition holds: how many records, the sum of the hashes of what they are and
// where, and the next offset. It does not depend on the order in which they come.
type digest struct {
	records int64
	sum     uint64
	first   int64
	next    int64
}

func (d *digest) add(offset, last int64, hash uint64) {
	if d.records == 0 || offset < d.first {
		d.first = offset
	}
	d.records++
	d.sum += mix(hash, uint64(offset))
	d.next = max(d.next, last+1)
}

// fromV2 returns what a v1 record says of its data, if it is one that was a V2 record.
func fromV2(r *wal.Record) (o opaque, ok bool) {
	if r.Key != nil || r.Value == nil || len(r.Headers) != 3 || !r.Timestamp.Equal(time.UnixMilli(0)) {
		return o, false
	}
	var numbers [3]int64
	for i, key := range [...]string{HeaderBase, HeaderLast, HeaderCount} {
		n, err := strconv.ParseInt(string(r.Headers[i].Value), 10, 64)
		if err != nil || r.Headers[i].Key != key || n < 0 || strconv.FormatInt(n, 10) != string(r.Headers[i].Value) {
			return o, false
		}
		numbers[i] = n
	}
	o = opaque{numbers[0], numbers[1], int32(numbers[2])}
	return o, o.base <= o.last && o.last <= maxOffset && numbers[2] <= math.MaxInt32
}
