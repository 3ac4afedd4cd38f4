package format

// What the golden segments hold, written down by hand where it is a choice and pinned
// where it follows (sizes, positions, checksums).

func at(base int64, records []Record) []Record {
	r := append([]Record(nil), records...)
	for i := range r {
		r[i].Offset = base + int64(i)
	}
	return r
}

var wantSegment1 = parsed{
	header: SegmentHeader{
		Checksum: ChecksumCRC32C, Alignment: 512, Log: goldenID, Number: 1, Epoch: 0x1112131415161718, FirstLSN: 1, Created: 1_700_000_000_000_000_000,
	},
	frames: []parsedFrame{
		{
			FrameHeader: FrameHeader{
				Length: 238, Entries: 2, Epoch: 0x1112131415161718, LSN: 1, Durable: 0, Position: 4096,
				Chain: 0, DirectoryCRC: 0x8e60dafb, CRC: 0xaa294040,
			},
			entries: []Entry{
				{Partition: 1, Kind: KindDeclare, Length: 38, RawLength: 38, CRC: 0x06c1dd73},
				{Partition: 2, Kind: KindDeclare, Length: 40, RawLength: 40, CRC: 0x4a1a7b18},
			},
			declarations: []Declaration{{Topic: "orders"}, {Topic: "audit-é", Partition: 3}},
		},
		{
			FrameHeader: FrameHeader{
				Length: 323, Entries: 2, Epoch: 0x1112131415161718, LSN: 1, Durable: 0, Position: 4608,
				Chain: 0xaa294040, DirectoryCRC: 0x51a04642, CRC: 0x335bb1de,
			},
			entries: []Entry{
				{Partition: 1, Kind: KindData, Count: 1, Length: 37, RawLength: 37, CRC: 0xf665bcf4, MaxTimestamp: 1_700_000_000_000_000_001},
				{Partition: 2, Kind: KindData, Flags: FlagTransaction, Count: 3, Length: 126, RawLength: 126, CRC: 0xebc6b5fb, MaxTimestamp: 1_700_000_000_000_000_002},
			},
			records: [][]Record{at(0, goldenOrder0), at(0, goldenAudit)},
		},
		{
			FrameHeader: FrameHeader{
				Length: 301, Entries: 3, Epoch: 0x1112131415161718, LSN: 3, Durable: 2, Position: 5120,
				Chain: 0x335bb1de, DirectoryCRC: 0x1d599842, CRC: 0x6356ca48,
			},
			entries: []Entry{
				{Partition: 1, Kind: KindData, Base: 1, Count: 3, Length: 93, RawLength: 93, CRC: 0x1c563d79, MaxTimestamp: 1_700_000_000_000_000_009},
				{Partition: 1, Kind: KindProducer, Base: 1, Gap: 91, Count: 3, MaxTimestamp: -0x7e7d7c7b7a797878},
				{Partition: 2, Kind: KindTruncateBefore, Base: 1},
			},
			records: [][]Record{at(1, goldenOrders1)},
		},
	},
	trailer: Trailer{BodyLength: 374},
	footer: &Footer{
		Number: 1, Epoch: 0x1112131415161718,
		End:    Link{Segment: 1, End: 5632, LSN: 4, Chain: 0x6356ca48},
		BodyAt: 5632, Frames: 3, Records: 7, MaxTimestamp: 1_700_000_000_000_000_009, XXH64: 0x2b6f892405591eb9,
		Partitions: []FooterPartition{
			{
				ID: 1, Declaration: Declaration{Topic: "orders"}, Stored: Stored{Bytes: 37 + 93, RawBytes: 37 + 93, Codecs: 1},
				Runs:      []Run{{Kind: KindData, Base: 0, End: 4, LSN: 1}},
				Producers: []Producer{{ID: 0x8182838485868788, First: 91, Base: 1, Count: 3}},
				Index:     []IndexEntry{{Offset: 0, Position: 4608, MaxTimestamp: 1_700_000_000_000_000_001}},
			},
			{
				ID: 2, Declaration: Declaration{Topic: "audit-é", Partition: 3}, Stored: Stored{Bytes: 126, RawBytes: 126, Codecs: 1},
				Runs: []Run{
					{Kind: KindData, Base: 0, End: 3, LSN: 2},
					{Kind: KindTruncateBefore, Base: 1, End: 1, LSN: 4},
				},
				Index: []IndexEntry{{Offset: 0, Position: 4608, MaxTimestamp: 1_700_000_000_000_000_002}},
			},
		},
	},
}

