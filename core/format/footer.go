package format

// TrailerSize is the size of the trailer, which ends the footer and so the file.
const TrailerSize = 128

var footerMagic = [8]byte{'C', 'H', 'R', 'N', 'K', 'E', 'N', 'D'}

// Footer seals a segment: it holds all that recovery needs of it, and an index.
type Footer struct {
	Number uint64
	Epoch  uint64
	// End is where the segment ends: what its successor names as its predecessor.
	End Link
	// BodyAt is the position of the footer: behind the last frame.
	BodyAt int64
	// Repaired says that the segment was rebuilt from a damaged one: End is where that
	// one ended, BodyAt where this one's frames do.
	Repaired bool
	Frames   int64
	Records  int64
	// MaxTimestamp is the latest of the records', nanoseconds; 0 without records.
	MaxTimestamp int64
	// XXH64 is the hash (seed 0) of the segment up to BodyAt, for scrubbing and copies.
	XXH64 uint64
	// Partitions are in the order of their ids.
	Partitions []FooterPartition
}

// FooterPartition is what a segment holds of one partition.
type FooterPartition struct {
	ID uint32
	// Declaration is the partition's state at its declaration in this segment.
	Declaration
	Stored
	// Runs are the partition's entries in LSN order, neighbouring batches as one.
	Runs []Run
	// Producers are those that the partition knows at the segment's end, by their last append.
	Producers []Producer
	// Index points at some of the batches, in the order of offset, then position.
	Index []IndexEntry
}

// Stored says how batches are stored.
type Stored struct {
	// Bytes is what they take, RawBytes what they would without a codec.
	Bytes    int64
	RawBytes int64
	// Codecs has bit c set for each codec c that one of them has.
	Codecs uint64
}

// Add takes in a batch.
func (s *Stored) Add(e Entry) {
	s.Bytes += e.Length
	s.RawBytes += e.RawLength
	s.Codecs |= 1 << (e.Codec &^ CodecSealed & 63)
}

// Run is consecutive data batches of one partition, or one control entry.
type Run struct {
	Kind  Kind
	Flags uint16
	// Base and End bound the offsets, End exclusive; equal for control entries.
	Base int64
	End  int64
	// Gap is the Gap of the first entry.
	Gap int64
	// LSN is that of the first entry.
	LSN uint64
}

// IndexEntry says that the frame at Position holds a batch with base offset Offset.
type IndexEntry struct {
	Offset   int64
	Position int64
	// MaxTimestamp is the latest of the partition's records up to this batch, itself
	// included, in this segment.
	MaxTimestamp int64
}

// The footer's body is the partitions one behind the other:
//
//	 0  partition id             4
//	 4  number of runs           4
//	 8  number of index entries  4
//	12  bytes of the batches     8
//	20  bytes before compression 8
//	28  codecs, bit c: codec c   8
//	36  number of producers      4
//	40  declaration              see Declaration
//	    runs                     40 each
//	    index entries            24 each
//	    producers                48 each, as entries
//
// A run:
//
//	 0  kind    1
//	 1  zero    1
//	 2  flags   2
//	 4  zero    4
//	 8  base    8
//	16  end     8
//	24  gap     8
//	32  LSN     8
//
// An index entry:
//
//	 0  offset         8
//	 8  position       8
//	16  max timestamp  8
//
// The trailer, the last 128 bytes of the file:
//
//	  0  magic "CHRNKEND"         8
//	  8  version                  2
//	 10  flags, 1: repaired       2
//	 12  number of partitions     4
//	 16  segment number           8
//	 24  epoch                    8
//	 32  position of the body     8
//	 40  length of the body       8
//	 48  end of the segment      28  a link
//	 76  CRC of the body          4
//	 80  frames                   8
//	 88  records                  8
//	 96  max timestamp            8
//	104  XXH64                    8
//	112  zeros                   12
//	124  CRC of the above         4
//
// Zeros lie between body and trailer so that the trailer ends on the alignment.
const (
	ftrVersion    = 8
	ftrFlags      = 10
	ftrPartitions = 12
	ftrNumber     = 16
	ftrEpoch      = 24
	ftrBodyAt     = 32
	ftrBodyLen    = 40
	ftrEnd        = 48
	ftrBodyCRC    = 76
	ftrFrames     = 80
	ftrRecords    = 88
	ftrMaxTime    = 96
	ftrXXH64      = 104
	ftrReserved   = 112
	ftrCRC        = 124

	footerFixed  = 40
	footerRuns   = 4
	footerIndex  = 8
	footerBytes  = 12
	footerRaw    = 20
	footerCodecs = 28
	footerKnown  = 36

	runKind  = 0
	runFlags = 2
	runBase  = 8
	runEnd   = 16
	runGap   = 24
	runLSN   = 32
	runSize  = 40

	indexPosition = 8
	indexMaxTime  = 16
	indexSize     = 24

	flagRepaired = 1
)

