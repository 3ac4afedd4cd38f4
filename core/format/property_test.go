package format

import (
	"bytes"
	"math"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// Whatever is encoded is decoded to the same value, and that encoded again to the same
// bytes. A failure prints the seed and the command that repeats it.

// usedBuffer is one that encoders must not leave anything of.
func usedBuffer(n int) []byte { return bytes.Repeat([]byte{0xee}, n) }

func drawBytes(t *rapid.T, label string) []byte {
	if rapid.Bool().Draw(t, label+" is nil") {
		return nil
	}
	return rapid.SliceOfN(rapid.Byte(), 0, 40).Draw(t, label)
}

func drawRecord(t *rapid.T) Record {
	r := Record{
		Timestamp: nanos(rapid.Int64().Draw(t, "timestamp")),
		Key:       drawBytes(t, "key"),
		Value:     drawBytes(t, "value"),
	}
	for range rapid.IntRange(0, 4).Draw(t, "headers") {
		r.Headers = append(r.Headers, Header{Key: rapid.String().Draw(t, "header"), Value: drawBytes(t, "header value")})
	}
	return r
}

// drawOffsets draws a gap and a base offset above it, with room for count records.
func drawOffsets(t *rapid.T, count int) (gap, base int64) {
	base = rapid.Int64Range(0, math.MaxInt64-int64(count)).Draw(t, "base")
	return rapid.Int64Range(0, base).Draw(t, "gap"), base
}

func drawLink(t *rapid.T, segment uint64) Link {
	return Link{
		Segment: segment,
		End:     HeaderSize + MinAlignment*rapid.Int64Range(0, 1<<40).Draw(t, "end"),
		LSN:     rapid.Uint64Range(0, math.MaxUint64-1).Draw(t, "LSN"),
		Chain:   rapid.Uint32().Draw(t, "chain"),
	}
}

func drawDeclaration(t *rapid.T) Declaration {
	next := rapid.Int64Min(0).Draw(t, "next")
	first := rapid.Int64Range(0, next).Draw(t, "first")
	gap := rapid.Int64Range(0, next-first).Draw(t, "gap")
	return Declaration{
		Topic:     string(rapid.SliceOfN(rapid.Byte(), 1, MaxTopic).Draw(t, "topic")),
		Partition: rapid.Int32Min(0).Draw(t, "partition"),
		First:     first,
		Next:      next,
		Gap:       gap,
		GapLost:   gap > 0 && rapid.Bool().Draw(t, "gap lost"),
	}
}

func drawLogID(t *rapid.T) (id LogID) {
	copy(id[:], rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "log"))
	id[0] |= 1
	return id
}

func TestRecordRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := drawRecord(t)
		tail := drawBytes(t, "tail")
		b := make([]byte, RecordSize(&r), int(RecordSize(&r))+len(tail))
		n := PutRecord(b, &r, r.Timestamp.UnixNano())
		require.Equal(t, len(b), n, "RecordSize is what PutRecord writes")
		got, rest, err := ReadRecord(append(b, tail...))
		require.NoError(t, err)
		require.Equal(t, r, got)
		require.Equal(t, len(tail), len(rest))
		again := make([]byte, len(b))
		PutRecord(again, &got, got.Timestamp.UnixNano())
		require.Equal(t, b, again)
		require.Equal(t, len(got.Key), cap(got.Key), "appending to a key cannot overwrite the value")
	})
}

func TestSegmentHeaderRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		number := rapid.Uint64Min(1).Draw(t, "number")
		h := SegmentHeader{
			Checksum:  rapid.SampledFrom([]Checksum{ChecksumCRC32C, ChecksumXXH64}).Draw(t, "checksum"),
			Alignment: 1 << rapid.IntRange(9, 12).Draw(t, "alignment"),
			Log:       drawLogID(t),
			Number:    number,
			Epoch:     rapid.Uint64Min(1).Draw(t, "epoch"),
			Created:   rapid.Int64().Draw(t, "created"),
		}
		if number > 1 {
			h.Predecessor = drawLink(t, number-1)
		}
		h.FirstLSN = h.Predecessor.LSN + 1
		b := usedBuffer(HeaderSize)
		PutSegmentHeader(b, h)
		got, err := ReadSegmentHeader(b)
		require.NoError(t, err)
		require.Equal(t, h, got)
		again := make([]byte, HeaderSize)
		PutSegmentHeader(again, got)
		require.Equal(t, b, again)
	})
}

func TestFrameHeaderRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := FrameHeader{
			Entries:      rapid.IntRange(1, (MaxFrame-FrameHeaderSize)/EntrySize).Draw(t, "entries"),
			Epoch:        rapid.Uint64Min(1).Draw(t, "epoch"),
			LSN:          rapid.Uint64Range(1, math.MaxUint64-math.MaxUint32).Draw(t, "LSN"),
			Position:     HeaderSize + MinAlignment*rapid.Int64Range(0, 1<<50).Draw(t, "position"),
			Chain:        rapid.Uint32().Draw(t, "chain"),
			DirectoryCRC: rapid.Uint32().Draw(t, "directory CRC"),
		}
		h.Length = rapid.Int64Range(FrameHeaderSize+int64(h.Entries)*EntrySize, MaxFrame).Draw(t, "length")
		h.Durable = rapid.Uint64Range(0, h.LSN-1).Draw(t, "durable")
		b := usedBuffer(FrameHeaderSize)
		h.CRC = PutFrameHeader(b, h)
		got, err := ReadFrameHeader(b)
		require.NoError(t, err)
		require.Equal(t, h, got)
		require.True(t, IsFrame(b))
		require.Equal(t, h.Length, got.DirectoryAt()+int64(h.Entries)*EntrySize)
		again := make([]byte, FrameHeaderSize)
		require.Equal(t, h.CRC, PutFrameHeader(again, got))
		require.Equal(t, b, again)
	})
}

