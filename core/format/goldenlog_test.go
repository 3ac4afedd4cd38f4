package format

// The golden log: two sealed segments and a close marker that hold one of everything.
// Each value differs from its neighbours, so that fields that changed places show.

const (
	goldenTime  = 1_700_000_000_000_000_000 // 2023-11-14T22:13:20Z
	goldenSeg1  = "testdata/golden/v1/segment-1.bin"
	goldenSeg2  = "testdata/golden/v1/segment-2.bin"
	goldenClose = "testdata/golden/v1/close-marker.bin"
	goldenFixed = "testdata/golden/v1/footer-repaired.bin"
	goldenCodec = "testdata/golden/v1/frame-codec.bin"
	goldenOther = "testdata/golden/v1/member.bin"
)

var goldenID = LogID{0xa0, 0xa1, 0xa2, 0xa3, 0xa4, 0xa5, 0xa6, 0xa7, 0xa8, 0xa9, 0xaa, 0xab, 0xac, 0xad, 0xae, 0xaf}

// The partitions, as segment 1 and segment 2 declare them.
var (
	orders1 = Declaration{Topic: "orders", Partition: 0}
	audit1  = Declaration{Topic: "audit-é", Partition: 3}
	orders2 = Declaration{Topic: "orders", Partition: 0, First: 0, Next: 4}
	audit2  = Declaration{Topic: "audit-é", Partition: 3, First: 1, Next: 3}
)

var (
	goldenOrder0 = []Record{
		{Timestamp: nanos(goldenTime + 1), Key: []byte("k0"), Value: []byte("first order")},
	}
	// A record without anything, one where all is there but empty, one that uses all.
	goldenAudit = []Record{
		{Timestamp: nanos(-1)},
		{Timestamp: nanos(0), Key: []byte{}, Value: []byte{}, Headers: []Header{{Key: "", Value: nil}, {Key: "", Value: []byte{}}}},
		{
			Timestamp: nanos(goldenTime + 2), Key: []byte("key"), Value: []byte("value-5"),
			Headers: []Header{{Key: "trace", Value: []byte{0x00, 0xff}}, {Key: "trace", Value: nil}},
		},
	}
	// Out of the order of time: the batch's latest record is not its last.
	goldenOrders1 = []Record{
		{Timestamp: nanos(goldenTime + 3), Value: []byte("order 1")},
		{Timestamp: nanos(goldenTime + 9), Value: []byte("order 2")},
		{Timestamp: nanos(goldenTime + 4), Value: []byte("order 3")},
	}
	goldenOrder14 = []Record{{Timestamp: nanos(goldenTime + 5), Key: []byte("k14"), Value: []byte("behind a gap")}}
	goldenOrder20 = []Record{
		{Timestamp: nanos(goldenTime + 6), Value: []byte("behind lost records")},
		{Timestamp: nanos(goldenTime + 7), Value: []byte("truncated again")},
	}
)

// goldenProducer is who appended goldenOrders1.
var goldenProducer = Producer{ID: 0x8182838485868788, First: 91, Base: 1, Count: 3}

