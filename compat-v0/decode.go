package walv0

import (
	"errors"
	"fmt"
	"hash/crc32"
	"math"
)

// flaw is why bytes are no record.
type flaw struct {
	reason string
	// beyond: it may be the beginning of a record of which the file does not have the rest.
	beyond bool
}

func (f *flaw) Error() string { return f.reason }

func flawf(format string, args ...any) error { return &flaw{reason: fmt.Sprintf(format, args...)} }

func beyond(format string, args ...any) error {
	return &flaw{reason: fmt.Sprintf(format, args...), beyond: true}
}

// measure tells which variant of record may begin at the bytes that view returns, and its size. There
// are so many bytes left in the file; limit bounds the size.
func measure(view func(n int64) ([]byte, error), left, limit int64) (v Variant, size int64, err error) {
	b, err := view(min(left, v1KeySize))
	if err != nil {
		return 0, 0, err
	}
	for i, want := range [...]byte{magic0, magic1} {
		if i < len(b) && b[i] != want {
			return 0, 0, flawf("no record begins here")
		}
	}
	if len(b) < posLength+4 {
		return 0, 0, beyond("the file ends within a record's first bytes")
	}
	length := int64(le.Uint32(b[posLength:]))
	switch {
	case b[posFlags] != 0:
		return 0, 0, flawf("record with flags %#x", b[posFlags])
	case b[posVersion] == 1:
		v, size, err = V1, length, nil
	case b[posVersion] == 2:
		v, size, err = measureV2(view, left, length)
	default:
		err = flawf("record of version %d", b[posVersion])
	}
	switch {
	case err != nil:
		return 0, 0, err
	case size < v1Fixed && v == V1:
		return 0, 0, flawf("record of %d bytes: the smallest has %d", size, v1Fixed)
	case size > left:
		return 0, 0, beyond("record of %d bytes where the file has %d left", size, left)
	case size > limit:
		return 0, 0, flawf("record of %d bytes: the limit is %d", size, limit)
	}
	return v, size, nil
}

func measureV2(view func(n int64) ([]byte, error), left, length int64) (v Variant, size int64, err error) {
	if left < v2Topic+2 {
		return 0, 0, beyond("the file ends within a record's first bytes")
	}
	b, err := view(v2Topic + 2)
	if err != nil {
		return 0, 0, err
	}
	topic := int64(le.Uint16(b[v2Topic:]))
	if topic > length { // not what a crash leaves: the length would count it
		return 0, 0, flawf("record with a length of %d that does not fit a topic of %d bytes", length, topic)
	}
	if left < v2Data+topic {
		return 0, 0, beyond("the file ends within a record's first bytes")
	}
	if b, err = view(v2Data + topic); err != nil {
		return 0, 0, err
	}
	data := int64(le.Uint32(b[v2Data+topic-4:]))
	switch length - topic - data {
	case v2aTooMuch:
		return V2a, v2Data + topic + data, nil
	case v2bTooMuch:
		return V2b, v2Data + topic + data, nil
	case v2cTooMuch:
		return V2c, v2Data + topic + data + v2Tail, nil
	}
	return 0, 0, flawf("record with a length of %d that does not fit a topic of %d bytes and data of %d", length, topic, data)
}

// goodCRC tells whether a record's CRC is right, computed the one way or the other.
func goodCRC(b []byte, v Variant) bool {
	at := v2CRC
	if v == V1 {
		at = v1CRC
	}
	want := le.Uint32(b[at:])
	if crc32.Update(crc32.ChecksumIEEE(b[:at]), crc32.IEEETable, b[at+4:]) == want {
		return true
	}
	var head [v1CRC]byte // with zeros in place of the length
	copy(head[:], b[:at])
	clear(head[posLength : posLength+4])
	return crc32.Update(crc32.ChecksumIEEE(head[:at]), crc32.IEEETable, b[at+4:]) == want
}