var wantSegment2 = parsed{
	header: SegmentHeader{
		Checksum: ChecksumCRC32C, Alignment: 512, Log: goldenID, Number: 2, Epoch: 0x2122232425262728, FirstLSN: 5, Created: 1_700_000_001_000_000_000,
		Predecessor: Link{Segment: 1, End: 5632, LSN: 4, Chain: 0x6356ca48},
	},
	frames: []parsedFrame{
		{
			FrameHeader: FrameHeader{
				Length: 373, Entries: 4, Epoch: 0x2122232425262728, LSN: 5, Durable: 4, Position: 4096,
				Chain: 0x6356ca48, DirectoryCRC: 0xe9a82530, CRC: 0x2a2625bf,
			},
			entries: []Entry{
				{Partition: 1, Kind: KindDeclare, Base: 4, Length: 38, RawLength: 38, CRC: 0x502cd957},
				{Partition: 1, Kind: KindProducer, Base: 1, Gap: 91, Count: 3, MaxTimestamp: -0x7e7d7c7b7a797878},
				{Partition: 1, Kind: KindData, Base: 14, Gap: 10, Count: 1, Length: 39, RawLength: 39, CRC: 0x78a2a4c1, MaxTimestamp: 1_700_000_000_000_000_005},
				{Partition: 2, Kind: KindDeclare, Base: 3, Length: 40, RawLength: 40, CRC: 0xd1311f6e},
			},
			declarations: []Declaration{{Topic: "orders", First: 0, Next: 4}, {Topic: "audit-é", Partition: 3, First: 1, Next: 3}},
			records:      [][]Record{at(14, goldenOrder14)},
		},
		{
			FrameHeader: FrameHeader{
				Length: 199, Entries: 2, Epoch: 0x2122232425262728, LSN: 6, Durable: 5, Position: 4608,
				Chain: 0x2a2625bf, DirectoryCRC: 0x23e13ff4, CRC: 0x76a0e0f,
			},
			entries: []Entry{
				{Partition: 1, Kind: KindLost, Base: 20, Gap: 5},
				{Partition: 1, Kind: KindData, Flags: FlagMoved, Base: 14, Gap: 10, Count: 1, Length: 39, RawLength: 39, CRC: 0x78a2a4c1, MaxTimestamp: 1_700_000_000_000_000_005},
			},
			records: [][]Record{at(14, goldenOrder14)},
		},
		{
			FrameHeader: FrameHeader{
				Length: 242, Entries: 2, Epoch: 0x2122232425262728, LSN: 8, Durable: 5, Position: 5120,
				Chain: 0x76a0e0f, DirectoryCRC: 0x2f29ce59, CRC: 0x5f87d112,
			},
			entries: []Entry{
				{Partition: 1, Kind: KindData, Base: 20, Count: 2, Length: 82, RawLength: 82, CRC: 0x9d137a4e, MaxTimestamp: 1_700_000_000_000_000_007},
				{Partition: 1, Kind: KindTruncateAfter, Base: 21},
			},
			records: [][]Record{at(20, goldenOrder20)},
		},
	},
	trailer: Trailer{BodyLength: 454},
	footer: &Footer{
		Number: 2, Epoch: 0x2122232425262728,
		End:    Link{Segment: 2, End: 5632, LSN: 9, Chain: 0x5f87d112},
		BodyAt: 5632, Frames: 3, Records: 4, MaxTimestamp: 1_700_000_000_000_000_007, XXH64: 0x577161627b310ad3,
		Partitions: []FooterPartition{
			{
				ID: 1, Declaration: Declaration{Topic: "orders", First: 0, Next: 4},
				Stored: Stored{Bytes: 39 + 39 + 82, RawBytes: 39 + 39 + 82, Codecs: 1},
				Runs: []Run{
					{Kind: KindData, Base: 14, End: 15, Gap: 10, LSN: 5},
					{Kind: KindLost, Base: 20, End: 20, Gap: 5, LSN: 6},
					{Kind: KindData, Flags: FlagMoved, Base: 14, End: 15, Gap: 10, LSN: 7},
					{Kind: KindData, Base: 20, End: 22, LSN: 8},
					{Kind: KindTruncateAfter, Base: 21, End: 21, LSN: 9},
				},
				Producers: []Producer{{ID: 0x8182838485868788, First: 91, Base: 1, Count: 3}},
				Index: []IndexEntry{
					{Offset: 14, Position: 4096, MaxTimestamp: 1_700_000_000_000_000_005},
					{Offset: 14, Position: 4608, MaxTimestamp: 1_700_000_000_000_000_005},
				},
			},
			{ID: 2, Declaration: Declaration{Topic: "audit-é", Partition: 3, First: 1, Next: 3}, Runs: []Run{}, Index: []IndexEntry{}},
		},
	},
}
