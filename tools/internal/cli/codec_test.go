package cli

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	wal "github.com/chronik-go/wal/core"
)

// What is appended with a codec shows it, and is read without being told of it.
func TestCodecs(t *testing.T) {
	for _, name := range []string{"lz4", "zstd:3", "s2"} {
		dir := t.TempDir()
		value := strings.Repeat("compress me, ", 200)
		ok(t, value+"\n", "append", "--dir", dir, "--topic", "t", "--codec", name)
		ok(t, "x\n", "append", "--dir", dir, "--topic", "t")
		require.Equal(t, value+"\nx\n", ok(t, "", "read", "--dir", dir, "--topic", "t"))

		base, _, _ := strings.Cut(name, ":")
		segments := decode[[]wal.SegmentInfo](t, ok(t, "", "segments", "--dir", dir, "--json"))
		require.Equal(t, []string{base}, segments[0].Codecs)
		require.EqualValues(t, len(value)+24, segments[0].RawBytes)
		require.Less(t, segments[0].StoredBytes, int64(200))
		require.Regexp(t, `CODECS +RATIO`, ok(t, "", "segments", "--dir", dir))
		require.Regexp(t, base+` +[1-9]\d\.\d\d +t/0`, ok(t, "", "segments", "--dir", dir))
		text := ok(t, "", "dump", "--dir", dir)
		require.Regexp(t, base+`, 2624 bytes decoded, ratio [1-9]\d\.\d\d`, text)
		require.Regexp(t, `bytes stored, 2624 decoded, codecs: `+base, text)
		require.Contains(t, text, `"compress me,`)
		require.True(t, decode[reportJSON](t, ok(t, "", "verify", "--dir", dir, "--json")).OK)
	}
}

func TestCodecFlag(t *testing.T) {
	for _, name := range []string{"gzip", "zstd:9", "none:1", ""} {
		o := run(t, "", "append", "--dir", t.TempDir(), "--topic", "t", "--codec", name)
		require.Equal(t, 2, o.code)
		require.Contains(t, o.stderr, "none, lz4, zstd or s2, with a level behind a colon")
	}
}

// The values of a benchmark compress as far as it is told.
func TestBenchCompressibility(t *testing.T) {
	bench := func(flags string) (ratio float64) {
		out := ok(t, "", split("bench append --json --producers 2 --partitions 2 --duration 0.05 --dir "+t.TempDir()+" "+flags)...)
		return decode[map[string]any](t, out)["compression_ratio"].(float64)
	}
	require.EqualValues(t, 1, bench("--codec none --compressibility 50"))
	require.EqualValues(t, 1, bench("--codec lz4"))
	require.InDelta(t, 1.9, bench("--codec lz4 --compressibility 50"), 0.2)
	require.Greater(t, bench("--codec zstd --values ."), 1.5)
	require.Greater(t, bench("--codec s2 --values codec_test.go"), 1.1)
	o := run(t, "", split("bench append --values /does/not/exist --dir "+t.TempDir())...)
	require.Equal(t, 2, o.code)
	require.Contains(t, o.stderr, "--values /does/not/exist")
}

func TestChecksumFlag(t *testing.T) {
	dir := t.TempDir()
	ok(t, "a\n", "append", "--dir", dir, "--topic", "t", "--checksum", "xxh64")
	ok(t, "b\n", "append", "--dir", dir, "--topic", "t")
	require.Regexp(t, `(?s)header .* xxh64, .*header .* crc32c, `, ok(t, "", "dump", "--dir", dir))
	require.Equal(t, "a\nb\n", ok(t, "", "read", "--dir", dir, "--topic", "t"))
	require.Equal(t, 2, run(t, "", "append", "--dir", dir, "--topic", "t", "--checksum", "md5").code)
}
