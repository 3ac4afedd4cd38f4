package fuzz

import (
	"fmt"
	"time"

	"github.com/cespare/xxhash/v2"

	"github.com/chronik-go/wal/core/format"
)

// The identity of the logs that are built byte by byte: the same in every run, so that fuzz
// inputs keep their meaning.
var logID = format.LogID([]byte("log of the fuzz "))

const epoch = 0x6570_6f63_68

// builder writes a segment frame by frame, one step after the other.
type builder struct {
	format.SegmentHeader
	file  []byte
	end   format.Link
	parts []format.FooterPartition
	stats format.Footer
}

func newBuilder(number uint64, prev format.Link) *builder {
	b := &builder{SegmentHeader: format.SegmentHeader{
		Alignment: format.MinAlignment, Log: logID, Number: number, Epoch: epoch,
		FirstLSN: prev.LSN + 1, Created: 1, Predecessor: prev,
	}}
	b.file = make([]byte, format.HeaderSize)
	format.PutSegmentHeader(b.file, b.SegmentHeader)
	b.end = format.Link{Segment: number, End: format.HeaderSize, LSN: prev.LSN, Chain: prev.Chain}
	return b
}

// item is an entry and its data.
type item struct {
	format.Entry
	data []byte
}

func declared(id uint32, d format.Declaration) item {
	return item{format.Entry{Partition: id, Kind: format.KindDeclare, Base: d.Next}, format.AppendDeclaration(nil, d)}
}

func batch(id uint32, base, gap int64, records ...format.Record) item {
	e := format.Entry{Partition: id, Kind: format.KindData, Base: base, Gap: gap, Count: len(records), MaxTimestamp: 5}
	var data []byte
	for i := range records {
		b := make([]byte, format.RecordSize(&records[i]))
		format.PutRecord(b, &records[i], 5)
		data = append(data, b...)
	}
	return item{e, data}
}

func control(id uint32, kind format.Kind, base, gap int64) item {
	return item{Entry: format.Entry{Partition: id, Kind: kind, Base: base, Gap: gap}}
}

// frame appends a frame and notes its entries for the footer.
func (b *builder) frame(items ...item) {
	f := make([]byte, format.FrameHeaderSize)
	var directory []byte
	h := format.FrameHeader{
		Entries: len(items), Epoch: b.Epoch, LSN: b.end.LSN + 1, Durable: b.end.LSN, Position: b.end.End, Chain: b.end.Chain,
	}
	for i := range items {
		e := &items[i].Entry
		if len(items[i].data) > 0 {
			e.Length, e.RawLength = int64(len(items[i].data)), int64(len(items[i].data))
			e.CRC = format.CRC(items[i].data)
		}
		f = append(f, items[i].data...)
		directory = append(directory, make([]byte, format.EntrySize)...)
		format.PutEntry(directory[i*format.EntrySize:], *e)
		if e.Kind.HasLSN() {
			b.end.LSN++
		}
		b.note(items[i])
	}
	f = append(f, directory...)
	h.Length, h.DirectoryCRC = int64(len(f)), format.CRC(directory)
	b.end.Chain = format.PutFrameHeader(f, h)
	f = append(f, make([]byte, format.AlignUp(int64(len(f)), b.Alignment)-int64(len(f)))...)
	b.file = append(b.file, f...)
	b.end.End = int64(len(b.file))
	b.stats.Frames++
}

func (b *builder) note(it item) {
	e := it.Entry
	if e.Kind == format.KindDeclare {
		d, _, err := format.ReadDeclaration(it.data)
		if err != nil {
			panic(err)
		}
		b.parts = append(b.parts, format.FooterPartition{ID: e.Partition, Declaration: d})
		return
	}
	for i := range b.parts {
		if p := &b.parts[i]; p.ID == e.Partition {
			p.Runs = append(p.Runs, format.Run{Kind: e.Kind, Flags: e.Flags, Base: e.Base, End: e.End(), Gap: e.Gap, LSN: b.end.LSN})
			if e.Kind == format.KindData {
				p.Index = append(p.Index, format.IndexEntry{Offset: e.Base, Position: b.end.End, MaxTimestamp: 5})
				b.stats.Records += int64(e.Count)
				b.stats.MaxTimestamp = 5
			}
		}
	}
}

// seal appends the footer.
func (b *builder) seal() {
	f := b.stats
	f.Number, f.Epoch, f.End, f.BodyAt = b.Number, b.Epoch, b.end, b.end.End
	f.XXH64, f.Partitions = xxhash.Sum64(b.file), b.parts
	b.file = format.AppendFooter(b.file, &f, b.Alignment)
}

func record(offset int64) format.Record {
	return format.Record{Timestamp: time.Unix(0, 5), Key: []byte("k"), Value: fmt.Appendf(nil, "value %d", offset)}
}

// built is a log of three segments with an entry of each kind: sealed, sealed, open.
func built() (list []*builder) {
	one := newBuilder(1, format.Link{})
	one.frame(declared(1, format.Declaration{Topic: "t", Partition: 0}), declared(2, format.Declaration{Topic: "u", Partition: 7}))
	one.frame(batch(1, 0, 0, record(0), record(1)), batch(2, 5, 5, record(5)))
	one.frame(batch(1, 2, 0, record(2)), control(1, format.KindTruncateBefore, 1, 0))
	one.seal()
	two := newBuilder(2, one.end)
	two.frame(declared(1, format.Declaration{Topic: "t", First: 1, Next: 3}), declared(2, format.Declaration{Topic: "u", Partition: 7, Next: 6}))
	two.frame(control(1, format.KindTruncateAfter, 2, 0), batch(1, 2, 0, record(2)))
	moved := batch(2, 5, 5, record(5))
	moved.Flags = format.FlagMoved
	two.frame(moved)
	two.frame(control(2, format.KindLost, 8, 2), batch(2, 10, 2, record(10)))
	two.seal()
	three := newBuilder(3, two.end)
	three.frame(declared(1, format.Declaration{Topic: "t", First: 1, Next: 3}), batch(1, 3, 0, record(3), record(4)))
	three.frame(batch(1, 5, 0, record(5)))
	return []*builder{one, two, three}
}
