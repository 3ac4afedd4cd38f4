package format

import (
	"cmp"
	"fmt"
	"math/bits"
)

// HeaderSize is the size of a segment's header block; the first frame follows it.
const HeaderSize = 4096

// The limits of a segment's alignment, bytes. A direct-IO backend needs its device's
// block size; no device in use has larger blocks than 4 KiB.
const (
	MinAlignment = 512
	MaxAlignment = 4096
)

var headerMagic = [8]byte{'C', 'H', 'R', 'N', 'K', 'S', 'E', 'G'}

// LogID tells one log from another: random, made with the log.
type LogID [16]byte

// Link is where a segment, or the log, ends: what a successor must agree with.
type Link struct {
	// Segment is the number of the segment that ends here; 0 where there is none.
	Segment uint64
	// End is the byte position behind its last frame and that frame's padding.
	End int64
	// LSN is the log sequence number of its last batch; of the batch before its first
	// if it holds none.
	LSN uint64
	// Chain is the header CRC of the last frame before End, in this segment or an
	// earlier one; 0 where there is none.
	Chain uint32
}

// valid reports whether l can be the end of a segment or, all zero, of none.
func (l Link) valid() bool {
	if l.Segment == 0 {
		return l == Link{}
	}
	return l.End >= HeaderSize && l.End%MinAlignment == 0
}

// SegmentHeader is a segment's header block: what must be known before its first frame can
// be trusted.
type SegmentHeader struct {
	// Checksum is the kind that guards the data of entries; 0 is written as ChecksumCRC32C.
	Checksum Checksum
	// Alignment divides the position of every frame: a power of two from MinAlignment
	// to MaxAlignment.
	Alignment int64
	Log       LogID
	// Number counts segments from 1 and leaves none out.
	Number uint64
	// Epoch is random and never 0; each frame repeats it. A recycled file gets a new
	// one, so a frame left from the file's earlier life is stale, not damage.
	Epoch uint64
	// FirstLSN is the LSN of the segment's first batch.
	FirstLSN uint64
	// Created is the time of creation, nanoseconds since 1970 UTC.
	Created int64
	// Predecessor is the end of the segment before this one.
	Predecessor Link
	// Key is what the segment's batches are sealed with; nil if they are not.
	Key *Key
}

// The layout of the header block:
//
//	 0  magic "CHRNKSEG"        8
//	 8  version                 2
//	10  checksum kind           1
//	11  log2 of the alignment   1
//	12  flags, 0                4
//	16  log id                 16
//	32  segment number          8
//	40  epoch                   8
//	48  first LSN               8
//	56  created                 8
//	64  predecessor number      8
//	72  predecessor end         8
//	80  predecessor LSN         8
//	88  predecessor chain CRC   4
//	92  key, or zeros        4000   see Key; zeros behind it
//	4092 CRC of the above       4
const (
	hdrVersion  = 8
	hdrChecksum = 10
	hdrAlign    = 11
	hdrFlags    = 12
	hdrLog      = 16
	hdrNumber   = 32
	hdrEpoch    = 40
	hdrFirstLSN = 48
	hdrCreated  = 56
	hdrPrev     = 64
	hdrKey      = hdrPrev + linkSize
	hdrCRC      = HeaderSize - 4
)

// A link is laid out as number 8, end 8, LSN 8, chain CRC 4.
const linkSize = 28

func putLink(b []byte, l Link) {
	le.PutUint64(b[0:], l.Segment)
	le.PutUint64(b[8:], uint64(l.End))
	le.PutUint64(b[16:], l.LSN)
	le.PutUint32(b[24:], l.Chain)
}

func readLink(b []byte) Link {
	return Link{
		Segment: le.Uint64(b[0:]),
		End:     int64(le.Uint64(b[8:])),
		LSN:     le.Uint64(b[16:]),
		Chain:   le.Uint32(b[24:]),
	}
}

