package wal

import (
	"time"

	"github.com/cespare/xxhash/v2"

	"github.com/chronik-go/wal/core/backend"
	"github.com/chronik-go/wal/core/format"
)

// segmentWriter writes a whole segment, sealed as a repaired one.
type segmentWriter struct {
	*fileWriter
	header format.SegmentHeader
	hash   *xxhash.Digest
	table  *table
	chain  uint32
}

// newSegmentWriter makes the file. The header's alignment and epoch are set here.
func newSegmentWriter(dir backend.Dir, name string, h format.SegmentHeader) (*segmentWriter, error) {
	file, err := newFileWriter(dir, name, writerBuffer)
	if err != nil {
		return nil, err
	}
	h.Alignment, h.Epoch = file.alignment, randomEpoch()
	if h.Created == 0 {
		h.Created = time.Now().UnixNano()
	}
	return &segmentWriter{fileWriter: file, header: h, hash: xxhash.New(), table: newTable(), chain: h.Predecessor.Chain}, nil
}

// begin writes the header.
func (w *segmentWriter) begin() error {
	head := make([]byte, format.HeaderSize)
	format.PutSegmentHeader(head, w.header)
	return w.write(head)
}

// declared reports whether the segment has declared a partition.
func (w *segmentWriter) declared(id uint32) bool { return w.table.partitions[id] != nil }

// declare writes a frame that declares partitions.
func (w *segmentWriter) declare(ids []uint32, list map[uint32]format.Declaration, known map[uint32]producers) error {
	var entries []format.Entry
	var data [][]byte
	for _, id := range ids {
		d := list[id]
		b := format.AppendDeclaration(nil, d)
		flags := uint16(0)
		if len(entries) == 0 && w.header.Key != nil {
			b, flags = format.AppendKey(b, w.header.Key), format.FlagKey
		}
		n := int64(len(b))
		data = append(data, b)
		entries = append(entries, format.Entry{
			Partition: id, Kind: format.KindDeclare, Flags: flags, Base: d.Next, Length: n, RawLength: n, CRC: w.header.Checksum.Sum(b),
		})
		w.table.declare(id, d)
		for _, p := range known[id] {
			entries, data = append(entries, p.Entry(id)), append(data, nil)
		}
	}
	return w.frame(entries, data, w.header.FirstLSN, w.header.FirstLSN-1)
}

// frame writes a frame.
func (w *segmentWriter) frame(entries []format.Entry, data [][]byte, lsn, durable uint64) error {
	directory := make([]byte, len(entries)*format.EntrySize)
	length := int64(format.FrameHeaderSize + len(directory))
	position, next := w.position(), lsn
	for i, e := range entries {
		format.PutEntry(directory[i*format.EntrySize:], e)
		length += int64(len(data[i]))
		if e.Kind != format.KindDeclare {
			w.table.add(e, next, position)
		}
		if e.Kind.HasLSN() {
			next++
		}
	}
	w.table.frames++
	var head [format.FrameHeaderSize]byte
	w.chain = format.PutFrameHeader(head[:], format.FrameHeader{
		Length: length, Entries: len(entries), Epoch: w.header.Epoch, LSN: lsn, Durable: durable,
		Position: position, Chain: w.chain, DirectoryCRC: format.CRC(directory),
	})
	if err := w.write(head[:]); err != nil {
		return err
	}
	for _, d := range data {
		if err := w.write(d); err != nil {
			return err
		}
	}
	if err := w.write(directory); err != nil {
		return err
	}
	return w.write(make([]byte, format.AlignUp(length, w.header.Alignment)-length))
}

// write appends bytes.
func (w *segmentWriter) write(b []byte) error {
	_, _ = w.hash.Write(b) // a hash never fails
	return w.put(b)
}

// seal seals the segment and makes it durable. Where its end is open, it ends where the
// frames do. It returns the end.
func (w *segmentWriter) seal(end format.Link, open bool) (format.Link, error) {
	bodyAt := w.position()
	if open {
		end.End, end.Chain = bodyAt, w.chain
	}
	f := w.table.footer(&w.header, end, w.hash.Sum64())
	f.BodyAt, f.Repaired = bodyAt, true
	if err := w.put(format.AppendFooter(nil, f, w.header.Alignment)); err != nil {
		return end, err
	}
	return end, w.finish()
}
