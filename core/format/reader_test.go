package format

import (
	"fmt"

	"github.com/cespare/xxhash/v2"
)

// parsed is a sealed segment read back.
type parsed struct {
	header  SegmentHeader
	frames  []parsedFrame
	trailer Trailer
	footer  *Footer
}

type parsedFrame struct {
	FrameHeader
	entries      []Entry
	declarations []Declaration
	records      [][]Record // of each data entry
}

// parse reads a sealed segment the way docs/format.md tells a reader to.
func parse(b []byte) (p parsed, err error) {
	if p.header, err = ReadSegmentHeader(b); err != nil {
		return p, err
	}
	if p.trailer, err = ReadTrailer(b); err != nil {
		return p, err
	}
	t := p.trailer
	if t.Number != p.header.Number || t.Epoch != p.header.Epoch ||
		AlignUp(t.BodyAt+t.BodyLength+TrailerSize, p.header.Alignment) != int64(len(b)) {
		return p, fmt.Errorf("%w: trailer of another segment", ErrCorrupt)
	}
	if p.footer, err = t.ReadBody(b[t.BodyAt : t.BodyAt+t.BodyLength]); err != nil {
		return p, err
	}
	at, lsn, chain := int64(HeaderSize), p.header.FirstLSN, p.header.Predecessor.Chain
	for at < t.BodyAt {
		f, err := parseFrame(b[:t.BodyAt], at)
		if err != nil {
			return p, err
		}
		if f.Epoch != p.header.Epoch || f.LSN != lsn || f.Chain != chain {
			return p, fmt.Errorf("%w: frame at %d does not belong here", ErrCorrupt, at)
		}
		for _, e := range f.entries {
			if e.Kind.HasLSN() {
				lsn++
			}
		}
		p.frames = append(p.frames, f)
		chain = f.CRC
		at = AlignUp(at+f.Length, p.header.Alignment)
	}
	if at != t.BodyAt || t.End.LSN != lsn-1 || t.End.Chain != chain {
		return p, fmt.Errorf("%w: frames end at %d, LSN %d, footer says %+v", ErrCorrupt, at, lsn-1, t.End)
	}
	if xxhash.Sum64(b[:t.BodyAt]) != t.XXH64 {
		return p, fmt.Errorf("%w: XXH64", ErrCorrupt)
	}
	return p, nil
}

func parseFrame(b []byte, at int64) (f parsedFrame, err error) {
	b = b[at:]
	if f.FrameHeader, err = ReadFrameHeader(b); err != nil {
		return f, err
	}
	if f.Position != at || f.Length > int64(len(b)) {
		return f, fmt.Errorf("%w: frame at %d: position %d, length %d", ErrCorrupt, at, f.Position, f.Length)
	}
	if f.entries, err = ReadDirectory(nil, f.FrameHeader, b[f.DirectoryAt():f.Length]); err != nil {
		return f, err
	}
	data := b[FrameHeaderSize:f.DirectoryAt()]
	for _, e := range f.entries {
		d := data[:e.Length]
		data = data[e.Length:]
		if err := CheckData(ChecksumCRC32C, e, d); err != nil {
			return f, err
		}
		if err := f.take(e, d); err != nil {
			return f, err
		}
	}
	return f, nil
}

// take decodes the data of an entry.
func (f *parsedFrame) take(e Entry, data []byte) error {
	switch e.Kind {
	case KindDeclare:
		d, rest, err := ReadDeclaration(data)
		if err == nil && len(rest) > 0 {
			err = fmt.Errorf("%w: %d bytes behind a declaration", ErrCorrupt, len(rest))
		}
		f.declarations = append(f.declarations, d)
		return err
	case KindData:
		records, err := readRecords(data, e)
		f.records = append(f.records, records)
		return err
	}
	return nil
}

func readRecords(data []byte, e Entry) (records []Record, err error) {
	for i := range e.Count {
		var r Record
		if r, data, err = ReadRecord(data); err != nil {
			return nil, err
		}
		r.Offset = e.Base + int64(i)
		records = append(records, r)
	}
	if len(data) > 0 {
		return nil, fmt.Errorf("%w: %d bytes behind a batch's records", ErrCorrupt, len(data))
	}
	return records, nil
}