// PutSegmentHeader writes h to b, which has at least HeaderSize bytes.
func PutSegmentHeader(b []byte, h SegmentHeader) {
	b = b[:HeaderSize]
	clear(b)
	copy(b, headerMagic[:])
	le.PutUint16(b[hdrVersion:], Version)
	b[hdrChecksum] = byte(cmp.Or(h.Checksum, ChecksumCRC32C))
	b[hdrAlign] = byte(bits.TrailingZeros64(uint64(h.Alignment)))
	copy(b[hdrLog:], h.Log[:])
	le.PutUint64(b[hdrNumber:], h.Number)
	le.PutUint64(b[hdrEpoch:], h.Epoch)
	le.PutUint64(b[hdrFirstLSN:], h.FirstLSN)
	le.PutUint64(b[hdrCreated:], uint64(h.Created))
	putLink(b[hdrPrev:], h.Predecessor)
	if h.Key != nil {
		AppendKey(b[:hdrKey], h.Key)
	}
	le.PutUint32(b[hdrCRC:], CRC(b[:hdrCRC]))
}

// ReadSegmentHeader reads the header block at the start of b. Its error wraps ErrCorrupt or
// ErrVersion.
func ReadSegmentHeader(b []byte) (SegmentHeader, error) {
	if len(b) < HeaderSize {
		return SegmentHeader{}, fmt.Errorf("%w: segment header: %d bytes of %d", ErrCorrupt, len(b), HeaderSize)
	}
	b = b[:HeaderSize]
	if [8]byte(b) != headerMagic {
		return SegmentHeader{}, fmt.Errorf("%w: segment header: not a segment of this log format (magic %x)", ErrCorrupt, b[:8])
	}
	if got, want := CRC(b[:hdrCRC]), le.Uint32(b[hdrCRC:]); got != want {
		return SegmentHeader{}, fmt.Errorf("%w: segment header: CRC is %08x, should be %08x", ErrCorrupt, got, want)
	}
	if v := le.Uint16(b[hdrVersion:]); v != Version {
		return SegmentHeader{}, fmt.Errorf("%w %d of segment header (this program knows %d)", ErrVersion, v, Version)
	}
	h := SegmentHeader{
		Checksum:    Checksum(b[hdrChecksum]),
		Alignment:   1 << (b[hdrAlign] & 63),
		Log:         LogID(b[hdrLog:]),
		Number:      le.Uint64(b[hdrNumber:]),
		Epoch:       le.Uint64(b[hdrEpoch:]),
		FirstLSN:    le.Uint64(b[hdrFirstLSN:]),
		Created:     int64(le.Uint64(b[hdrCreated:])),
		Predecessor: readLink(b[hdrPrev:]),
	}
	if err := h.check(b); err != nil {
		return h, err
	}
	return h, h.readKey(b[hdrKey:hdrCRC])
}

// readKey reads the key of a segment whose batches are sealed, and checks that nothing else stands
// in its place.
func (h *SegmentHeader) readKey(b []byte) (err error) {
	rest := b
	if b[0] != 0 {
		if h.Key, rest, err = ReadKey(b); err != nil {
			return fmt.Errorf("segment header: %w", err)
		}
	}
	if !allZero(rest) {
		return fmt.Errorf("%w: segment header: reserved bytes in use", ErrVersion)
	}
	return nil
}

func (h SegmentHeader) check(b []byte) error {
	switch {
	case !h.Checksum.Known():
		return fmt.Errorf("%w: segment header: %v", ErrVersion, h.Checksum)
	case le.Uint32(b[hdrFlags:]) != 0:
		return fmt.Errorf("%w: segment header: flags %#x", ErrVersion, le.Uint32(b[hdrFlags:]))
	case b[hdrAlign] > 62 || h.Alignment < MinAlignment || h.Alignment > MaxAlignment:
		return fmt.Errorf("%w: segment header: alignment 2^%d", ErrCorrupt, b[hdrAlign])
	case h.Log == LogID{} || h.Number == 0 || h.Epoch == 0 || h.FirstLSN == 0:
		return fmt.Errorf("%w: segment header: log id %x, number %d, epoch %d, first LSN %d: none may be 0",
			ErrCorrupt, h.Log, h.Number, h.Epoch, h.FirstLSN)
	case !h.Predecessor.valid() || h.Predecessor.LSN+1 != h.FirstLSN || h.Predecessor.Segment+1 != h.Number:
		return fmt.Errorf("%w: segment header: predecessor %+v does not lead to segment %d, LSN %d",
			ErrCorrupt, h.Predecessor, h.Number, h.FirstLSN)
	}
	return nil
}

func allZero(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}
