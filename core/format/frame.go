package format

import (
	"fmt"
	"math"
)

// FrameHeaderSize is the size of a frame's header.
const FrameHeaderSize = 64

// MaxFrame bounds a frame's length, bytes: what fits a 32-bit length with room for
// alignment.
const MaxFrame = 1<<31 - MaxAlignment

const frameMagic = 0x4d524643 // "CFRM"

// FrameHeader opens a frame.
type FrameHeader struct {
	// Length counts the frame's bytes: header, data, directory; not the padding.
	Length int64
	// Entries is the number of directory entries.
	Entries int
	// Epoch is the segment's.
	Epoch uint64
	// LSN is that of the first entry that has one; of the next one if none has.
	LSN uint64
	// Durable is the LSN up to which the log was durable when the frame was written,
	// below LSN: if a frame is damaged although a later one says that it was durable,
	// data was lost.
	Durable uint64
	// Position is where in the segment the frame stands; elsewhere it is misdirected.
	Position int64
	// Chain is the header CRC of the frame before, also across segments; 0 for the
	// first frame of a log.
	Chain uint32
	// DirectoryCRC is the CRC of the directory, whose entries hold the CRCs of the
	// data: each byte is covered once.
	DirectoryCRC uint32
	// CRC is the header's own, the link to the next frame.
	CRC uint32
}

// A frame, padded with zeros to the segment's alignment:
//
//	+-----------+---------+-----+---------+---------------------+---------+
//	| header 64 | batch 0 | ... | batch n | directory, n+1 × 48 | padding |
//	+-----------+---------+-----+---------+---------------------+---------+
//
// The directory stands behind the data, so that producers can encode records at
// their final place while others still join the group.
//
// The header:
//
//	 0  magic "CFRM"       4
//	 4  flags, 0           4
//	 8  length             4
//	12  entries            4
//	16  epoch              8
//	24  LSN                8
//	32  durable LSN        8
//	40  position           8
//	48  chain CRC          4
//	52  directory CRC      4
//	56  zero               4
//	60  CRC of the above   4
const (
	frmFlags    = 4
	frmLength   = 8
	frmEntries  = 12
	frmEpoch    = 16
	frmLSN      = 24
	frmDurable  = 32
	frmPosition = 40
	frmChain    = 48
	frmDirCRC   = 52
	frmReserved = 56
	frmCRC      = 60
)

// PutFrameHeader writes h to b, which has at least FrameHeaderSize bytes, and returns
// the header's CRC, the next frame's Chain.
func PutFrameHeader(b []byte, h FrameHeader) uint32 {
	b = b[:FrameHeaderSize]
	le.PutUint32(b[0:], frameMagic)
	le.PutUint32(b[frmFlags:], 0)
	le.PutUint32(b[frmLength:], uint32(h.Length))
	le.PutUint32(b[frmEntries:], uint32(h.Entries))
	le.PutUint64(b[frmEpoch:], h.Epoch)
	le.PutUint64(b[frmLSN:], h.LSN)
	le.PutUint64(b[frmDurable:], h.Durable)
	le.PutUint64(b[frmPosition:], uint64(h.Position))
	le.PutUint32(b[frmChain:], h.Chain)
	le.PutUint32(b[frmDirCRC:], h.DirectoryCRC)
	le.PutUint32(b[frmReserved:], 0)
	crc := CRC(b[:frmCRC])
	le.PutUint32(b[frmCRC:], crc)
	return crc
}

// IsFrame reports whether b starts with a frame header whose own CRC holds: the cheap
// test for a search through damaged space.
func IsFrame(b []byte) bool {
	return len(b) >= FrameHeaderSize && le.Uint32(b) == frameMagic &&
		CRC(b[:frmCRC]) == le.Uint32(b[frmCRC:])
}

// ReadFrameHeader reads the frame header at the start of b. Its lengths can be
// trusted to be possible, not to fit the segment. Its error wraps ErrCorrupt, or ErrVersion
// for a sound header of a later version: then epoch and position are what they say.
func ReadFrameHeader(b []byte) (FrameHeader, error) {
	if len(b) < FrameHeaderSize {
		return FrameHeader{}, fmt.Errorf("%w: frame header: %d bytes of %d", ErrCorrupt, len(b), FrameHeaderSize)
	}
	b = b[:FrameHeaderSize]
	if m := le.Uint32(b); m != frameMagic {
		if allZero(b) {
			return FrameHeader{}, fmt.Errorf("%w: no frame: unwritten space", ErrCorrupt)
		}
		return FrameHeader{}, fmt.Errorf("%w: no frame: magic %08x", ErrCorrupt, m)
	}
	if got, want := CRC(b[:frmCRC]), le.Uint32(b[frmCRC:]); got != want {
		return FrameHeader{}, fmt.Errorf("%w: frame header: CRC is %08x, should be %08x", ErrCorrupt, got, want)
	}
	h := FrameHeader{
		Length:       int64(le.Uint32(b[frmLength:])),
		Entries:      int(le.Uint32(b[frmEntries:])),
		Epoch:        le.Uint64(b[frmEpoch:]),
		LSN:          le.Uint64(b[frmLSN:]),
		Durable:      le.Uint64(b[frmDurable:]),
		Position:     int64(le.Uint64(b[frmPosition:])),
		Chain:        le.Uint32(b[frmChain:]),
		DirectoryCRC: le.Uint32(b[frmDirCRC:]),
		CRC:          le.Uint32(b[frmCRC:]),
	}
	if le.Uint32(b[frmFlags:]) != 0 || le.Uint32(b[frmReserved:]) != 0 {
		return h, fmt.Errorf("%w: frame header: flags %#x", ErrVersion, le.Uint32(b[frmFlags:]))
	}
	if h.Entries < 1 || h.Length > MaxFrame || h.Length < FrameHeaderSize+int64(h.Entries)*EntrySize {
		return FrameHeader{}, fmt.Errorf("%w: frame header: length %d with %d entries", ErrCorrupt, h.Length, h.Entries)
	}
	return h, h.check()
}

func (h FrameHeader) check() error {
	switch {
	case h.Epoch == 0 || h.LSN == 0 || h.LSN > math.MaxUint64-uint64(h.Entries) || h.Durable >= h.LSN:
		return fmt.Errorf("%w: frame header: epoch %d, LSN %d, durable LSN %d", ErrCorrupt, h.Epoch, h.LSN, h.Durable)
	case h.Position < HeaderSize || h.Position%MinAlignment != 0 || h.Position > math.MaxInt64-MaxFrame-MaxAlignment:
		return fmt.Errorf("%w: frame header: position %d", ErrCorrupt, h.Position)
	}
	return nil
}

// DirectoryAt is the position of the frame's directory in the frame.
func (h FrameHeader) DirectoryAt() int64 { return h.Length - int64(h.Entries)*EntrySize }
