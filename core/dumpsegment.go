package wal

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/chronik-go/wal/core/backend"
	"github.com/chronik-go/wal/core/format"
)

// segment shows a segment.
func (d *dumper) segment(f backend.File, size int64) error {
	g := &segment{path: d.path, file: f}
	g.size.Store(size)
	if err := d.showHeader(g); err != nil || g.Epoch == 0 {
		return err
	}
	limit := size
	trailer, sealed := g.readTrailer(size)
	if sealed {
		limit = trailer.BodyAt
	}
	if err := d.frames(g, limit, sealed); err != nil {
		return err
	}
	if sealed {
		return d.footer(g, trailer)
	}
	return nil
}

func (d *dumper) showHeader(g *segment) error {
	b := make([]byte, min(g.size.Load(), format.HeaderSize))
	if _, err := g.file.ReadAt(b, 0); err != nil && len(b) > 0 {
		return fmt.Errorf("read %s: %w", d.path, err)
	}
	h, err := format.ReadSegmentHeader(b)
	if err != nil {
		number, _ := parseSegmentName(d.path[len(d.path)-segmentDigits-len(segmentSuffix):])
		guessHeader(g, number)
		d.header = g.SegmentHeader
		return d.item(DumpHeader, 0, int64(len(b)), DumpItem{}, err)
	}
	g.SegmentHeader, d.header = h, h
	return d.item(DumpHeader, 0, format.HeaderSize, DumpItem{Header: &DumpHeaderInfo{
		Log: fmt.Sprintf("%x", h.Log), Number: h.Number, Epoch: Hex64(h.Epoch), Checksum: h.Checksum.String(), Alignment: h.Alignment,
		FirstLSN: h.FirstLSN, Created: time.Unix(0, h.Created).UTC(), Predecessor: dumpLink(h.Predecessor),
		Key: dumpKey(h.Key),
	}}, nil)
}

// frames shows the frames below a limit. Where no sound frame stands it goes on at the next
// one; behind the last one of a segment that is not sealed it tells what the rest is.
func (d *dumper) frames(g *segment, limit int64, sealed bool) error {
	r := frameReader{
		window: window{file: g.file, limit: limit, chunk: windowSize, fresh: true},
		epoch:  g.Epoch, sum: g.Checksum, alignment: g.Alignment, position: format.HeaderSize, loose: true,
	}
	for {
		f, err := r.next()
		var bad *badFrame
		switch {
		case errors.Is(err, io.EOF) && (r.position >= limit || !sealed):
			return nil
		case errors.Is(err, io.EOF):
			return d.bad(r.position, limit-r.position, errors.New("the segment ends too early"))
		case errors.Is(err, io.ErrUnexpectedEOF):
			return nil // a running writer has just sealed the segment
		case errors.As(err, &bad):
			behind, err := r.search(bad.position + r.alignment)
			if err != nil {
				return fmt.Errorf("read %s: %w", d.path, err)
			}
			if behind == nil && !sealed {
				return d.item(DumpRest, bad.position, limit-bad.position, DumpItem{Note: restNote(&r, bad)}, nil)
			}
			end := limit
			if behind != nil {
				end = behind.Position
			}
			if err := d.bad(bad.position, end-bad.position, bad); err != nil {
				return err
			}
			r.position = end
		case err != nil:
			return fmt.Errorf("read %s: %w", g.at(r.position), err)
		default:
			if err := d.frame(f); err != nil {
				return err
			}
		}
	}
}

// restNote says what stands behind the last frame. None of it was acknowledged.
func restNote(r *frameReader, bad *badFrame) string {
	b, err := r.bytes(bad.position, format.FrameHeaderSize)
	switch {
	case err == nil && bytes.Count(b, []byte{0}) == len(b):
		return "unwritten space"
	case !bad.ours && bad.length > 0:
		return bad.reason
	}
	return "an unfinished write: " + bad.reason
}

func (d *dumper) frame(f *frame) error {
	err := d.item(DumpFrame, f.Position, f.Length, DumpItem{Frame: &DumpFrameInfo{
		Entries: f.Entries, LSN: f.LSN, Durable: f.Durable, Epoch: Hex64(f.Epoch), Chain: f.Chain, CRC: f.FrameHeader.CRC,
	}}, nil)
	if err != nil {
		return err
	}
	at := f.Position + format.FrameHeaderSize
	return f.each(func(e format.Entry, lsn uint64, data []byte) error {
		position := at
		at += e.Length
		return d.entry(e, lsn, position, data)
	})
}

