package fuzz

import (
	"encoding/binary"
	"slices"

	"github.com/chronik-go/wal/core/format"
)

// A segment as fuzz bytes: the header block without the zeros in it, then the frames and what follows them. So a change of any byte means something.

// headerFields is the size of the header block up to its reserved bytes, headerSum where its
// checksum is.
const (
	headerFields = 92
	headerSum    = format.HeaderSize - 4
)

var le = binary.LittleEndian

func expand(b []byte) []byte {
	file := make([]byte, format.HeaderSize, format.HeaderSize+len(b))
	b = b[copy(file[:headerFields], b):]
	b = b[copy(file[headerSum:], b):]
	return append(file, b...)
}

func compact(file []byte) []byte {
	return slices.Concat(file[:headerFields], file[headerSum:])
}

// How much of a segment mend puts right before the log is opened.
const (
	mendSums   = 1 << iota // checksums of whatever looks like a structure
	mendPlaces             // what says where a structure belongs: numbers, epochs, LSNs, positions
	mendEnd                // the last bytes become a footer, or the close marker tells the end
)

// mend puts checksums right, so that changed bytes get behind them. The positions are those of
// docs/format.md.
func mend(file []byte, number uint64, prev format.Link, how byte) {
	if how&mendSums == 0 {
		return
	}
	if how&mendPlaces != 0 {
		copy(file, "CHRNKSEG\x01\x00\x01")
		file[11] = 9 + (file[11]-9)%4
		clear(file[12:16])
		copy(file[16:32], logID[:])
		le.PutUint64(file[32:], number)
		le.PutUint64(file[40:], epoch)
		le.PutUint64(file[48:], prev.LSN+1)
		le.PutUint64(file[64:], prev.Segment)
		le.PutUint64(file[72:], uint64(prev.End))
		le.PutUint64(file[80:], prev.LSN)
		le.PutUint32(file[88:], prev.Chain)
	}
	le.PutUint32(file[headerSum:], format.CRC(file[:headerSum]))
	end := mendFrames(file, prev, how)
	mendFooter(file, number, end, how)
}

// mendFrames walks along the frames as a reader does and returns where they end.
func mendFrames(file []byte, prev format.Link, how byte) format.Link {
	align := int64(1) << (file[11] & 15)
	if align < format.MinAlignment || align > format.MaxAlignment {
		align = format.MinAlignment
	}
	end := format.Link{Segment: prev.Segment + 1, End: format.HeaderSize, LSN: prev.LSN, Chain: prev.Chain}
	for {
		f := file[end.End:]
		if len(f) < format.FrameHeaderSize || string(f[:4]) != "CFRM" {
			return end
		}
		length, entries := int64(le.Uint32(f[8:])), int64(le.Uint32(f[12:]))
		directory := length - entries*format.EntrySize
		if length > int64(len(f)) || directory < format.FrameHeaderSize {
			return end
		}
		lsns := mendEntries(f[format.FrameHeaderSize:directory], f[directory:length])
		if how&mendPlaces != 0 {
			le.PutUint64(f[16:], epoch)
			le.PutUint64(f[24:], end.LSN+1)
			le.PutUint64(f[32:], min(le.Uint64(f[32:]), end.LSN))
			le.PutUint64(f[40:], uint64(end.End))
			le.PutUint32(f[48:], end.Chain)
		}
		le.PutUint32(f[52:], format.CRC(f[directory:length]))
		end.Chain = format.CRC(f[:60])
		le.PutUint32(f[60:], end.Chain)
		end.LSN += lsns
		end.End += min(format.AlignUp(length, align), int64(len(f)))
	}
}

// mendEntries puts the checksums of a frame's data right and returns how many LSNs it takes.
func mendEntries(data, directory []byte) (lsns uint64) {
	for ; len(directory) >= format.EntrySize; directory = directory[format.EntrySize:] {
		n := min(int64(le.Uint32(directory[28:])), int64(len(data)))
		if n > 0 {
			le.PutUint32(directory[36:], format.CRC(data[:n]))
		}
		data = data[n:]
		if format.Kind(directory[4]).HasLSN() {
			lsns++
		}
	}
	return lsns
}

// mendFooter puts a footer right, if there is one or is to be one.
func mendFooter(file []byte, number uint64, end format.Link, how byte) {
	if int64(len(file)) < end.End+format.TrailerSize {
		return
	}
	t := file[len(file)-format.TrailerSize:]
	if how&mendEnd != 0 {
		copy(t, "CHRNKEND\x01\x00")
		clear(t[112:124])
		le.PutUint64(t[16:], number)
		le.PutUint64(t[24:], epoch)
		le.PutUint64(t[32:], uint64(end.End))
		le.PutUint64(t[48:], end.Segment)
		le.PutUint64(t[56:], uint64(end.End))
		le.PutUint64(t[64:], end.LSN)
		le.PutUint32(t[72:], end.Chain)
	}
	if string(t[:8]) != "CHRNKEND" {
		return
	}
	at, n := le.Uint64(t[32:]), le.Uint64(t[40:])
	if most := uint64(len(file) - format.TrailerSize); at <= most && n <= most-at {
		le.PutUint32(t[76:], format.CRC(file[at:at+n]))
	}
	le.PutUint32(t[124:], format.CRC(t[:124]))
}
