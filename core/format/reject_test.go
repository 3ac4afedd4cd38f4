package format

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"
)

// Bytes whose checksum holds are still not believed: each of these is written with a
// good CRC and must be refused, as damage or as a later version's.

// set returns a patch that puts bytes at a position.
func set(at int, v ...byte) func([]byte) {
	return func(b []byte) { copy(b[at:], v) }
}

func TestSegmentHeaderRefuses(t *testing.T) {
	valid := wantSegment2.header
	for name, tt := range map[string]struct {
		change func(h *SegmentHeader)
		patch  func(b []byte)
		want   error
	}{
		"later version":            {patch: set(hdrVersion, 2), want: ErrVersion},
		"version 0":                {patch: set(hdrVersion, 0), want: ErrVersion},
		"other checksum":           {patch: set(hdrChecksum, 3), want: ErrVersion},
		"flags":                    {patch: set(hdrFlags+3, 0x80), want: ErrVersion},
		"first reserved byte":      {patch: set(hdrKey+1, 1), want: ErrVersion},
		"key of no bytes":          {patch: set(hdrKey, 1), want: ErrCorrupt},
		"last reserved byte":       {patch: set(hdrCRC-1, 1), want: ErrVersion},
		"magic":                    {patch: set(7, 'X'), want: ErrCorrupt},
		"alignment 256":            {patch: set(hdrAlign, 8), want: ErrCorrupt},
		"alignment 8192":           {patch: set(hdrAlign, 13), want: ErrCorrupt},
		"alignment 2^63":           {patch: set(hdrAlign, 63), want: ErrCorrupt},
		"alignment written as 73":  {patch: set(hdrAlign, 64+9), want: ErrCorrupt},
		"log id 0":                 {change: func(h *SegmentHeader) { h.Log = LogID{} }, want: ErrCorrupt},
		"number 0":                 {change: func(h *SegmentHeader) { h.Number = 0 }, want: ErrCorrupt},
		"number after 2^64-1":      {change: func(h *SegmentHeader) { h.Number, h.Predecessor.Segment = 0, math.MaxUint64 }, want: ErrCorrupt},
		"first segment in a row":   {change: func(h *SegmentHeader) { h.Number = 1; h.Predecessor = Link{LSN: 4} }, want: ErrCorrupt},
		"epoch 0":                  {change: func(h *SegmentHeader) { h.Epoch = 0 }, want: ErrCorrupt},
		"first LSN 0":              {change: func(h *SegmentHeader) { h.FirstLSN, h.Predecessor.LSN = 0, math.MaxUint64 }, want: ErrCorrupt},
		"first LSN too high":       {change: func(h *SegmentHeader) { h.FirstLSN++ }, want: ErrCorrupt},
		"its own predecessor":      {change: func(h *SegmentHeader) { h.Predecessor.Segment = h.Number }, want: ErrCorrupt},
		"predecessor behind it":    {change: func(h *SegmentHeader) { h.Predecessor.Segment = h.Number + 1 }, want: ErrCorrupt},
		"segment left out":         {change: func(h *SegmentHeader) { h.Number++ }, want: ErrCorrupt},
		"predecessor end negative": {change: func(h *SegmentHeader) { h.Predecessor.End = -512 }, want: ErrCorrupt},
		"predecessor in a header":  {change: func(h *SegmentHeader) { h.Predecessor.End = 512 }, want: ErrCorrupt},
		"predecessor end odd":      {change: func(h *SegmentHeader) { h.Predecessor.End++ }, want: ErrCorrupt},
		"end of no predecessor":    {change: func(h *SegmentHeader) { h.Predecessor.Segment = 0 }, want: ErrCorrupt},
	} {
		h, b := valid, make([]byte, HeaderSize)
		if tt.change != nil {
			tt.change(&h)
		}
		PutSegmentHeader(b, h)
		if tt.patch != nil {
			tt.patch(b)
			le.PutUint32(b[hdrCRC:], CRC(b[:hdrCRC]))
		}
		_, err := ReadSegmentHeader(b)
		require.ErrorIs(t, err, tt.want, name)
	}
	_, err := ReadSegmentHeader(make([]byte, HeaderSize-1))
	require.ErrorIs(t, err, ErrCorrupt)
	_, err = ReadSegmentHeader(make([]byte, HeaderSize))
	require.ErrorIs(t, err, ErrCorrupt, "unwritten space")
}

