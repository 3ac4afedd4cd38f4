package format

import (
	"fmt"
	"math"
)

// Trailer is what the last bytes of a sealed segment tell: the Footer without its
// partitions, and where those are.
type Trailer struct {
	Footer
	BodyLength int64
	partitions int
	bodyCRC    uint32
}

// ReadTrailer reads the trailer in the last TrailerSize bytes of b. Its error wraps
// ErrCorrupt or ErrVersion; most often it says only that the segment is not sealed.
func ReadTrailer(b []byte) (Trailer, error) {
	if len(b) < TrailerSize {
		return Trailer{}, fmt.Errorf("%w: trailer: %d bytes of %d", ErrCorrupt, len(b), TrailerSize)
	}
	b = b[len(b)-TrailerSize:]
	if [8]byte(b) != footerMagic {
		return Trailer{}, fmt.Errorf("%w: no trailer: magic %x", ErrCorrupt, b[:8])
	}
	if got, want := CRC(b[:ftrCRC]), le.Uint32(b[ftrCRC:]); got != want {
		return Trailer{}, fmt.Errorf("%w: trailer: CRC is %08x, should be %08x", ErrCorrupt, got, want)
	}
	if v := le.Uint16(b[ftrVersion:]); v != Version {
		return Trailer{}, fmt.Errorf("%w %d of segment footer (this program knows %d)", ErrVersion, v, Version)
	}
	t := Trailer{
		Footer: Footer{
			Number:       le.Uint64(b[ftrNumber:]),
			Epoch:        le.Uint64(b[ftrEpoch:]),
			End:          readLink(b[ftrEnd:]),
			BodyAt:       int64(le.Uint64(b[ftrBodyAt:])),
			Repaired:     le.Uint16(b[ftrFlags:])&flagRepaired != 0,
			Frames:       int64(le.Uint64(b[ftrFrames:])),
			Records:      int64(le.Uint64(b[ftrRecords:])),
			MaxTimestamp: int64(le.Uint64(b[ftrMaxTime:])),
			XXH64:        le.Uint64(b[ftrXXH64:]),
		},
		BodyLength: int64(le.Uint64(b[ftrBodyLen:])),
		partitions: int(le.Uint32(b[ftrPartitions:])),
		bodyCRC:    le.Uint32(b[ftrBodyCRC:]),
	}
	if le.Uint16(b[ftrFlags:])&^flagRepaired != 0 || !allZero(b[ftrReserved:ftrCRC]) {
		return t, fmt.Errorf("%w: trailer: flags %#x or reserved bytes in use", ErrVersion, le.Uint16(b[ftrFlags:]))
	}
	return t, t.check()
}

func (t Trailer) check() error {
	switch {
	case t.Number == 0 || t.Epoch == 0 || t.Frames < 0 || t.Records < 0:
		return fmt.Errorf("%w: trailer: segment %d, epoch %d, %d frames, %d records", ErrCorrupt, t.Number, t.Epoch, t.Frames, t.Records)
	case t.BodyAt < HeaderSize || t.BodyAt%MinAlignment != 0 ||
		t.BodyLength < 0 || t.BodyLength > math.MaxInt64-t.BodyAt-TrailerSize-MaxAlignment:
		return fmt.Errorf("%w: trailer: body of %d bytes at %d", ErrCorrupt, t.BodyLength, t.BodyAt)
	case t.partitions < 0 || int64(t.partitions)*(footerFixed+declareFixed) > t.BodyLength:
		return fmt.Errorf("%w: trailer: %d partitions in %d bytes", ErrCorrupt, t.partitions, t.BodyLength)
	case t.End.Segment != t.Number || !t.End.valid() || (!t.Repaired && t.End.End != t.BodyAt):
		return fmt.Errorf("%w: trailer: segment %d with frames up to %d ends at %+v", ErrCorrupt, t.Number, t.BodyAt, t.End)
	}
	return nil
}

// ReadBody reads the footer's body from b, which holds just that, and returns the whole
// footer. Its error wraps ErrCorrupt or ErrVersion.
func (t Trailer) ReadBody(b []byte) (*Footer, error) {
	if int64(len(b)) != t.BodyLength {
		return nil, fmt.Errorf("%w: footer: %d bytes of %d", ErrCorrupt, len(b), t.BodyLength)
	}
	if got := CRC(b); got != t.bodyCRC {
		return nil, fmt.Errorf("%w: footer: CRC is %08x, should be %08x", ErrCorrupt, got, t.bodyCRC)
	}
	f := t.Footer
	f.Partitions = make([]FooterPartition, t.partitions)
	for i := range f.Partitions {
		var err error
		p := &f.Partitions[i]
		if b, err = readFooterPartition(p, b, t.BodyAt); err != nil {
			return nil, fmt.Errorf("footer, partition %d of %d: %w", i+1, t.partitions, err)
		}
		if i > 0 && p.ID <= f.Partitions[i-1].ID {
			return nil, fmt.Errorf("%w: footer: partition id %d behind %d", ErrCorrupt, p.ID, f.Partitions[i-1].ID)
		}
	}
	if len(b) != 0 {
		return nil, fmt.Errorf("%w: footer: %d bytes too many", ErrCorrupt, len(b))
	}
	return &f, nil
}

