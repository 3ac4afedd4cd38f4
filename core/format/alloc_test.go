package format

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// The hot path's encoders take no memory: a producer that waits for the garbage collector
// would hold up its whole group.
func TestEncodersAllocateNothing(t *testing.T) {
	r := Record{Key: []byte("key"), Value: make([]byte, 1024), Headers: []Header{{Key: "name", Value: []byte("value")}}}
	b := make([]byte, RecordSize(&r))
	e, h := goldenFrameEntry, goldenFrameHeader
	for name, f := range map[string]func(){
		"PutRecord":      func() { PutRecord(b, &r, 1) },
		"RecordSize":     func() { _ = RecordSize(&r) },
		"PutEntry":       func() { PutEntry(b, e) },
		"PutFrameHeader": func() { PutFrameHeader(b, h) },
		"CRC":            func() { _ = CRC(b) },
	} {
		require.Zero(t, testing.AllocsPerRun(100, f), name)
	}
}

// Decoders on the way back take none either, but for what the caller keeps.
func TestFrameDecodersAllocateNothing(t *testing.T) {
	b := golden(t, goldenCodec)
	h, err := ReadFrameHeader(b)
	require.NoError(t, err)
	dst := make([]Entry, 0, 4)
	record := make([]byte, RecordSize(&goldenOrder0[0]))
	PutRecord(record, &goldenOrder0[0], 1)
	for name, f := range map[string]func(){
		"ReadFrameHeader": func() { _, _ = ReadFrameHeader(b) },
		"ReadDirectory":   func() { _, _ = ReadDirectory(dst, h, b[84:132]) },
		"CheckData":       func() { _ = CheckData(ChecksumCRC32C, goldenFrameEntry, b[64:84]) },
		"ReadRecord":      func() { _, _, _ = ReadRecord(record) },
	} {
		require.Zero(t, testing.AllocsPerRun(100, f), name)
	}
}

func BenchmarkPutRecordAndCRC(b *testing.B) {
	r := Record{Key: []byte("key-0000"), Value: make([]byte, 1024)}
	buf := make([]byte, RecordSize(&r))
	b.SetBytes(int64(len(buf)))
	b.ReportAllocs()
	for b.Loop() {
		PutRecord(buf, &r, 1)
		_ = CRC(buf)
	}
}

func BenchmarkReadRecord(b *testing.B) {
	r := Record{Key: []byte("key-0000"), Value: make([]byte, 1024)}
	buf := make([]byte, RecordSize(&r))
	PutRecord(buf, &r, 1)
	b.SetBytes(int64(len(buf)))
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := ReadRecord(buf); err != nil {
			b.Fatal(err)
		}
	}
}
