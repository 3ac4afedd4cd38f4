package format

import (
	"fmt"
	"math"
)

// EntrySize is the size of a directory entry.
const EntrySize = 48

// Kind is what a directory entry is about.
type Kind uint8

// The kinds of entries. All but KindDeclare and KindProducer take one LSN each, in directory order.
const (
	// KindData is a batch of records.
	KindData Kind = 1 + iota
	// KindDeclare names a partition and states its offsets; it comes before the
	// partition's first other entry in each segment, so that a segment stands alone.
	// Base is the declaration's Next.
	KindDeclare
	// KindTruncateBefore drops the partition's records below Base.
	KindTruncateBefore
	// KindTruncateAfter drops the partition's records from Base on.
	KindTruncateAfter
	// KindLost says that Gap offsets were lost and given up by a repair; Base is next.
	KindLost
	// KindProducer states what the partition knows of a producer; see Producer. It comes behind
	// the batch that it is about, or behind a declaration.
	KindProducer
)

func (k Kind) String() string {
	switch k {
	case KindData:
		return "data"
	case KindDeclare:
		return "declare"
	case KindTruncateBefore:
		return "truncate-before"
	case KindTruncateAfter:
		return "truncate-after"
	case KindLost:
		return "lost"
	case KindProducer:
		return "producer"
	}
	return fmt.Sprintf("kind %d", uint8(k))
}

func (k Kind) known() bool { return k >= KindData && k <= KindProducer }

// HasLSN reports whether entries of this kind take an LSN.
func (k Kind) HasLSN() bool { return k != KindDeclare && k != KindProducer }

// FlagMoved marks a data batch that holds older records of a lagging partition again,
// so that the segment they stood in can go. Its offsets lie below the next one.
const FlagMoved uint16 = 1

// FlagGapLost marks a KindTruncateAfter entry whose Gap had records that a repair gave up.
const FlagGapLost uint16 = 2

// FlagTransaction marks a data batch that is of one transaction with the entry before it in the
// frame, which is a data batch too. Neither is a moved one. Runs do not have it.
const FlagTransaction uint16 = 4

// FlagKey marks a KindDeclare entry whose declaration the segment's Key follows, again: so that a
// header that is lost does not take the batches with it.
const FlagKey uint16 = 8

// flags are those that entries of a kind may have.
func (k Kind) flags() uint16 {
	switch k {
	case KindData:
		return FlagMoved | FlagTransaction
	case KindDeclare:
		return FlagKey
	case KindTruncateAfter:
		return FlagGapLost
	}
	return 0
}

// The codec ids that the format knows. Others from 32 to 62 are the application's.
const (
	// CodecNone is that of records stored as they are.
	CodecNone uint8 = iota
	// CodecLZ4 is the LZ4 block format.
	CodecLZ4
	// CodecZstd is a Zstandard frame.
	CodecZstd
	// CodecS2 is an S2 block.
	CodecS2
	// CodecZstdDict is a Zstandard frame that names the dictionary it was compressed with.
	CodecZstdDict
)

// CodecName returns the name of a codec that the format knows, "" of another one.
func CodecName(id uint8) string {
	switch id {
	case CodecNone:
		return "none"
	case CodecLZ4:
		return "lz4"
	case CodecZstd:
		return "zstd"
	case CodecS2:
		return "s2"
	case CodecZstdDict:
		return "zstd-dict"
	}
	return ""
}

// Entry is one entry of a frame's directory.
type Entry struct {
	// Partition is the partition's id in this log, never 0.
	Partition uint32
	Kind      Kind
	// Codec is how the data is stored; CodecNone for control entries.
	Codec uint8
	Flags uint16
	// Base is the offset of a batch's first record; for control entries see Kind.
	Base int64
	// Gap is how many offsets directly below Base have no record, declared so. 0 in
	// declarations and truncations.
	Gap int64
	// Count is the number of records; 0 in control entries.
	Count int
	// Length is the size of the data as stored, bytes; 0 but for batches and
	// declarations.
	Length int64
	// RawLength is the size of the data decoded, bytes, at most MaxFrame.
	RawLength int64
	// CRC is the checksum of the data as stored, of the segment's kind; 0 where there is none.
	CRC uint32
	// MaxTimestamp is the latest of the records', nanoseconds since 1970 UTC; 0 in
	// control entries.
	MaxTimestamp int64
}

// End is the offset behind the entry's last record.
func (e Entry) End() int64 { return e.Base + int64(e.Count) }

// The layout of an entry:
//
//	 0  partition id     4
//	 4  kind             1
//	 5  codec            1
//	 6  flags            2
//	 8  base offset      8
//	16  gap              8
//	24  count            4
//	28  length           4
//	32  raw length       4
//	36  CRC of the data  4
//	40  max timestamp    8
const (
	entKind    = 4
	entCodec   = 5
	entFlags   = 6
	entBase    = 8
	entGap     = 16
	entCount   = 24
	entLength  = 28
	entRaw     = 32
	entCRC     = 36
	entMaxTime = 40
)

// PutEntry writes e to b, which has at least EntrySize bytes.
func PutEntry(b []byte, e Entry) {
	b = b[:EntrySize]
	le.PutUint32(b[0:], e.Partition)
	b[entKind] = byte(e.Kind)
	b[entCodec] = e.Codec
	le.PutUint16(b[entFlags:], e.Flags)
	le.PutUint64(b[entBase:], uint64(e.Base))
	le.PutUint64(b[entGap:], uint64(e.Gap))
	le.PutUint32(b[entCount:], uint32(e.Count))
	le.PutUint32(b[entLength:], uint32(e.Length))
	le.PutUint32(b[entRaw:], uint32(e.RawLength))
	le.PutUint32(b[entCRC:], e.CRC)
	le.PutUint64(b[entMaxTime:], uint64(e.MaxTimestamp))
}