func TestFrameHeaderRefuses(t *testing.T) {
	valid := FrameHeader{Length: 112, Entries: 1, Epoch: 1, LSN: 9, Durable: 8, Position: 4096}
	for name, tt := range map[string]struct {
		change func(h *FrameHeader)
		patch  func(b []byte)
		want   error
	}{
		"magic":               {patch: set(0, 'X'), want: ErrCorrupt},
		"flags":               {patch: set(frmFlags, 1), want: ErrVersion},
		"reserved bytes":      {patch: set(frmReserved+3, 1), want: ErrVersion},
		"no entries":          {change: func(h *FrameHeader) { h.Entries = 0 }, want: ErrCorrupt},
		"entries over length": {change: func(h *FrameHeader) { h.Entries = 2 }, want: ErrCorrupt},
		"2^32-1 entries":      {patch: set(frmEntries, 255, 255, 255, 255), want: ErrCorrupt},
		"length 0":            {change: func(h *FrameHeader) { h.Length = 0 }, want: ErrCorrupt},
		"length too small":    {change: func(h *FrameHeader) { h.Length-- }, want: ErrCorrupt},
		"length too large":    {change: func(h *FrameHeader) { h.Length = MaxFrame + 1 }, want: ErrCorrupt},
		"epoch 0":             {change: func(h *FrameHeader) { h.Epoch = 0 }, want: ErrCorrupt},
		"LSN 0":               {change: func(h *FrameHeader) { h.LSN, h.Durable = 0, 0 }, want: ErrCorrupt},
		"LSNs run out":        {change: func(h *FrameHeader) { h.LSN = math.MaxUint64 }, want: ErrCorrupt},
		"durable already":     {change: func(h *FrameHeader) { h.Durable = h.LSN }, want: ErrCorrupt},
		"position 0":          {change: func(h *FrameHeader) { h.Position = 0 }, want: ErrCorrupt},
		"position in header":  {change: func(h *FrameHeader) { h.Position = 3584 }, want: ErrCorrupt},
		"position odd":        {change: func(h *FrameHeader) { h.Position = 4100 }, want: ErrCorrupt},
		"position negative":   {change: func(h *FrameHeader) { h.Position = math.MinInt64 }, want: ErrCorrupt},
		"position too high":   {change: func(h *FrameHeader) { h.Position = math.MaxInt64 - 511 }, want: ErrCorrupt},
	} {
		h, b := valid, make([]byte, FrameHeaderSize)
		if tt.change != nil {
			tt.change(&h)
		}
		PutFrameHeader(b, h)
		if tt.patch != nil {
			tt.patch(b)
			le.PutUint32(b[frmCRC:], CRC(b[:frmCRC]))
		}
		_, err := ReadFrameHeader(b)
		require.ErrorIs(t, err, tt.want, name)
		require.Equal(t, name != "magic", IsFrame(b), name)
	}
	for n := range FrameHeaderSize {
		_, err := ReadFrameHeader(make([]byte, n))
		require.ErrorIs(t, err, ErrCorrupt)
		require.False(t, IsFrame(make([]byte, n)))
	}
	_, err := ReadFrameHeader(make([]byte, FrameHeaderSize))
	require.ErrorContains(t, err, "unwritten space")
	require.False(t, IsFrame(make([]byte, FrameHeaderSize)))
}