// AppendFooter appends the footer to b, padded so that it fills a multiple of align.
func AppendFooter(b []byte, f *Footer, align int64) []byte {
	start := len(b)
	for i := range f.Partitions {
		b = appendFooterPartition(b, &f.Partitions[i])
	}
	body := b[start:]
	total := AlignUp(int64(len(body))+TrailerSize, align)
	b = append(b, make([]byte, total-int64(len(body)))...)
	t := b[len(b)-TrailerSize:]
	copy(t, footerMagic[:])
	le.PutUint16(t[ftrVersion:], Version)
	if f.Repaired {
		le.PutUint16(t[ftrFlags:], flagRepaired)
	}
	le.PutUint32(t[ftrPartitions:], uint32(len(f.Partitions)))
	le.PutUint64(t[ftrNumber:], f.Number)
	le.PutUint64(t[ftrEpoch:], f.Epoch)
	le.PutUint64(t[ftrBodyAt:], uint64(f.BodyAt))
	le.PutUint64(t[ftrBodyLen:], uint64(len(body)))
	putLink(t[ftrEnd:], f.End)
	le.PutUint32(t[ftrBodyCRC:], CRC(body))
	le.PutUint64(t[ftrFrames:], uint64(f.Frames))
	le.PutUint64(t[ftrRecords:], uint64(f.Records))
	le.PutUint64(t[ftrMaxTime:], uint64(f.MaxTimestamp))
	le.PutUint64(t[ftrXXH64:], f.XXH64)
	le.PutUint32(t[ftrCRC:], CRC(t[:ftrCRC]))
	return b
}

func appendFooterPartition(b []byte, p *FooterPartition) []byte {
	b = le.AppendUint32(b, p.ID)
	b = le.AppendUint32(b, uint32(len(p.Runs)))
	b = le.AppendUint32(b, uint32(len(p.Index)))
	b = le.AppendUint64(b, uint64(p.Bytes))
	b = le.AppendUint64(b, uint64(p.RawBytes))
	b = le.AppendUint64(b, p.Codecs)
	b = le.AppendUint32(b, uint32(len(p.Producers)))
	b = AppendDeclaration(b, p.Declaration)
	for i := range p.Runs {
		b = appendRun(b, &p.Runs[i])
	}
	for _, x := range p.Index {
		b = le.AppendUint64(b, uint64(x.Offset))
		b = le.AppendUint64(b, uint64(x.Position))
		b = le.AppendUint64(b, uint64(x.MaxTimestamp))
	}
	for _, x := range p.Producers {
		var e [EntrySize]byte
		PutEntry(e[:], x.Entry(p.ID))
		b = append(b, e[:]...)
	}
	return b
}

func appendRun(b []byte, r *Run) []byte {
	b = append(b, byte(r.Kind), 0)
	b = le.AppendUint16(b, r.Flags)
	b = le.AppendUint32(b, 0)
	b = le.AppendUint64(b, uint64(r.Base))
	b = le.AppendUint64(b, uint64(r.End))
	b = le.AppendUint64(b, uint64(r.Gap))
	return le.AppendUint64(b, r.LSN)
}