func goldenSegment1() *builder {
	s := newBuilder(SegmentHeader{
		Alignment: 512, Log: goldenID, Number: 1, Epoch: 0x1112131415161718, FirstLSN: 1, Created: goldenTime,
	})
	s.frame(0, // declarations alone
		batch{Entry: Entry{Partition: 1, Kind: KindDeclare}, declare: &orders1},
		batch{Entry: Entry{Partition: 2, Kind: KindDeclare}, declare: &audit1})
	at := s.frame(0,
		batch{Entry: Entry{Partition: 1, Kind: KindData, Base: 0}, records: goldenOrder0},
		batch{Entry: Entry{Partition: 2, Kind: KindData, Flags: FlagTransaction, Base: 0}, records: goldenAudit})
	s.frame(2,
		batch{Entry: Entry{Partition: 1, Kind: KindData, Base: 1}, records: goldenOrders1},
		batch{Entry: goldenProducer.Entry(1)},
		batch{Entry: Entry{Partition: 2, Kind: KindTruncateBefore, Base: 1}})
	s.seal(Footer{
		Frames: 3, Records: 7, MaxTimestamp: goldenTime + 9,
		Partitions: []FooterPartition{
			{
				ID: 1, Declaration: orders1, Stored: Stored{Bytes: 130, RawBytes: 130, Codecs: 1},
				Runs:      []Run{{Kind: KindData, Base: 0, End: 4, LSN: 1}},
				Producers: []Producer{goldenProducer},
				Index:     []IndexEntry{{Offset: 0, Position: at, MaxTimestamp: goldenTime + 1}},
			},
			{
				ID: 2, Declaration: audit1, Stored: Stored{Bytes: 126, RawBytes: 126, Codecs: 1},
				Runs: []Run{
					{Kind: KindData, Base: 0, End: 3, LSN: 2},
					{Kind: KindTruncateBefore, Base: 1, End: 1, LSN: 4},
				},
				Index: []IndexEntry{{Offset: 0, Position: at, MaxTimestamp: goldenTime + 2}},
			},
		},
	})
	return s
}

func goldenSegment2(pred Link) *builder {
	s := newBuilder(SegmentHeader{
		Alignment: 512, Log: goldenID, Number: 2, Epoch: 0x2122232425262728, FirstLSN: pred.LSN + 1,
		Created: goldenTime + 1_000_000_000, Predecessor: pred,
	})
	at := s.frame(4, // a declaration in the frame that uses it
		batch{Entry: Entry{Partition: 1, Kind: KindDeclare}, declare: &orders2},
		batch{Entry: goldenProducer.Entry(1)},
		batch{Entry: Entry{Partition: 1, Kind: KindData, Base: 14, Gap: 10}, records: goldenOrder14},
		batch{Entry: Entry{Partition: 2, Kind: KindDeclare}, declare: &audit2})
	moved := s.frame(5,
		batch{Entry: Entry{Partition: 1, Kind: KindLost, Base: 20, Gap: 5}},
		batch{Entry: Entry{Partition: 1, Kind: KindData, Flags: FlagMoved, Base: 14, Gap: 10}, records: goldenOrder14})
	s.frame(5, // written while the frame before it was in flight
		batch{Entry: Entry{Partition: 1, Kind: KindData, Base: 20}, records: goldenOrder20},
		batch{Entry: Entry{Partition: 1, Kind: KindTruncateAfter, Base: 21}})
	s.seal(Footer{
		Frames: 3, Records: 4, MaxTimestamp: goldenTime + 7,
		Partitions: []FooterPartition{
			{
				ID: 1, Declaration: orders2, Stored: Stored{Bytes: 160, RawBytes: 160, Codecs: 1},
				Runs: []Run{
					{Kind: KindData, Base: 14, End: 15, Gap: 10, LSN: 5},
					{Kind: KindLost, Base: 20, End: 20, Gap: 5, LSN: 6},
					{Kind: KindData, Flags: FlagMoved, Base: 14, End: 15, Gap: 10, LSN: 7},
					{Kind: KindData, Base: 20, End: 22, LSN: 8},
					{Kind: KindTruncateAfter, Base: 21, End: 21, LSN: 9},
				},
				Producers: []Producer{goldenProducer},
				Index: []IndexEntry{
					{Offset: 14, Position: at, MaxTimestamp: goldenTime + 5},
					{Offset: 14, Position: moved, MaxTimestamp: goldenTime + 5},
				},
			},
			{ID: 2, Declaration: audit2, Runs: []Run{}, Index: []IndexEntry{}},
		},
	})
	return s
}

func goldenMarker(end Link) []byte {
	b := make([]byte, MarkerSize)
	PutMarker(b, Marker{Log: goldenID, End: end})
	return b
}