func TestDirectoryRefuses(t *testing.T) {
	data := Entry{Partition: 1, Kind: KindData, Base: 5, Gap: 2, Count: 2, Length: 60, RawLength: 60, CRC: 7, MaxTimestamp: 8}
	declare := Entry{Partition: 1, Kind: KindDeclare, Base: 5, Length: 33, RawLength: 33, CRC: 7}
	before := Entry{Partition: 1, Kind: KindTruncateBefore, Base: 5}
	after := Entry{Partition: 1, Kind: KindTruncateAfter, Base: 5, Gap: 2, Flags: FlagGapLost}
	lost := Entry{Partition: 1, Kind: KindLost, Base: 5, Gap: 2}
	producer := Producer{ID: 7, First: 9, Base: 5, Count: 2}.Entry(1)
	for name, tt := range map[string]struct {
		valid  Entry
		change func(e *Entry)
		want   error
	}{
		"no partition":           {data, func(e *Entry) { e.Partition = 0 }, ErrCorrupt},
		"kind 0":                 {data, func(e *Entry) { e.Kind = 0 }, ErrVersion},
		"kind 7":                 {data, func(e *Entry) { e.Kind = KindProducer + 1 }, ErrVersion},
		"control of kind 0":      {before, func(e *Entry) { e.Kind = 0 }, ErrVersion},
		"control of kind 7":      {before, func(e *Entry) { e.Kind = KindProducer + 1 }, ErrVersion},
		"producer of nothing":    {producer, func(e *Entry) { e.Partition = 0 }, ErrCorrupt},
		"producer 0":             {producer, func(e *Entry) { e.MaxTimestamp = 0 }, ErrCorrupt},
		"sequence < 0":           {producer, func(e *Entry) { e.Gap = -1 }, ErrCorrupt},
		"sequences run out":      {producer, func(e *Entry) { e.Gap = math.MaxInt64 - 1 }, ErrCorrupt},
		"no sequences":           {producer, func(e *Entry) { e.Count = 0 }, ErrCorrupt},
		"producer's offset < 0":  {producer, func(e *Entry) { e.Base = -1 }, ErrCorrupt},
		"producer's offsets end": {producer, func(e *Entry) { e.Base = math.MaxInt64 - 1 }, ErrCorrupt},
		"producer with data":     {producer, func(e *Entry) { e.Length, e.RawLength = 24, 24 }, ErrVersion},
		"producer with CRC":      {producer, func(e *Entry) { e.CRC = 1 }, ErrVersion},
		"producer with codec":    {producer, func(e *Entry) { e.Codec = 1 }, ErrVersion},
		"producer moved":         {producer, func(e *Entry) { e.Flags = FlagMoved }, ErrVersion},
		"transaction goes on":    {data, func(e *Entry) { e.Flags = FlagTransaction }, ErrCorrupt},
		"truncation in one":      {after, func(e *Entry) { e.Flags |= FlagTransaction }, ErrVersion},
		"flag":                   {data, func(e *Entry) { e.Flags = 1 << 15 }, ErrVersion},
		"negative base":          {data, func(e *Entry) { e.Base, e.Gap = -1, 0 }, ErrCorrupt},
		"negative gap":           {data, func(e *Entry) { e.Gap = -1 }, ErrCorrupt},
		"gap below 0":            {data, func(e *Entry) { e.Gap = 6 }, ErrCorrupt},
		"offsets run out":        {data, func(e *Entry) { e.Base = math.MaxInt64 - 1 }, ErrCorrupt},
		"no records":             {data, func(e *Entry) { e.Count = 0 }, ErrCorrupt},
		"too many records":       {data, func(e *Entry) { e.Count = 3 }, ErrCorrupt},
		"lengths differ":         {data, func(e *Entry) { e.RawLength++ }, ErrCorrupt},
		"raw length huge":        {data, func(e *Entry) { e.Codec, e.RawLength = 1, MaxFrame+1 }, ErrCorrupt},
		"declaration short":      {declare, func(e *Entry) { e.Length, e.RawLength = 32, 32 }, ErrCorrupt},
		"declaration long":       {declare, func(e *Entry) { e.Length, e.RawLength = 282, 282 }, ErrCorrupt},
		"declaration with codec": {declare, func(e *Entry) { e.Codec = 1 }, ErrVersion},
		"declaration with gap":   {declare, func(e *Entry) { e.Gap = 1 }, ErrVersion},
		"declaration with time":  {declare, func(e *Entry) { e.MaxTimestamp = 1 }, ErrVersion},
		"declaration with flag":  {declare, func(e *Entry) { e.Flags = FlagMoved }, ErrVersion},
		"control with count":     {before, func(e *Entry) { e.Count = 1 }, ErrVersion},
		"control with data":      {before, func(e *Entry) { e.Length, e.RawLength = 24, 24 }, ErrVersion},
		"control with CRC":       {before, func(e *Entry) { e.CRC = 1 }, ErrVersion},
		"truncation with gap":    {before, func(e *Entry) { e.Gap = 1 }, ErrVersion},
		"truncation of the past": {before, func(e *Entry) { e.Flags = FlagGapLost }, ErrVersion},
		"no gap is lost":         {after, func(e *Entry) { e.Gap = 0 }, ErrCorrupt},
		"truncation moved":       {after, func(e *Entry) { e.Flags = FlagMoved }, ErrVersion},
		"batch with lost gap":    {data, func(e *Entry) { e.Flags = FlagGapLost }, ErrVersion},
		"nothing lost":           {lost, func(e *Entry) { e.Gap = 0 }, ErrCorrupt},
		"lost with data":         {lost, func(e *Entry) { e.Length, e.RawLength = 24, 24 }, ErrVersion},
	} {
		_, err := readOne(tt.valid)
		require.NoError(t, err, name)
		tt.change(&tt.valid)
		_, err = readOne(tt.valid)
		require.ErrorIs(t, err, tt.want, name)
	}
}

