package format

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"
)

// The formats are canonical: what a decoder accepts is, to the byte, what the encoder
// writes for the value it returned. Seeds are cut from the golden files; testdata/fuzz
// holds what else is worth trying each time.

// fuzzMost bounds the inputs, bytes. The decoders take memory in proportion to what they are
// given; a larger input says nothing new, and each fuzz worker would hold several of them.
const fuzzMost = 64 << 10

func FuzzRecord(f *testing.F) {
	for _, r := range append(append([]Record(nil), goldenAudit...), goldenOrders1...) {
		b := make([]byte, RecordSize(&r))
		PutRecord(b, &r, r.Timestamp.UnixNano())
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > fuzzMost {
			return
		}
		r, rest, err := ReadRecord(b)
		if err != nil {
			require.ErrorIs(t, err, ErrCorrupt)
			return
		}
		n := len(b) - len(rest)
		require.EqualValues(t, n, RecordSize(&r))
		again := make([]byte, n)
		require.Equal(t, n, PutRecord(again, &r, r.Timestamp.UnixNano()))
		require.True(t, bytes.Equal(b[:n], again), "% x\n% x", b[:n], again)
		r2, rest, err := ReadRecord(again)
		require.NoError(t, err)
		require.Empty(t, rest)
		require.Equal(t, r, r2)
	})
}

func FuzzFrame(f *testing.F) {
	files := goldenFiles()
	for _, b := range append(bareFrames(files[goldenSeg1]), bareFrames(files[goldenSeg2])...) {
		f.Add(b)
	}
	f.Add(goldenFrame()[:goldenFrameHeader.Length])
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > fuzzMost {
			return
		}
		fuzzFrame(t, b)
		if len(b) >= FrameHeaderSize+EntrySize {
			c := append([]byte(nil), b...)
			mendFrame(c)
			fuzzFrame(t, c)
		}
	})
}

func fuzzFrame(t *testing.T, b []byte) {
	h, err := ReadFrameHeader(b)
	if err != nil || h.Length > int64(len(b)) {
		return
	}
	require.True(t, IsFrame(b))
	again := make([]byte, FrameHeaderSize)
	require.Equal(t, h.CRC, PutFrameHeader(again, h))
	require.True(t, bytes.Equal(b[:FrameHeaderSize], again))
	directory := b[h.DirectoryAt():h.Length]
	entries, err := ReadDirectory(nil, h, directory)
	if err != nil {
		return
	}
	require.Len(t, entries, h.Entries)
	at := int64(FrameHeaderSize)
	again = make([]byte, len(directory))
	for i, e := range entries {
		PutEntry(again[i*EntrySize:], e)
		require.LessOrEqual(t, at+e.Length, h.DirectoryAt())
		_ = CheckData(ChecksumCRC32C, e, b[at:at+e.Length])
		at += e.Length
		require.GreaterOrEqual(t, e.End(), e.Base)
		require.True(t, e.Kind == KindProducer || e.Gap <= e.Base)
	}
	require.Equal(t, h.DirectoryAt(), at)
	require.True(t, bytes.Equal(directory, again))
}

func FuzzFooter(f *testing.F) {
	files := goldenFiles()
	for _, b := range [][]byte{files[goldenSeg1][5632:], files[goldenSeg2][5632:], files[goldenFixed]} {
		f.Add(b)
		f.Add(bareFooter(b))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > fuzzMost {
			return
		}
		fuzzFooter(t, b)
		if len(b) >= TrailerSize {
			c := append([]byte(nil), b...)
			mendFooter(c)
			fuzzFooter(t, c)
		}
	})
}

func fuzzFooter(t *testing.T, b []byte) {
	trailer, err := ReadTrailer(b)
	if err != nil || trailer.BodyLength > int64(len(b)-TrailerSize) {
		return
	}
	body := b[:trailer.BodyLength]
	footer, err := trailer.ReadBody(body)
	if err != nil {
		return
	}
	again := AppendFooter(nil, footer, 1)
	require.True(t, bytes.Equal(again, join(body, b[len(b)-TrailerSize:])), "% x\n% x", again, b)
}