func readEntry(b []byte) Entry {
	return Entry{
		Partition:    le.Uint32(b[0:]),
		Kind:         Kind(b[entKind]),
		Codec:        b[entCodec],
		Flags:        le.Uint16(b[entFlags:]),
		Base:         int64(le.Uint64(b[entBase:])),
		Gap:          int64(le.Uint64(b[entGap:])),
		Count:        int(le.Uint32(b[entCount:])),
		Length:       int64(le.Uint32(b[entLength:])),
		RawLength:    int64(le.Uint32(b[entRaw:])),
		CRC:          le.Uint32(b[entCRC:]),
		MaxTimestamp: int64(le.Uint64(b[entMaxTime:])),
	}
}

func (e Entry) check() error {
	switch {
	case !e.Kind.known() || e.Flags&^e.Kind.flags() != 0:
		return fmt.Errorf("%w: entry of %v with flags %#x", ErrVersion, e.Kind, e.Flags)
	case e.Partition == 0:
		return fmt.Errorf("%w: entry without a partition", ErrCorrupt)
	case e.Kind == KindProducer:
		return e.checkProducer()
	case e.Base < 0 || e.Gap < 0 || e.Gap > e.Base || e.Base > math.MaxInt64-int64(e.Count):
		return fmt.Errorf("%w: entry with base offset %d, gap %d, count %d", ErrCorrupt, e.Base, e.Gap, e.Count)
	case e.RawLength > MaxFrame || e.Codec == CodecNone && e.Length != e.RawLength:
		return fmt.Errorf("%w: %v entry of %d bytes is stored in %d", ErrCorrupt, e.Kind, e.RawLength, e.Length)
	case e.Codec == CodecSealed && e.Length != e.RawLength+SealOverhead, e.Codec&CodecSealed != 0 && e.Length < SealOverhead:
		return fmt.Errorf("%w: %v entry of %d bytes is sealed in %d", ErrCorrupt, e.Kind, e.RawLength, e.Length)
	case e.Kind != KindData:
		return e.checkControl()
	case e.Count < 1 || e.RawLength < int64(e.Count)*recordFixed:
		return fmt.Errorf("%w: batch of %d records in %d bytes", ErrCorrupt, e.Count, e.RawLength)
	}
	return nil
}

// checkControl checks that just the fields are in use that the kind gives a meaning:
// the others are free for later versions as long as nothing has been written there.
func (e Entry) checkControl() error {
	used := Entry{Partition: e.Partition, Kind: e.Kind, Base: e.Base}
	switch e.Kind {
	case KindDeclare:
		used.Length, used.RawLength, used.CRC, used.Flags = e.Length, e.Length, e.CRC, e.Flags
		longest := int64(declareFixed + MaxTopic)
		if e.Flags&FlagKey != 0 {
			longest += keyFixed + MaxWrappedKey
		}
		if e.Length <= declareFixed || e.Length > longest {
			return fmt.Errorf("%w: declaration of %d bytes", ErrCorrupt, e.Length)
		}
	case KindTruncateAfter:
		used.Gap, used.Flags = e.Gap, e.Flags
		if e.Flags != 0 && e.Gap == 0 {
			return fmt.Errorf("%w: %v entry with gap %d, flags %#x", ErrCorrupt, e.Kind, e.Gap, e.Flags)
		}
	case KindLost:
		used.Gap = e.Gap
		if e.Gap == 0 {
			return fmt.Errorf("%w: lost entry of no offsets at %d", ErrCorrupt, e.Base)
		}
	}
	if e != used {
		return fmt.Errorf("%w: %v entry with fields it does not use: %+v", ErrVersion, e.Kind, e)
	}
	return nil
}

// ReadDirectory reads the directory of the frame that h opens from b, which holds just
// the directory, and appends its entries to dst. Every entry is checked, also that their
// data fills the frame. Its error wraps ErrCorrupt or ErrVersion.
func ReadDirectory(dst []Entry, h FrameHeader, b []byte) ([]Entry, error) {
	if int64(len(b)) != int64(h.Entries)*EntrySize {
		return dst, fmt.Errorf("%w: directory of %d bytes for %d entries", ErrCorrupt, len(b), h.Entries)
	}
	if got := CRC(b); got != h.DirectoryCRC {
		return dst, fmt.Errorf("%w: frame directory: CRC is %08x, should be %08x", ErrCorrupt, got, h.DirectoryCRC)
	}
	data, from := int64(0), len(dst)
	for ; len(b) > 0; b = b[EntrySize:] {
		e := readEntry(b)
		if err := e.check(); err != nil {
			return dst, err
		}
		if e.Flags&FlagTransaction != 0 && !e.continues(dst[from:]) {
			return dst, fmt.Errorf("%w: the batch at offset %d goes on with a transaction that does not begin", ErrCorrupt, e.Base)
		}
		data += e.Length
		dst = append(dst, e)
	}
	if want := h.DirectoryAt() - FrameHeaderSize; data != want {
		return dst, fmt.Errorf("%w: frame directory: data of %d bytes in a space of %d", ErrCorrupt, data, want)
	}
	return dst, nil
}

// continues reports whether an entry can be of one transaction with the last of those before it.
func (e Entry) continues(before []Entry) bool {
	if len(before) == 0 {
		return false
	}
	last := before[len(before)-1]
	return last.Kind == KindData && (last.Flags|e.Flags)&FlagMoved == 0
}