// A transaction goes on with batches behind a batch, in the same frame, and none of them is a
// moved one.
func TestTransactionsAreRowsOfBatches(t *testing.T) {
	data := Entry{Partition: 1, Kind: KindData, Count: 1, Length: 24, RawLength: 24}
	on, moved := data, data
	on.Flags, moved.Flags = FlagTransaction, FlagMoved
	both := on
	both.Flags |= FlagMoved
	before := Entry{Partition: 1, Kind: KindTruncateBefore, Base: 5}
	for name, tt := range map[string]struct {
		list  []Entry
		sound bool
	}{
		"a row":                      {[]Entry{data, on, on, data, on}, true},
		"behind a truncation":        {[]Entry{data, before, on}, false},
		"behind a moved batch":       {[]Entry{moved, on}, false},
		"with a moved batch":         {[]Entry{data, both}, false},
		"first, with others before":  {[]Entry{on, data}, false},
		"first behind a declaration": {[]Entry{{Partition: 1, Kind: KindDeclare, Length: 33, RawLength: 33}, on}, false},
	} {
		h := FrameHeader{Entries: len(tt.list), Length: FrameHeaderSize}
		b := make([]byte, len(tt.list)*EntrySize)
		for i, e := range tt.list {
			PutEntry(b[i*EntrySize:], e)
			h.Length += e.Length + EntrySize
		}
		h.DirectoryCRC = CRC(b)
		got, err := ReadDirectory([]Entry{data}, h, b) // of what is there already nothing goes on
		if tt.sound {
			require.NoError(t, err, name)
			require.Equal(t, tt.list, got[1:], name)
			continue
		}
		require.ErrorIs(t, err, ErrCorrupt, name)
	}
}

// readOne writes a directory of one entry and reads it.
func readOne(e Entry) ([]Entry, error) {
	var b [EntrySize]byte
	PutEntry(b[:], e)
	return ReadDirectory(nil, FrameHeader{
		Length: FrameHeaderSize + e.Length + EntrySize, Entries: 1, DirectoryCRC: CRC(b[:]),
	}, b[:])
}

func TestDirectoryFillsTheFrame(t *testing.T) {
	e := Entry{Partition: 1, Kind: KindData, Count: 1, Length: 24, RawLength: 24}
	b := make([]byte, 2*EntrySize)
	PutEntry(b, e)
	PutEntry(b[EntrySize:], e)
	h := FrameHeader{Length: FrameHeaderSize + 2*24 + 2*EntrySize, Entries: 2, DirectoryCRC: CRC(b)}
	first := Entry{Partition: 7}
	got, err := ReadDirectory([]Entry{first}, h, b)
	require.NoError(t, err)
	require.Equal(t, []Entry{first, e, e}, got, "entries are appended")
	for _, change := range []int64{-1, 1, 24} {
		bad := h
		bad.Length += change
		_, err := ReadDirectory(nil, bad, b)
		require.ErrorIs(t, err, ErrCorrupt, "data ends %d bytes before the directory", change)
	}
	for _, n := range []int{0, EntrySize, 2*EntrySize - 1} {
		_, err := ReadDirectory(nil, h, b[:n])
		require.ErrorIs(t, err, ErrCorrupt)
	}
	h.DirectoryCRC = CRC(b[:EntrySize])
	h.Length = FrameHeaderSize + 24 + 2*EntrySize
	_, err = ReadDirectory(nil, h, b[:EntrySize])
	require.ErrorIs(t, err, ErrCorrupt, "an entry less than the header says, all else right")

	h.Length += 24
	huge := Entry{Partition: 1, Kind: KindData, Codec: 1, Count: 1, Length: math.MaxUint32, RawLength: 24}
	PutEntry(b, huge)
	PutEntry(b[EntrySize:], huge)
	h.DirectoryCRC = CRC(b)
	_, err = ReadDirectory(nil, h, b)
	require.ErrorIs(t, err, ErrCorrupt, "the sum of the lengths does not wrap around")
}
