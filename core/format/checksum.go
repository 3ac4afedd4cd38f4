package format

import (
	"fmt"
	"hash/crc32"
	"strings"

	"github.com/cespare/xxhash/v2"
)

// Checksum is what guards the data of a segment's entries. All else is guarded by CRC-32C.
type Checksum uint8

const (
	// ChecksumCRC32C is CRC-32C (Castagnoli, RFC 3720 appendix B.4).
	ChecksumCRC32C Checksum = 1 + iota
	// ChecksumXXH64 is the lower half of XXH64, seed 0.
	ChecksumXXH64
)

func (c Checksum) String() string {
	switch c {
	case ChecksumCRC32C:
		return "crc32c"
	case ChecksumXXH64:
		return "xxh64"
	}
	return fmt.Sprintf("checksum kind %d", uint8(c))
}

// ParseChecksum returns the kind of a name; ok tells if there is one.
func ParseChecksum(name string) (c Checksum, ok bool) {
	for c = ChecksumCRC32C; c.Known(); c++ {
		if c.String() == name {
			return c, true
		}
	}
	return 0, false
}

// Known reports whether c is a kind that this version has.
func (c Checksum) Known() bool { return c == ChecksumCRC32C || c == ChecksumXXH64 }

// Sum returns the checksum of data, 0 of none: CRC-32C for all kinds but ChecksumXXH64.
func (c Checksum) Sum(data []byte) uint32 {
	if c == ChecksumXXH64 && len(data) > 0 {
		return uint32(xxhash.Sum64(data))
	}
	return CRC(data)
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// CRC returns the CRC-32C of b.
func CRC(b []byte) uint32 { return crc32.Checksum(b, castagnoli) }

// CheckData compares the data of an entry, as stored, with its checksum, which is of the kind
// that the segment's header states.
func CheckData(kind Checksum, e Entry, data []byte) error {
	if got := kind.Sum(data); got != e.CRC {
		return fmt.Errorf("%w: batch at offset %d: %s is %08x, should be %08x", ErrCorrupt, e.Base, strings.ToUpper(kind.String()), got, e.CRC)
	}
	return nil
}
