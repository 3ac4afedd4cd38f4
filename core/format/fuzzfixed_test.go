package format

import (
	"bytes"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
)

// fuzzFixed fuzzes the decoder of something that has a size and ends with a CRC. again decodes it and encodes
// what came out.
func fuzzFixed(f *testing.F, seed []byte, again func(b []byte) ([]byte, error)) {
	size := len(seed)
	f.Add(seed)
	f.Add(seed[:size-1])
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > size {
			b = b[:size]
		}
		mended := bytes.Clone(b)
		if len(b) == size {
			le.PutUint32(mended[size-4:], CRC(mended[:size-4]))
		}
		for _, b := range [][]byte{b, mended} {
			encoded, err := again(b)
			if err != nil {
				require.True(t, errors.Is(err, ErrCorrupt) || errors.Is(err, ErrVersion), "%v", err)
				continue
			}
			require.True(t, bytes.Equal(b, encoded), "% x\n% x", b, encoded)
		}
	})
}

func FuzzSegmentHeader(f *testing.F) {
	fuzzFixed(f, goldenFiles()[goldenSeg1][:HeaderSize], func(b []byte) ([]byte, error) {
		h, err := ReadSegmentHeader(b)
		if err != nil {
			return nil, err
		}
		again := make([]byte, HeaderSize)
		PutSegmentHeader(again, h)
		return again, nil
	})
}

func FuzzMarker(f *testing.F) {
	fuzzFixed(f, goldenFiles()[goldenClose], func(b []byte) ([]byte, error) {
		m, err := ReadMarker(b)
		if err != nil {
			return nil, err
		}
		again := make([]byte, MarkerSize)
		PutMarker(again, m)
		return again, nil
	})
}

func FuzzMember(f *testing.F) {
	fuzzFixed(f, goldenFiles()[goldenOther], func(b []byte) ([]byte, error) {
		m, err := ReadMember(b)
		return memberBytes(m), err
	})
}

// A declaration has no CRC of its own: it stands in a frame's data or a footer.
func FuzzDeclaration(f *testing.F) {
	f.Add(AppendDeclaration(nil, Declaration{Topic: "orders", Partition: 3, First: 1, Next: 9, Gap: 2, GapLost: true}))
	f.Add(AppendDeclaration(nil, Declaration{Topic: "t"}))
	f.Fuzz(func(t *testing.T, b []byte) {
		d, rest, err := ReadDeclaration(b)
		if err != nil {
			require.True(t, errors.Is(err, ErrCorrupt) || errors.Is(err, ErrVersion), "%v", err)
			return
		}
		n := len(b) - len(rest)
		require.Equal(t, n, DeclarationSize(d))
		require.Equal(t, b[:n], AppendDeclaration(nil, d))
	})
}
