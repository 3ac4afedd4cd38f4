package format

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func drawFooterPartition(t *rapid.T, id uint32, end int64) FooterPartition {
	p := FooterPartition{ID: id, Declaration: drawDeclaration(t), Runs: []Run{}, Index: []IndexEntry{}}
	if rapid.Bool().Draw(t, "batches") {
		p.Stored = Stored{
			Bytes:    rapid.Int64Min(0).Draw(t, "stored bytes"),
			RawBytes: rapid.Int64Min(1).Draw(t, "raw bytes"),
			Codecs:   rapid.Uint64Min(1).Draw(t, "codecs"),
		}
	}
	lsn := uint64(0)
	for range rapid.IntRange(0, 5).Draw(t, "runs") {
		lsn += rapid.Uint64Range(1, 1<<40).Draw(t, "LSN")
		r := Run{Kind: rapid.SampledFrom([]Kind{1, 3, 4, 5}).Draw(t, "kind"), LSN: lsn}
		r.Gap, r.Base = drawOffsets(t, math.MaxUint16)
		r.End = r.Base
		switch r.Kind {
		case KindData:
			r.End += rapid.Int64Range(1, math.MaxUint16).Draw(t, "records")
			r.Flags = rapid.SampledFrom([]uint16{0, FlagMoved}).Draw(t, "flags")
		case KindLost:
			r.Base, r.End, r.Gap = r.Base+1, r.End+1, r.Gap+1
		case KindTruncateAfter:
			if r.Gap > 0 && rapid.Bool().Draw(t, "gap lost") {
				r.Flags = FlagGapLost
			}
		default:
			r.Gap = 0
		}
		p.Runs = append(p.Runs, r)
	}
	offset := int64(0)
	for range rapid.IntRange(0, 5).Draw(t, "index entries") {
		offset += rapid.Int64Range(1, 1<<40).Draw(t, "offset")
		p.Index = append(p.Index, IndexEntry{
			Offset:       offset,
			Position:     rapid.Int64Range(HeaderSize, end-1).Draw(t, "position"),
			MaxTimestamp: rapid.Int64().Draw(t, "max timestamp"),
		})
	}
	for range rapid.IntRange(0, 3).Draw(t, "producers") {
		p.Producers = append(p.Producers, drawProducer(t))
	}
	return p
}

func drawFooter(t *rapid.T) *Footer {
	number := rapid.Uint64Min(1).Draw(t, "number")
	f := &Footer{
		Number:       number,
		Epoch:        rapid.Uint64Min(1).Draw(t, "epoch"),
		End:          drawLink(t, number),
		Repaired:     rapid.Bool().Draw(t, "repaired"),
		Frames:       rapid.Int64Min(0).Draw(t, "frames"),
		Records:      rapid.Int64Min(0).Draw(t, "records"),
		MaxTimestamp: rapid.Int64().Draw(t, "max timestamp"),
		XXH64:        rapid.Uint64().Draw(t, "XXH64"),
		Partitions:   []FooterPartition{},
	}
	f.End.End += MinAlignment // at least one frame
	f.BodyAt = f.End.End
	if f.Repaired {
		f.BodyAt += MinAlignment * rapid.Int64Range(0, 1<<30).Draw(t, "grown by")
	}
	id := uint32(0)
	for range rapid.IntRange(0, 3).Draw(t, "partitions") {
		id += rapid.Uint32Range(1, 1<<20).Draw(t, "id")
		f.Partitions = append(f.Partitions, drawFooterPartition(t, id, f.BodyAt))
	}
	return f
}

func TestFooterRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := drawFooter(t)
		align := int64(1) << rapid.IntRange(9, 12).Draw(t, "alignment")
		before := drawBytes(t, "before")
		b := AppendFooter(append([]byte(nil), before...), f, align)
		require.Zero(t, int64(len(b)-len(before))%align, "a footer fills whole blocks")
		b = b[len(before):]
		trailer, err := ReadTrailer(b)
		require.NoError(t, err)
		got, err := trailer.ReadBody(b[:trailer.BodyLength])
		require.NoError(t, err)
		require.Equal(t, f, got)
		require.True(t, allZero(b[trailer.BodyLength:len(b)-TrailerSize]), "padding")
		require.Equal(t, b, AppendFooter(nil, got, align))
		require.Equal(t, AlignUp(trailer.BodyLength+TrailerSize, align), int64(len(b)))
	})
}

// A whole segment written frame by frame reads back whole.
func TestSegmentRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := newBuilder(SegmentHeader{
			Alignment: 1 << rapid.IntRange(9, 12).Draw(t, "alignment"),
			Log:       drawLogID(t), Number: 1, Epoch: 1, FirstLSN: 1,
		})
		var want [][]Record
		for range rapid.IntRange(0, 4).Draw(t, "frames") {
			var batches []batch
			for range rapid.IntRange(1, 4).Draw(t, "batches") {
				records := rapid.SliceOfN(rapid.Custom(drawRecord), 1, 4).Draw(t, "records")
				want = append(want, at(7, records))
				batches = append(batches, batch{Entry: Entry{Partition: 1, Kind: KindData, Base: 7}, records: records})
			}
			s.frame(s.lsn, batches...)
		}
		s.seal(Footer{})
		p, err := parse(s.b)
		require.NoError(t, err)
		var got [][]Record
		for _, f := range p.frames {
			got = append(got, f.records...)
		}
		require.Equal(t, want, got)
		require.EqualValues(t, len(want), p.trailer.End.LSN)
	})
}
