package format

import (
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "write the golden files of the current format version anew")

// golden reads a golden file; with -update it writes it first.
func golden(t *testing.T, name string) []byte {
	t.Helper()
	if *update {
		require.NoError(t, os.MkdirAll(filepath.Dir(name), 0o700))
		require.NoError(t, os.WriteFile(name, goldenFiles()[name], 0o600))
	}
	b, err := os.ReadFile(name)
	require.NoError(t, err)
	return b
}

// A change of the encoders that changes any byte of what was once released fails here.
func TestEncodersWriteTheGoldenFiles(t *testing.T) {
	for name, want := range goldenFiles() {
		require.Equal(t, want, golden(t, name), name)
	}
	entries, err := os.ReadDir(filepath.Dir(goldenSeg1))
	require.NoError(t, err)
	require.Len(t, entries, len(goldenFiles()), "each golden file is one that the encoders write")
}

func TestDecodersReadTheGoldenFiles(t *testing.T) {
	for name, want := range map[string]parsed{goldenSeg1: wantSegment1, goldenSeg2: wantSegment2} {
		got, err := parse(golden(t, name))
		require.NoError(t, err, name)
		require.Equal(t, want.header, got.header, name)
		require.Equal(t, want.frames, got.frames, name)
		require.Equal(t, want.footer, got.footer, name)
		require.Equal(t, want.footer.End, got.trailer.End, name)
		require.Equal(t, want.trailer.BodyLength, got.trailer.BodyLength, name)
	}

	m, err := ReadMarker(golden(t, goldenClose))
	require.NoError(t, err)
	require.Equal(t, Marker{Log: goldenID, End: wantSegment2.footer.End}, m)

	member, err := ReadMember(golden(t, goldenOther))
	require.NoError(t, err)
	require.Equal(t, goldenMember, member)

	b := golden(t, goldenCodec)
	h, err := ReadFrameHeader(b)
	require.NoError(t, err)
	require.Equal(t, goldenFrameHeader, h)
	entries, err := ReadDirectory(nil, h, b[84:132])
	require.NoError(t, err)
	require.Equal(t, []Entry{goldenFrameEntry}, entries)
	require.NoError(t, CheckData(ChecksumCRC32C, entries[0], b[64:84]))

	b = golden(t, goldenFixed)
	trailer, err := ReadTrailer(b)
	require.NoError(t, err)
	f, err := trailer.ReadBody(b[:trailer.BodyLength])
	require.NoError(t, err)
	require.Equal(t, &goldenRepaired, f)
}
