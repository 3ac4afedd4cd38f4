package format

import (
	"fmt"
	"slices"
	"testing"

	"github.com/cespare/xxhash/v2"
	"github.com/stretchr/testify/require"
)

// region is a range of a file that one checksum guards, and the check of it.
type region struct {
	name     string
	from, to int64
	check    func(b []byte) error // of the whole file
}

// regions cuts a sealed segment up into what its checksums guard. What is in none is
// padding.
func regions(t *testing.T, b []byte) []region {
	p, err := parse(b)
	require.NoError(t, err)
	list := []region{{"segment header", 0, HeaderSize, func(b []byte) error {
		_, err := ReadSegmentHeader(b)
		return err
	}}}
	for i, f := range p.frames {
		name := fmt.Sprintf("frame %d ", i+1)
		at, directory, end := f.Position, f.Position+f.DirectoryAt(), f.Position+f.Length
		list = append(list, region{name + "header", at, at + FrameHeaderSize, func(b []byte) error {
			_, err := ReadFrameHeader(b[at:])
			if (err == nil) != IsFrame(b[at:]) {
				return nil // the two must agree
			}
			return err
		}}, region{name + "directory", directory, end, func(b []byte) error {
			_, err := ReadDirectory(nil, f.FrameHeader, b[directory:end])
			return err
		}})
		next := at + FrameHeaderSize
		for _, e := range f.entries {
			from, to := next, next+e.Length
			list = append(list, region{name + "data", from, to, func(b []byte) error { return CheckData(ChecksumCRC32C, e, b[from:to]) }})
			next = to
		}
	}
	t1, body := p.trailer, p.trailer.BodyAt+p.trailer.BodyLength
	return append(list, region{"footer body", t1.BodyAt, body, func(b []byte) error {
		_, err := t1.ReadBody(b[t1.BodyAt:body])
		return err
	}}, region{"trailer", int64(len(b)) - TrailerSize, int64(len(b)), func(b []byte) error {
		_, err := ReadTrailer(b)
		return err
	}})
}

// flipAll flips each bit of a range once and requires that the check notices.
func flipAll(t *testing.T, r region, b []byte) {
	t.Helper()
	require.NoError(t, r.check(b), r.name)
	for i := r.from; i < r.to; i++ {
		for bit := range 8 {
			b[i] ^= 1 << bit
			err := r.check(b)
			b[i] ^= 1 << bit
			if err == nil {
				t.Fatalf("%s: bit %d of byte %d is not guarded", r.name, bit, i)
			}
			require.ErrorIs(t, err, ErrCorrupt, r.name)
		}
	}
}

// Each single flipped bit is found by the structure it is in, without help from others.
func TestEveryFlippedBitIsDetected(t *testing.T) {
	for _, name := range []string{goldenSeg1, goldenSeg2} {
		b := golden(t, name)
		covered := int64(0)
		for _, r := range regions(t, b) {
			flipAll(t, r, b)
			covered += r.to - r.from
		}
		padding := checkPadding(t, b)
		require.Equal(t, int64(len(b)), covered+padding, "each byte is guarded once or is padding")
	}
	flipAll(t, region{"close marker", 0, MarkerSize, func(b []byte) error {
		_, err := ReadMarker(b)
		return err
	}}, golden(t, goldenClose))
	flipAll(t, region{"member file", 0, MemberSize, func(b []byte) error {
		_, err := ReadMember(b)
		return err
	}}, golden(t, goldenOther))
}

// checkPadding requires that the bytes that no CRC guards are zeros, and that the XXH64
// guards them up to the footer. It returns how many they are.
func checkPadding(t *testing.T, b []byte) (n int64) {
	p, err := parse(b)
	require.NoError(t, err)
	free := make([]bool, len(b))
	for i := range free {
		free[i] = !slices.ContainsFunc(regions(t, b), func(r region) bool { return int64(i) >= r.from && int64(i) < r.to })
	}
	for i := range b {
		if !free[i] {
			continue
		}
		n++
		require.Zero(t, b[i], "padding at %d", i)
		if int64(i) < p.trailer.BodyAt {
			b[i] ^= 1
			require.NotEqual(t, p.trailer.XXH64, xxhash.Sum64(b[:p.trailer.BodyAt]))
			b[i] ^= 1
		}
	}
	return n
}

// A file that is cut anywhere is no sealed segment any more, and no decoder reads over
// its end.
func TestEveryCutIsDetected(t *testing.T) {
	b := golden(t, goldenSeg1)
	for n := range b {
		_, err := parse(slices.Clip(b[:n]))
		require.ErrorIs(t, err, ErrCorrupt, "cut to %d bytes", n)
	}
}