func drawEntry(t *rapid.T) Entry {
	e := Entry{Partition: rapid.Uint32Min(1).Draw(t, "partition"), Kind: Kind(rapid.IntRange(1, 6).Draw(t, "kind"))}
	e.Gap, e.Base = drawOffsets(t, math.MaxUint16)
	switch e.Kind {
	case KindData:
		e.Count = rapid.IntRange(1, math.MaxUint16).Draw(t, "count")
		e.Flags = rapid.SampledFrom([]uint16{0, FlagMoved}).Draw(t, "flags")
		e.Codec = rapid.SampledFrom([]uint8{CodecNone, 1, 127, CodecSealed, 255}).Draw(t, "codec")
		e.RawLength = rapid.Int64Range(int64(e.Count)*recordFixed, 1<<21).Draw(t, "raw length")
		e.Length, e.CRC = e.RawLength, rapid.Uint32().Draw(t, "CRC")
		if e.Codec != CodecNone {
			e.Length = rapid.Int64Range(0, 1<<21).Draw(t, "length")
		}
		switch {
		case e.Codec == CodecSealed:
			e.Length = e.RawLength + SealOverhead
		case e.Codec&CodecSealed != 0:
			e.Length += SealOverhead
		}
		e.MaxTimestamp = rapid.Int64().Draw(t, "max timestamp")
	case KindDeclare:
		e.Gap, e.CRC = 0, rapid.Uint32().Draw(t, "CRC")
		e.Length = rapid.Int64Range(declareFixed+1, declareFixed+MaxTopic).Draw(t, "length")
		if rapid.Bool().Draw(t, "key") {
			e.Flags = FlagKey
			e.Length += rapid.Int64Range(0, keyFixed+MaxWrappedKey).Draw(t, "size of the key")
		}
		e.RawLength = e.Length
	case KindProducer:
		return drawProducer(t).Entry(e.Partition)
	case KindLost:
		e.Base, e.Gap = e.Base+1, e.Gap+1
	case KindTruncateAfter:
		if e.Gap > 0 && rapid.Bool().Draw(t, "gap lost") {
			e.Flags = FlagGapLost
		}
	default:
		e.Gap = 0
	}
	return e
}

func drawProducer(t *rapid.T) Producer {
	return Producer{
		ID: rapid.Uint64Min(1).Draw(t, "producer"), First: rapid.Int64Range(0, 1<<40).Draw(t, "sequence"),
		Base: rapid.Int64Range(0, 1<<40).Draw(t, "offset"), Count: rapid.IntRange(1, math.MaxInt32).Draw(t, "count"),
	}
}

func TestDirectoryRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		entries := rapid.SliceOfN(rapid.Custom(drawEntry), 1, 20).Draw(t, "entries")
		for i := range entries {
			if entries[i].continues(entries[:i]) && entries[i].Kind == KindData && rapid.Bool().Draw(t, "transaction") {
				entries[i].Flags = FlagTransaction
			}
		}
		b := usedBuffer(len(entries) * EntrySize)
		h := FrameHeader{Entries: len(entries), Length: FrameHeaderSize + int64(len(b))}
		for i, e := range entries {
			PutEntry(b[i*EntrySize:], e)
			h.Length += e.Length
		}
		h.DirectoryCRC = CRC(b)
		got, err := ReadDirectory(nil, h, b)
		require.NoError(t, err)
		require.Equal(t, entries, got)
		again := make([]byte, len(b))
		for i, e := range got {
			PutEntry(again[i*EntrySize:], e)
			require.Equal(t, e.Base+int64(e.Count), e.End())
		}
		require.Equal(t, b, again)
	})
}

func TestDeclarationRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d, tail := drawDeclaration(t), drawBytes(t, "tail")
		b := AppendDeclaration(nil, d)
		require.Len(t, b, DeclarationSize(d))
		got, rest, err := ReadDeclaration(append(b[:len(b):len(b)], tail...))
		require.NoError(t, err)
		require.Equal(t, d, got)
		require.Len(t, rest, len(tail))
		require.Equal(t, b, AppendDeclaration(nil, got))
	})
}

func TestMarkerRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := Marker{Log: drawLogID(t), Unsealed: rapid.Bool().Draw(t, "unsealed")}
		if rapid.Bool().Draw(t, "has segments") {
			m.End = drawLink(t, rapid.Uint64Min(1).Draw(t, "segment"))
		}
		b := usedBuffer(MarkerSize)
		PutMarker(b, m)
		got, err := ReadMarker(b)
		require.NoError(t, err)
		require.Equal(t, m, got)
	})
}
