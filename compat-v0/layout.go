package walv0

import (
	"encoding/binary"
	"fmt"
	"math"
)

// Variant is a layout of records.
type Variant uint8

const (
	// V1 has offset, time, key, value and headers.
	V1 Variant = iota + 1
	// V2a has opaque data, and a length that is 13 too high.
	V2a
	// V2b has opaque data.
	V2b
	// V2c has opaque data, and the range of offsets it stands for.
	V2c
)

func (v Variant) String() string {
	if v < V1 || v > V2c {
		return fmt.Sprintf("Variant(%d)", uint8(v))
	}
	return [...]string{"V1", "V2a", "V2b", "V2c"}[v-V1]
}

// What all records begin with:
//
//	0  magic 7E CA   2
//	2  version       1   1 or 2
//	3  flags         1   zero
//	4  length        4   V1: of the record; V2: see below
//
// V1 goes on:
//
//	 8  offset        8
//	16  time          8   milliseconds since 1970
//	24  CRC           4
//	28  key size      4   -1: no key
//	    key, value size 4, value, number of headers 4
//	    headers, each: name size 2, name, value size 4, value
//
// V2 goes on:
//
//	 8  CRC           4
//	12  topic size    2
//	14  topic
//	    partition     4
//	    data size     4
//	    data
//	    V2c only: base offset 8, last offset 8, number of records 4
//
// Numbers are little-endian. The CRC is CRC-32 (IEEE) of all bytes of the record but its own four; some
// writers computed it with zeros in place of the length.
const (
	magic0, magic1 = 0x7E, 0xCA

	posVersion = 2
	posFlags   = 3
	posLength  = 4

	v1Offset  = 8
	v1Time    = 16
	v1CRC     = 24
	v1KeySize = 28
	v1Fixed   = 40 // the smallest record

	v2CRC      = 8
	v2Topic    = 12
	v2Data     = 22 // with an empty topic, where its data begins
	v2Tail     = 20 // of V2c
	v2aTooMuch = 23 // what the length says besides topic and data, variant by variant
	v2bTooMuch = 10
	v2cTooMuch = 30

	headerSmallest = 6
)

// maxOffset is the highest offset that can be imported: v1 needs the two numbers behind it.
const maxOffset = math.MaxInt64 - 2

var le = binary.LittleEndian

// Record is one v0 record. Its slices lie in the memory that it was read into.
type Record struct {
	Variant Variant
	// Offset is that of V1, the base offset of V2c; V2a and V2b have none: -1.
	Offset int64
	// Time is in milliseconds since 1970; V1 only.
	Time int64
	// Key may be nil, which is not the same as empty; V1 only.
	Key []byte
	// Value is what V2 calls data.
	Value []byte
	// Headers are those of V1.
	Headers []Header
	// Topic and Partition stand in V2 records.
	Topic     string
	Partition int32
	// Last and Count are those of V2c: the last offset, and how many records the data holds.
	Last  int64
	Count int32
}

// Header is one header of a V1 record.
type Header struct {
	Name  string
	Value []byte
}