// entry shows an entry, whose data stands at a position, and its records.
func (d *dumper) entry(e format.Entry, lsn uint64, position int64, data []byte) error {
	problem := format.CheckData(d.header.Checksum, e, data)
	info := &DumpEntryInfo{
		PartitionID: e.Partition, LSN: lsn, Base: e.Base, Gap: e.Gap, Count: e.Count, Codec: e.Codec,
		CodecName: codecName(e.Codec &^ format.CodecSealed), Sealed: e.Codec&format.CodecSealed != 0,
		RawLength: e.RawLength, CRC: e.CRC, Moved: e.Flags&format.FlagMoved != 0,
		Transaction: e.Flags&format.FlagTransaction != 0,
	}
	if e.Kind == format.KindData {
		info.MaxTimestamp = time.Unix(0, e.MaxTimestamp).UTC()
	}
	if e.Kind == format.KindProducer {
		p := e.Producer()
		info.LSN, info.Gap, info.Producer, info.Sequence = 0, 0, Hex64(p.ID), p.First
	}
	if e.Kind == format.KindDeclare {
		info.LSN = 0
		if problem == nil {
			var decl format.Declaration
			if decl, _, problem = format.ReadDeclaration(data); problem == nil {
				d.names[e.Partition] = decl
				info.First = decl.First
			}
		}
	}
	name := d.names[e.Partition]
	info.Topic, info.Partition = name.Topic, name.Partition
	item := DumpItem{Entry: info}
	if e.Kind != format.KindData || problem != nil {
		return d.item(DumpKind(e.Kind.String()), position, e.Length, item, problem)
	}
	b := &stored{e, lsn, name.Topic, name.Partition, &d.header, data}
	raw, unread := d.cfg.decode(nil, b)
	locked := d.locked(b, unread)
	if locked && d.cfg.keys != nil {
		item.Note = "no key that was given opens it"
	}
	if err := d.item(DumpData, position, e.Length, item, nil); err != nil || locked {
		return err
	}
	if unread != nil {
		return d.bad(position, e.Length, unread)
	}
	return d.records(b, raw, position)
}

// locked reports whether a batch cannot be read because its key is not there, which is no damage, and
// keeps the error for the end if keys were given. A batch that names another key than its segment's
// header does is not what was written there.
func (d *dumper) locked(b *stored, err error) bool {
	if !errors.Is(err, ErrKey) {
		return false
	}
	if d.cfg.keys == nil {
		return true // nobody asked for what is in it
	}
	head, readErr := format.ReadSeal(b.data)
	if readErr != nil || b.seg.Key == nil || b.seg.Key.ID != head.Key {
		return false
	}
	if d.misfit == nil {
		d.misfit = fmt.Errorf("not all records were shown: segment %s: %w", d.path, err)
	}
	return true
}

// records shows the records of a batch. Those of a batch that is compressed or encrypted
// have the batch's place.
func (d *dumper) records(e *stored, raw []byte, position int64) error {
	for offset := e.Base; offset < e.End(); offset++ {
		rec, rest, err := format.ReadRecord(raw)
		if err != nil {
			return d.bad(position, e.Length, fmt.Errorf("record at offset %d: %w", offset, err))
		}
		info := &DumpRecordInfo{
			Topic: e.topic, Partition: e.partition, Offset: offset, Timestamp: rec.Timestamp.UTC(),
			Key: rec.Key, Value: rec.Value, Headers: make([]DumpRecordHeader, 0, len(rec.Headers)),
		}
		for _, h := range rec.Headers {
			info.Headers = append(info.Headers, DumpRecordHeader{Key: h.Key, Value: h.Value})
		}
		at, length := position, e.Length
		if e.Codec == format.CodecNone {
			length = int64(len(raw) - len(rest))
			position += length
		}
		if err := d.item(DumpRecord, at, length, DumpItem{Record: info}, nil); err != nil {
			return err
		}
		raw = rest
	}
	return nil
}

// footer shows a segment's footer.
func (d *dumper) footer(g *segment, t format.Trailer) error {
	f, problem := g.loadFooter(t)
	if problem != nil && !errors.Is(problem, format.ErrCorrupt) {
		return problem
	}
	if problem == nil {
		switch whole, err := g.footerPadded(t); {
		case err != nil:
			return err
		case !whole:
			problem = fmt.Errorf("%w: the padding of the footer is not zeros, so it counts as none", format.ErrCorrupt)
		}
	}
	n := 0
	if f != nil {
		n = len(f.Partitions)
	}
	info := &DumpFooterInfo{
		BodyAt: t.BodyAt, Repaired: t.Repaired, Frames: t.Frames, Records: t.Records,
		XXH64: Hex64(t.XXH64), Partitions: n, End: dumpLink(t.End),
	}
	if t.Records > 0 {
		info.MaxTimestamp = time.Unix(0, t.MaxTimestamp).UTC()
	}
	err := d.item(DumpFooter, t.BodyAt, g.size.Load()-t.BodyAt, DumpItem{Footer: info}, problem)
	if err != nil || f == nil {
		return err
	}
	for i := range f.Partitions {
		p := &f.Partitions[i]
		info := &DumpPartitionInfo{
			ID: p.ID, Topic: p.Topic, Partition: p.Declaration.Partition, First: p.First, Next: p.Next,
			Runs: make([]DumpRun, 0, len(p.Runs)), Index: len(p.Index),
			StoredBytes: p.Bytes, RawBytes: p.RawBytes, Codecs: codecNames(p.Codecs),
		}
		for _, run := range p.Runs {
			info.Runs = append(info.Runs, DumpRun{
				Kind: run.Kind.String(), Moved: run.Flags&format.FlagMoved != 0,
				Base: run.Base, End: run.End, Gap: run.Gap, LSN: run.LSN,
			})
		}
		if err := d.item(DumpIndexed, t.BodyAt, t.BodyLength, DumpItem{Partition: info}, nil); err != nil {
			return err
		}
	}
	return nil
}
