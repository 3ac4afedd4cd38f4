package walv0_test

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
)

// What follows makes v0 files from the layout's description, with nothing of the package that reads them.

// zeroLength has the CRC computed with zeros in place of the length; badCRC stores a wrong one.
type crcKind int

const (
	documented crcKind = iota
	zeroLength
	badCRC
)

func put(w *bytes.Buffer, values ...any) {
	for _, v := range values {
		switch v := v.(type) {
		case string:
			w.WriteString(v)
		case []byte:
			w.Write(v)
		default:
			if err := binary.Write(w, binary.LittleEndian, v); err != nil {
				panic(err)
			}
		}
	}
}

// seal computes the CRC of record into the four bytes at a place.
func seal(record []byte, at int, kind crcKind) []byte {
	var covered []byte
	for i, b := range record {
		switch {
		case i >= at && i < at+4:
		case kind == zeroLength && i >= 4 && i < 8:
			covered = append(covered, 0)
		default:
			covered = append(covered, b)
		}
	}
	sum := crc32.NewIEEE()
	sum.Write(covered)
	crc := sum.Sum32()
	if kind == badCRC {
		crc ^= 0x01000000
	}
	binary.LittleEndian.PutUint32(record[at:], crc)
	return record
}

type v1 struct {
	offset, time int64
	key          string
	noKey        bool
	value        string
	headers      []string // name, value, name, value
	crc          crcKind
}

func (r v1) bytes() []byte {
	var body bytes.Buffer
	if r.noKey {
		put(&body, int32(-1))
	} else {
		put(&body, int32(len(r.key)), r.key)
	}
	put(&body, int32(len(r.value)), r.value, int32(len(r.headers)/2))
	for i := 0; i < len(r.headers); i += 2 {
		put(&body, uint16(len(r.headers[i])), r.headers[i], uint32(len(r.headers[i+1])), r.headers[i+1])
	}
	var w bytes.Buffer
	put(&w, uint16(0xCA7E), uint8(1), uint8(0), uint32(28+body.Len()), r.offset, r.time, uint32(0), body.Bytes())
	return seal(w.Bytes(), 24, r.crc)
}

type v2 struct {
	variant    byte // 'a', 'b', 'c'
	topic      string
	partition  int32
	data       string
	base, last int64
	count      int32
	crc        crcKind
}

func (r v2) bytes() []byte {
	// From topic_len to the end of data, as the field's name promises; then what each variant said.
	length := 2 + len(r.topic) + 4 + 4 + len(r.data)
	switch r.variant {
	case 'a':
		length += 13
	case 'c':
		length += 20
	}
	var w bytes.Buffer
	put(&w, uint16(0xCA7E), uint8(2), uint8(0), uint32(length), uint32(0))
	put(&w, uint16(len(r.topic)), r.topic, r.partition, uint32(len(r.data)), r.data)
	if r.variant == 'c' {
		put(&w, r.base, r.last, r.count)
	}
	return seal(w.Bytes(), 8, r.crc)
}

type encodable interface{ bytes() []byte }

// raw is bytes as they are.
type raw string

func (r raw) bytes() []byte { return []byte(r) }

// file is records one behind the other.
func file(records ...encodable) string {
	var w bytes.Buffer
	for _, r := range records {
		w.Write(r.bytes())
	}
	return w.String()
}

// cut is a file without its last bytes.
func cut(file string, bytes int) string { return file[:len(file)-bytes] }
