package format

import (
	"fmt"
	"time"
)

// Record is one record. In a batch it has no offset of its own: it is the batch's base
// offset plus its place.
type Record struct {
	// Offset is the record's place in its partition; ignored by appends.
	Offset int64
	// Timestamp has a resolution of one nanosecond and a range from 1678 to 2262.
	Timestamp time.Time
	// Key and Value may be nil, which is not the same as empty.
	Key   []byte
	Value []byte
	// Headers are kept in order; keys may repeat.
	Headers []Header
}

// Header is one name and value that travel with a record.
type Header struct {
	Key string
	// Value may be nil, which is not the same as empty.
	Value []byte
}

// A record:
//
//	 0  size of all that follows   4
//	 4  timestamp                  8
//	12  size of the key, plus 1    4   0: no key
//	16  size of the value, plus 1  4   0: no value
//	20  number of headers          4
//	24  key, value, headers
//
// A header:
//
//	0  size of the key            4
//	4  size of the value, plus 1  4   0: no value
//	8  key, value
const (
	recTime     = 4
	recKey      = 12
	recValue    = 16
	recHeaders  = 20
	recordFixed = 24
	headerFixed = 8
)

// RecordSize returns the size of r encoded, bytes.
func RecordSize(r *Record) int64 {
	n := recordFixed + int64(len(r.Key)) + int64(len(r.Value))
	for i := range r.Headers {
		n += headerFixed + int64(len(r.Headers[i].Key)) + int64(len(r.Headers[i].Value))
	}
	return n
}

// PutRecord writes r with the given timestamp to b, which has at least RecordSize
// bytes, and returns how many it wrote.
func PutRecord(b []byte, r *Record, timestamp int64) int {
	le.PutUint64(b[recTime:], uint64(timestamp))
	putOptional(b[recKey:], r.Key)
	putOptional(b[recValue:], r.Value)
	le.PutUint32(b[recHeaders:], uint32(len(r.Headers)))
	n := recordFixed
	n += copy(b[n:], r.Key)
	n += copy(b[n:], r.Value)
	for i := range r.Headers {
		h := &r.Headers[i]
		le.PutUint32(b[n:], uint32(len(h.Key)))
		putOptional(b[n+4:], h.Value)
		n += headerFixed
		n += copy(b[n:], h.Key)
		n += copy(b[n:], h.Value)
	}
	le.PutUint32(b, uint32(n-4))
	return n
}

func putOptional(b, v []byte) {
	if v == nil {
		le.PutUint32(b, 0)
		return
	}
	le.PutUint32(b, uint32(len(v))+1)
}

// ReadRecord reads the record at the start of b and returns what follows it. The
// record's slices lie in b. Its error wraps ErrCorrupt.
func ReadRecord(b []byte) (r Record, rest []byte, err error) {
	if len(b) < recordFixed {
		return r, nil, fmt.Errorf("%w: record: %d bytes of %d", ErrCorrupt, len(b), recordFixed)
	}
	size := int64(le.Uint32(b)) + 4
	if size < recordFixed || size > int64(len(b)) {
		return r, nil, fmt.Errorf("%w: record of %d bytes in a space of %d", ErrCorrupt, size, len(b))
	}
	body, rest := b[recordFixed:size], b[size:]
	r.Timestamp = time.Unix(0, int64(le.Uint64(b[recTime:])))
	var ok bool
	if r.Key, body, ok = takeOptional(body, le.Uint32(b[recKey:])); !ok {
		return r, nil, fmt.Errorf("%w: record: key is longer than the record", ErrCorrupt)
	}
	if r.Value, body, ok = takeOptional(body, le.Uint32(b[recValue:])); !ok {
		return r, nil, fmt.Errorf("%w: record: value is longer than the record", ErrCorrupt)
	}
	count := int64(le.Uint32(b[recHeaders:]))
	if count*headerFixed > int64(len(body)) {
		return r, nil, fmt.Errorf("%w: record: %d headers in %d bytes", ErrCorrupt, count, len(body))
	}
	if count > 0 {
		r.Headers = make([]Header, count)
	}
	for i := range r.Headers {
		if r.Headers[i], body, ok = takeHeader(body); !ok {
			return r, nil, fmt.Errorf("%w: record: header %d is longer than the record", ErrCorrupt, i)
		}
	}
	if len(body) != 0 {
		return r, nil, fmt.Errorf("%w: record: %d bytes too many", ErrCorrupt, len(body))
	}
	return r, rest, nil
}

// takeOptional cuts a field whose stored size is n (0: nil) off b.
func takeOptional(b []byte, n uint32) (field, rest []byte, ok bool) {
	if n == 0 {
		return nil, b, true
	}
	size := int64(n) - 1
	if size > int64(len(b)) {
		return nil, nil, false
	}
	return b[:size:size], b[size:], true
}

func takeHeader(b []byte) (h Header, rest []byte, ok bool) {
	if len(b) < headerFixed {
		return h, nil, false
	}
	keyLen, valueLen := int64(le.Uint32(b)), le.Uint32(b[4:])
	b = b[headerFixed:]
	if keyLen > int64(len(b)) {
		return h, nil, false
	}
	h.Key = string(b[:keyLen])
	h.Value, rest, ok = takeOptional(b[keyLen:], valueLen)
	return h, rest, ok
}