// decode reads a record that measure has found, and that b holds exactly, into r. Of r it reuses the
// memory of the headers.
func decode(b []byte, v Variant, r *Record) error {
	*r = Record{Variant: v, Headers: r.Headers[:0]}
	if v == V1 {
		return decodeV1(b, r)
	}
	topic := int(le.Uint16(b[v2Topic:]))
	r.Topic = string(b[v2Topic+2 : v2Topic+2+topic])
	r.Partition = int32(le.Uint32(b[v2Topic+2+topic:]))
	rest := b[v2Data+topic:]
	if r.Value, r.Offset = rest, -1; v != V2c {
		return nil
	}
	tail := rest[len(rest)-v2Tail:]
	r.Value = rest[:len(rest)-v2Tail]
	r.Offset, r.Last = int64(le.Uint64(tail)), int64(le.Uint64(tail[8:]))
	r.Count = int32(le.Uint32(tail[16:]))
	switch {
	case r.Offset < 0 || r.Last > maxOffset:
		return flawf("offsets %d to %d: they are from 0 to %d", r.Offset, r.Last, int64(maxOffset))
	case r.Last < r.Offset:
		return flawf("last offset %d below the base offset %d", r.Last, r.Offset)
	case r.Count < 0:
		return flawf("a count of %d", r.Count)
	}
	return nil
}

var errField = errors.New("a field is longer than the record")

func decodeV1(b []byte, r *Record) error {
	r.Offset, r.Time = int64(le.Uint64(b[v1Offset:])), int64(le.Uint64(b[v1Time:]))
	rest := b[v1KeySize:]
	size := int32(le.Uint32(rest))
	rest = rest[4:]
	var err error
	if size != -1 {
		if r.Key, rest, err = take(rest, int64(size)); err != nil {
			return flawf("key of %d bytes: %v", size, err)
		}
	}
	if len(rest) < 4 {
		return flawf("value: %v", errField)
	}
	size = int32(le.Uint32(rest))
	if r.Value, rest, err = take(rest[4:], int64(size)); err != nil {
		return flawf("value of %d bytes: %v", size, err)
	}
	if len(rest) < 4 {
		return flawf("headers: %v", errField)
	}
	count := int64(int32(le.Uint32(rest)))
	rest = rest[4:]
	if count < 0 || count > int64(len(rest))/headerSmallest {
		return flawf("%d headers in %d bytes", count, len(rest))
	}
	for i := range count {
		var h Header
		if h, rest, err = takeHeader(rest); err != nil {
			return flawf("header %d: %v", i, err)
		}
		r.Headers = append(r.Headers, h)
	}
	switch {
	case len(rest) > 0:
		return flawf("%d bytes of the record belong to no field", len(rest))
	case r.Offset < 0 || r.Offset > maxOffset:
		return flawf("offset %d: it is from 0 to %d", r.Offset, int64(maxOffset))
	case !validTime(r.Time):
		return flawf("time of %d ms since 1970: it has to be between the years 1678 and 2262", r.Time)
	}
	return nil
}

// validTime reports whether v1 has a time, which is in milliseconds since 1970.
func validTime(ms int64) bool {
	return ms <= math.MaxInt64/1_000_000-1000 && ms >= math.MinInt64/1_000_000+1000
}

func takeHeader(b []byte) (h Header, rest []byte, err error) {
	if len(b) < headerSmallest {
		return h, nil, errField
	}
	name, b, err := take(b[2:], int64(le.Uint16(b)))
	if err != nil || len(b) < 4 {
		return h, nil, errField
	}
	h.Name = string(name)
	h.Value, rest, err = take(b[4:], int64(le.Uint32(b)))
	return h, rest, err
}

// take cuts n bytes off the front of b. They are never nil.
func take(b []byte, n int64) (field, rest []byte, err error) {
	if n < 0 || n > int64(len(b)) {
		return nil, nil, errField
	}
	return b[:n:n], b[n:], nil
}
