package crash

import (
	"encoding/binary"
	"fmt"

	"github.com/cespare/xxhash/v2"

	wal "github.com/chronik-go/wal/core"
)

// rec is a record of a partition, known by a hash of all that was put into it.
type rec struct {
	offset int64
	hash   uint64
}

// state is what a partition holds.
type state struct {
	first, next int64
	recs        []rec // in the order of offsets; shared between states, never changed
	sum         uint64
}

func (s state) String() string {
	return fmt.Sprintf("offsets %d to %d with %d records", s.first, s.next-1, len(s.recs))
}

// equal compares states without going through their records.
func (s state) equal(o state) bool {
	return s.first == o.first && s.next == o.next && len(s.recs) == len(o.recs) && s.sum == o.sum
}

func (r rec) mix() uint64 {
	x := r.hash ^ uint64(r.offset)*0x9e3779b97f4a7c15
	x ^= x >> 29
	x *= 0xbf58476d1ce4e5b9
	return x ^ x>>32
}

// after returns the state after an operation, as the log's documentation says.
func (s state) after(o *op) state {
	switch o.kind {
	case opAppend:
		s.recs = s.recs[:len(s.recs):len(s.recs)]
		for i, h := range o.hashes {
			r := rec{o.offset + int64(i), h}
			s.recs = append(s.recs, r)
			s.sum += r.mix()
		}
		s.next = o.offset + int64(len(o.hashes))
	case opTruncateBefore:
		if o.at <= s.first {
			return s
		}
		s.first = o.at
		for len(s.recs) > 0 && s.recs[0].offset < o.at {
			s.sum -= s.recs[0].mix()
			s.recs = s.recs[1:]
		}
	case opTruncateAfter:
		s.next = o.at + 1
		for n := len(s.recs); n > 0 && s.recs[n-1].offset > o.at; n = len(s.recs) {
			s.sum -= s.recs[n-1].mix()
			s.recs = s.recs[:n-1]
		}
	}
	return s
}

func (s state) has(r rec) bool {
	for _, x := range s.recs {
		if x == r {
			return true
		}
	}
	return false
}

// hashRecord is the fingerprint of what the caller put into a record.
func hashRecord(r *wal.Record) uint64 {
	var b [24]byte
	binary.LittleEndian.PutUint64(b[:], uint64(r.Timestamp.UnixNano()))
	binary.LittleEndian.PutUint64(b[8:], xxhash.Sum64(r.Key))
	binary.LittleEndian.PutUint64(b[16:], xxhash.Sum64(r.Value))
	h := xxhash.Sum64(b[:])
	for _, x := range r.Headers {
		h = h*31 + xxhash.Sum64String(x.Key) + 7*xxhash.Sum64(x.Value)
	}
	return h
}