// readFooterPartition reads the partition at the start of b in the footer of a segment
// whose frames lie before end.
func readFooterPartition(p *FooterPartition, b []byte, end int64) (rest []byte, err error) {
	if len(b) < footerFixed {
		return nil, fmt.Errorf("%w: %d bytes of %d", ErrCorrupt, len(b), footerFixed)
	}
	p.ID = le.Uint32(b)
	runs, index := int64(le.Uint32(b[footerRuns:])), int64(le.Uint32(b[footerIndex:]))
	producers := int64(le.Uint32(b[footerKnown:]))
	p.Stored = Stored{
		Bytes:    int64(le.Uint64(b[footerBytes:])),
		RawBytes: int64(le.Uint64(b[footerRaw:])),
		Codecs:   le.Uint64(b[footerCodecs:]),
	}
	if p.Bytes < 0 || p.RawBytes < 0 || (p.Codecs == 0) != (p.RawBytes == 0) {
		return nil, fmt.Errorf("%w: batches of %d bytes, %d before compression, codecs %#x", ErrCorrupt, p.Bytes, p.RawBytes, p.Codecs)
	}
	if p.Declaration, b, err = ReadDeclaration(b[footerFixed:]); err != nil {
		return nil, err
	}
	if p.ID == 0 || runs*runSize+index*indexSize+producers*EntrySize > int64(len(b)) {
		return nil, fmt.Errorf("%w: id %d, %d runs, %d index entries, %d producers in %d bytes",
			ErrCorrupt, p.ID, runs, index, producers, len(b))
	}
	p.Runs = make([]Run, runs)
	lsn := uint64(0)
	for i := range p.Runs {
		r := &p.Runs[i]
		if *r, err = readRun(b); err != nil {
			return nil, err
		}
		if r.LSN <= lsn {
			return nil, fmt.Errorf("%w: run with LSN %d behind one with %d", ErrCorrupt, r.LSN, lsn)
		}
		b, lsn = b[runSize:], r.LSN
	}
	p.Index = make([]IndexEntry, index)
	last := IndexEntry{}
	for i := range p.Index {
		x := IndexEntry{
			Offset:       int64(le.Uint64(b)),
			Position:     int64(le.Uint64(b[indexPosition:])),
			MaxTimestamp: int64(le.Uint64(b[indexMaxTime:])),
		}
		behind := x.Offset > last.Offset || x.Offset == last.Offset && x.Position > last.Position
		if !behind || x.Position < HeaderSize || x.Position >= end {
			return nil, fmt.Errorf("%w: index entry %+v behind %+v, frames end at %d", ErrCorrupt, x, last, end)
		}
		p.Index[i], last, b = x, x, b[indexSize:]
	}
	p.Producers, b, err = readProducers(p.ID, producers, b)
	return b, err
}

func readRun(b []byte) (Run, error) {
	r := Run{
		Kind:  Kind(b[runKind]),
		Flags: le.Uint16(b[runFlags:]),
		Base:  int64(le.Uint64(b[runBase:])),
		End:   int64(le.Uint64(b[runEnd:])),
		Gap:   int64(le.Uint64(b[runGap:])),
		LSN:   le.Uint64(b[runLSN:]),
	}
	if b[runKind+1] != 0 || le.Uint32(b[runFlags+2:]) != 0 {
		return r, fmt.Errorf("%w: run with reserved bytes in use", ErrVersion)
	}
	return r, r.check()
}

func (r Run) check() error {
	control := r.Kind != KindData
	switch {
	case !r.Kind.known() || !r.Kind.HasLSN() || r.Flags&^(r.Kind.flags()&^FlagTransaction) != 0:
		return fmt.Errorf("%w: run of %v with flags %#x", ErrVersion, r.Kind, r.Flags)
	case r.Base < 0 || r.Gap < 0 || r.Gap > r.Base || r.End < r.Base || control != (r.End == r.Base):
		return fmt.Errorf("%w: run %+v", ErrCorrupt, r)
	case r.Kind == KindTruncateBefore && r.Gap > 0, r.Kind == KindLost && r.Gap == 0, r.Flags&FlagGapLost != 0 && r.Gap == 0:
		return fmt.Errorf("%w: %v run with gap %d, flags %#x", ErrCorrupt, r.Kind, r.Gap, r.Flags)
	}
	return nil
}
