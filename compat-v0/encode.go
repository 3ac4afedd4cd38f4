package walv0

import (
	"fmt"
	"hash/crc32"
	"math"

	wal "github.com/chronik-go/wal/core"
)

// appendKey appends what stands before a V1 record's value, behind its CRC.
func appendKey(b []byte, r *wal.Record) []byte {
	if r.Key == nil {
		b = le.AppendUint32(b, math.MaxUint32) // -1
	} else {
		b = append(le.AppendUint32(b, uint32(len(r.Key))), r.Key...)
	}
	return le.AppendUint32(b, uint32(len(r.Value)))
}

// appendHeaders appends what stands behind a V1 record's value.
func appendHeaders(b []byte, r *wal.Record) []byte {
	b = le.AppendUint32(b, uint32(len(r.Headers)))
	for i := range r.Headers {
		h := &r.Headers[i]
		b = append(le.AppendUint16(b, uint16(len(h.Key))), h.Key...)
		b = append(le.AppendUint32(b, uint32(len(h.Value))), h.Value...)
	}
	return b
}

// AppendV1 appends a V1 record to b. Of the time V1 keeps milliseconds; absent values of records and
// headers become empty. The error wraps wal.ErrInvalid or wal.ErrRecordTooLarge: then b is as it was.
func AppendV1(b []byte, r *wal.Record) ([]byte, error) {
	size := int64(v1Fixed) + int64(len(r.Key)) + int64(len(r.Value))
	for i := range r.Headers {
		if len(r.Headers[i].Key) > math.MaxUint16 {
			return b, fmt.Errorf("%w: offset %d: V1 has room for 65535 bytes of a header's name, not for %d",
				wal.ErrInvalid, r.Offset, len(r.Headers[i].Key))
		}
		size += headerSmallest + int64(len(r.Headers[i].Key)) + int64(len(r.Headers[i].Value))
	}
	switch {
	case size > math.MaxInt32:
		return b, fmt.Errorf("%w: offset %d: V1 record of %d bytes", wal.ErrRecordTooLarge, r.Offset, size)
	case len(r.Headers) > wal.MaxHeaders:
		return b, fmt.Errorf("%w: offset %d: %d headers (the limit is %d)", wal.ErrInvalid, r.Offset, len(r.Headers), wal.MaxHeaders)
	case !validTime(r.Timestamp.UnixMilli()):
		return b, fmt.Errorf("%w: offset %d: timestamp %v is not between 1678 and 2262", wal.ErrInvalid, r.Offset, r.Timestamp)
	case r.Offset < 0 || r.Offset > maxOffset:
		return b, fmt.Errorf("%w: offset %d: v0 has those from 0 to %d", wal.ErrInvalid, r.Offset, int64(maxOffset))
	}
	from := len(b)
	b = append(b, magic0, magic1, 1, 0)
	b = le.AppendUint32(b, uint32(size))
	b = le.AppendUint64(b, uint64(r.Offset))
	b = le.AppendUint64(b, uint64(r.Timestamp.UnixMilli()))
	b = le.AppendUint32(b, 0)
	b = append(appendKey(b, r), r.Value...)
	b = appendHeaders(b, r)
	sign(b[from:], v1CRC)
	return b, nil
}

// AppendV2c appends a V2c record to b: data that stands for the offsets base to last, and for count
// records. The error wraps wal.ErrInvalid or wal.ErrRecordTooLarge: then b is as it was.
func AppendV2c(b []byte, topic string, partition int32, data []byte, base, last int64, count int32) ([]byte, error) {
	length := v2cTooMuch + int64(len(topic)) + int64(len(data))
	switch {
	case length > math.MaxInt32:
		return b, fmt.Errorf("%w: offset %d: V2 record of %d bytes", wal.ErrRecordTooLarge, base, length)
	case len(topic) > math.MaxUint16 || base < 0 || last < base || last > maxOffset || count < 0:
		return b, fmt.Errorf("%w V2 record: topic of %d bytes, offsets %d to %d, %d records",
			wal.ErrInvalid, len(topic), base, last, count)
	}
	from := len(b)
	b = append(b, magic0, magic1, 2, 0)
	b = le.AppendUint32(b, uint32(length))
	b = le.AppendUint32(b, 0)
	b = append(le.AppendUint16(b, uint16(len(topic))), topic...)
	b = le.AppendUint32(b, uint32(partition))
	b = append(le.AppendUint32(b, uint32(len(data))), data...)
	b = le.AppendUint64(b, uint64(base))
	b = le.AppendUint64(b, uint64(last))
	b = le.AppendUint32(b, uint32(count))
	sign(b[from:], v2CRC)
	return b, nil
}

// sign puts the CRC of a record in its place.
func sign(b []byte, at int) {
	le.PutUint32(b[at:], crc32.Update(crc32.ChecksumIEEE(b[:at]), crc32.IEEETable, b[at+4:]))
}
