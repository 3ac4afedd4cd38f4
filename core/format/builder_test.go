package format

import (
	"time"

	"github.com/cespare/xxhash/v2"
)

// builder writes a segment frame by frame the way the engine does, but in plain sight
// and one step after the other: the reference that golden files are made with.
type builder struct {
	header SegmentHeader
	b      []byte
	chain  uint32
	lsn    uint64 // of the last entry
}

// batch is one directory entry and what it is about.
type batch struct {
	Entry
	declare *Declaration
	records []Record
}

func newBuilder(h SegmentHeader) *builder {
	s := &builder{header: h, b: make([]byte, HeaderSize), chain: h.Predecessor.Chain, lsn: h.Predecessor.LSN}
	PutSegmentHeader(s.b, h)
	return s
}

// data encodes what the batch is about and fills in the fields that follow from it.
func (e *batch) data() []byte {
	if e.declare != nil {
		d := AppendDeclaration(nil, *e.declare)
		e.Base = e.declare.Next
		e.Length, e.RawLength, e.CRC = int64(len(d)), int64(len(d)), CRC(d)
		return d
	}
	if e.Kind == KindProducer {
		return nil
	}
	var d []byte
	for i := range e.records {
		r := &e.records[i]
		d = append(d, make([]byte, RecordSize(r))...)
		PutRecord(d[len(d)-int(RecordSize(r)):], r, r.Timestamp.UnixNano())
		if ns := r.Timestamp.UnixNano(); i == 0 || ns > e.MaxTimestamp {
			e.MaxTimestamp = ns
		}
	}
	e.Count, e.Length, e.RawLength, e.CRC = len(e.records), int64(len(d)), int64(len(d)), CRC(d)
	return d
}

// frame appends a frame and returns its position.
func (s *builder) frame(durable uint64, batches ...batch) int64 {
	h := FrameHeader{
		Entries:  len(batches),
		Epoch:    s.header.Epoch,
		LSN:      s.lsn + 1,
		Durable:  durable,
		Position: int64(len(s.b)),
		Chain:    s.chain,
	}
	f := make([]byte, FrameHeaderSize)
	directory := make([]byte, 0, len(batches)*EntrySize)
	for i := range batches {
		f = append(f, batches[i].data()...)
		var e [EntrySize]byte
		PutEntry(e[:], batches[i].Entry)
		directory = append(directory, e[:]...)
		if batches[i].Kind.HasLSN() {
			s.lsn++
		}
	}
	f = append(f, directory...)
	h.Length, h.DirectoryCRC = int64(len(f)), CRC(directory)
	s.chain = PutFrameHeader(f, h)
	s.b = append(s.b, f...)
	s.b = append(s.b, make([]byte, AlignUp(int64(len(s.b)), s.header.Alignment)-int64(len(s.b)))...)
	return h.Position
}

// end is where the segment ends by now.
func (s *builder) end() Link {
	return Link{Segment: s.header.Number, End: int64(len(s.b)), LSN: s.lsn, Chain: s.chain}
}

// seal appends the footer, filling in what follows from the frames.
func (s *builder) seal(f Footer) {
	f.Number, f.Epoch, f.End = s.header.Number, s.header.Epoch, s.end()
	f.BodyAt, f.XXH64 = f.End.End, xxhash.Sum64(s.b)
	s.b = AppendFooter(s.b, &f, s.header.Alignment)
}

func nanos(ns int64) time.Time { return time.Unix(0, ns) }