// goldenMember is what the data directory of the golden log would know of another log in it.
var goldenMember = Member{
	Kind: MemberDedicated, Number: 0x51525354, Whole: goldenID,
	Log: LogID{0xb0, 0xb1, 0xb2, 0xb3, 0xb4, 0xb5, 0xb6, 0xb7, 0xb8, 0xb9, 0xba, 0xbb, 0xbc, 0xbd, 0xbe, 0xbf},
	End: Link{Segment: 5, End: 8704, LSN: 47, Chain: 0x5a5b5c5d},
}

func memberBytes(m Member) []byte {
	b := make([]byte, MemberSize)
	PutMember(b, m)
	return b
}

// goldenRepaired is the footer of a segment that lost frames: it ends before the place
// that its successor knows as its end.
var goldenRepaired = Footer{
	Number: 7, Epoch: 0x7172737475767778, Repaired: true,
	End:    Link{Segment: 7, End: 81920, LSN: 70, Chain: 0x7a7b7c7d},
	BodyAt: 40960, Frames: 11, Records: 13, MaxTimestamp: goldenTime + 17, XXH64: 0x6162636465666768,
	Partitions: []FooterPartition{{
		ID: 3, Declaration: Declaration{Topic: "tt", Partition: 19, First: 23, Next: 29, Gap: 4, GapLost: true},
		Stored: Stored{Bytes: 43, RawBytes: 47, Codecs: 0b1001},
		Runs: []Run{
			{Kind: KindData, Flags: FlagMoved, Base: 25, End: 27, Gap: 2, LSN: 61},
			{Kind: KindLost, Base: 31, End: 31, Gap: 2, LSN: 64},
		},
		Index: []IndexEntry{{Offset: 25, Position: 8192, MaxTimestamp: goldenTime + 17}},
		Producers: []Producer{
			{ID: 0x9192939495969798, First: 93, Base: 25, Count: 2}, {ID: 0xa1a2a3a4a5a6a7a8, First: 94, Base: 27, Count: 2},
			{ID: 0xb1b2b3b4b5b6b7b8, First: 95, Base: 28, Count: 1}, {ID: 0xc1c2c3c4c5c6c7c8, First: 96, Base: 24, Count: 1},
		},
	}},
}

// The frame of a moved batch that some codec stores in 20 bytes, out of its segment.
const goldenStored = "what a codec made it"

var goldenFrameHeader = FrameHeader{
	Length: 132, Entries: 1, Epoch: 0x3132333435363738, LSN: 43, Durable: 41, Position: 8192,
	Chain: 0x3a3b3c3d, DirectoryCRC: 0x59331b23, CRC: 0x8fd7113b,
}

var goldenFrameEntry = Entry{
	Partition: 9, Kind: KindData, Codec: 3, Flags: FlagMoved, Base: 37, Gap: 11, Count: 2,
	Length: 20, RawLength: 61, CRC: 0xd70c477a, MaxTimestamp: goldenTime + 8,
}

func goldenFrame() []byte {
	b := make([]byte, 512)
	copy(b[FrameHeaderSize:], goldenStored)
	e, h := goldenFrameEntry, goldenFrameHeader
	e.CRC = CRC([]byte(goldenStored))
	PutEntry(b[FrameHeaderSize+e.Length:], e)
	h.DirectoryCRC = CRC(b[h.DirectoryAt():h.Length])
	PutFrameHeader(b, h)
	return b
}

// goldenFiles encodes the golden log.
func goldenFiles() map[string][]byte {
	s1 := goldenSegment1()
	t1, err := ReadTrailer(s1.b)
	if err != nil {
		panic(err)
	}
	s2 := goldenSegment2(t1.End)
	t2, err := ReadTrailer(s2.b)
	if err != nil {
		panic(err)
	}
	return map[string][]byte{
		goldenSeg1:  s1.b,
		goldenSeg2:  s2.b,
		goldenClose: goldenMarker(t2.End),
		goldenFixed: AppendFooter(nil, &goldenRepaired, 512),
		goldenCodec: goldenFrame(),
		goldenOther: memberBytes(goldenMember),

		goldenKeyFile: AppendKeyFile(nil, &goldenKey),
		goldenSealed:  goldenSealedBatch(),
		goldenDict:    AppendDictionary(nil, &goldenDictionary),
	}
}
