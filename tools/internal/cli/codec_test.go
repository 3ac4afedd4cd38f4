package cli

import (
	"os"
	"path/filepath"
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

func TestKeyFile(t *testing.T) {
	keyFile := func(digit string) string {
		path := filepath.Join(t.TempDir(), "key")
		require.NoError(t, os.WriteFile(path, []byte(strings.Repeat(digit, 64)+"\n"), 0o600))
		return path
	}
	for _, cipher := range []string{"aes-256-gcm", "chacha20-poly1305"} {
		dir, key := t.TempDir(), keyFile("a")
		encrypted := []string{"--dir", dir, "--key-file", key, "--cipher", cipher}
		with := func(args ...string) []string { return append(args, encrypted...) }
		ok(t, "plain before\n", "append", "--dir", dir, "--topic", "t")
		ok(t, "my secret\n", with("append", "--topic", "t", "--codec", "lz4")...)
		ok(t, "and more\n", with("append", "--topic", "t")...)
		require.Equal(t, "plain before\nmy secret\nand more\n", ok(t, "", with("read", "--topic", "t")...))
		require.True(t, decode[reportJSON](t, ok(t, "", with("verify", "--json")...)).OK)
		require.Contains(t, ok(t, "", with("dump")...), `value "my secret"`)

		for _, args := range [][]string{nil, {"--key-file", keyFile("b")}} {
			for _, command := range []string{"append", "read"} {
				o := run(t, "x\n", append(args, command, "--dir", dir, "--topic", "t")...)
				require.Equal(t, 2, o.code, "%s: %s", command, o.stderr)
				require.Contains(t, o.stderr, "--key-file")
				require.NotContains(t, o.stderr, "WithKeys")
				require.NotContains(t, o.stdout, "secret")
				require.NotContains(t, o.stderr, strings.Repeat("b", 8))
			}
			o := run(t, "", append(args, "verify", "--dir", dir, "--json")...)
			require.Equal(t, args != nil, o.code == exitCannot, "a key that does not fit is told, none is fine: %s", o.stderr)
			require.Equal(t, args != nil, strings.Contains(o.stderr, "contents were not checked: segment 00000000000000000002.wal: encryption key"), o.stderr)
			require.True(t, o.code == 0 || o.code == exitCannot)
			report := decode[reportJSON](t, o.stdout)
			require.True(t, report.OK)
			require.EqualValues(t, 2, report.UncheckedBatches)
		}
		requireMisfit(t, dir, keyFile("b"), 2)
		newer := keyFile("c")
		twoKeys := strings.Repeat("c", 64) + "\n" + strings.Repeat("a", 64) + "\n"
		require.NoError(t, os.WriteFile(newer, []byte(twoKeys), 0o600))
		ok(t, "by another key\n", "append", "--dir", dir, "--topic", "t", "--key-file", newer)
		require.Contains(t, requireMisfit(t, dir, key, 1), `value "my secret"`, "what the key fits is shown")
		text := ok(t, "", "dump", "--dir", dir)
		require.NotContains(t, text, "secret")
		require.Regexp(t, "key [0-9a-f]{16} for "+cipher+`, wrapped in \d+ bytes`, text)
		require.Contains(t, text, "encrypted")
		require.Contains(t, ok(t, "", "segments", "--dir", dir), cipher)
	}
	o := run(t, "", "read", "--dir", t.TempDir(), "--topic", "t", "--key-file", "/does/not/exist")
	require.Equal(t, 2, o.code)
	require.Regexp(t, `--key-file: .*key file /does/not/exist: no such file or directory: it has to hold a key of 64 hexadecimal digits a line, or age identities\n$`, o.stderr)

	key := keyFile("c")
	require.NoError(t, os.Chmod(key, 0o644))
	o = run(t, "a\n", "append", "--dir", t.TempDir(), "--topic", "t", "--key-file", key)
	require.Zero(t, o.code)
	require.Equal(t, "chronik-wal: warning: key file "+key+" has mode 0644: others than its owner may get at the key: chmod 600 "+key+"\n", o.stderr)
}

// A variable of the shell that is not set is no wish for plain records, whatever the command.
func TestKeyFileIsNotEmpty(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "log")
	commands := []string{"append --topic t", "bench append", "bench baseline", "train-dict --topic t"}
	for _, cmd := range (&cli{}).rootCommand().Commands() {
		commands = append(commands, cmd.Name())
	}
	for _, command := range commands {
		for _, empty := range [][]string{{"--key-file", ""}, {"--key-file="}} {
			o := run(t, "secret\n", append(split(command+" --dir "+dir), empty...)...)
			require.Equal(t, 2, o.code, command)
			require.Contains(t, o.stderr, `--key-file "": it has to be the name of a file`, command)
			require.NoDirExists(t, dir)
		}
	}
	o := runMigrate(t, "--from", v0Golden("v1"), "--to", dir, "--key-file", "")
	require.Equal(t, 2, o.code)
	require.Contains(t, o.stderr, `--key-file "": it has to be the name of a file`)
	require.NoDirExists(t, dir)
	require.NoDirExists(t, dir+".migrating")
}

// requireMisfit has dump show a log with a key that does not open some batches: that is no damage.
func requireMisfit(t *testing.T, dir, key string, batches int) (shown string) {
	t.Helper()
	for _, flags := range [][]string{nil, {"--json"}} {
		o := run(t, "", append([]string{"dump", "--dir", dir, "--key-file", key}, flags...)...)
		require.Equal(t, exitCannot, o.code, o.stderr)
		require.Regexp(t, `^chronik-wal dump: not all records were shown: segment 0+\d\.wal: .*encryption key: .*--key-file\n$`, o.stderr)
		require.NotContains(t, o.stderr, "damaged")
		require.NotContains(t, o.stdout, " ! ")
		require.NotContains(t, o.stdout, `"error"`)
		require.Equal(t, batches, strings.Count(o.stdout, "no key that was given opens it"), o.stdout)
		require.Contains(t, o.stdout, "close.marker", "it goes on to the end")
		if flags == nil {
			shown = o.stdout
		}
	}
	return shown
}

// A key may open a batch and not the dictionary that it needs.
func TestDumpWithoutTheKeyOfADictionary(t *testing.T) {
	dir, a, c := t.TempDir(), strings.Repeat("a", 64)+"\n", strings.Repeat("c", 64)+"\n"
	keyFile := func(text string) string {
		path := filepath.Join(t.TempDir(), "key")
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		return path
	}
	ok(t, manyLines(200), "append", "--dir", dir, "--topic", "t", "--key-file", keyFile(a))
	ok(t, "", "train-dict", "--dir", dir, "--topic", "t", "--size", "8KiB", "--key-file", keyFile(c+a))
	ok(t, manyLines(1), "append", "--dir", dir, "--topic", "t", "--codec", "zstd", "--key-file", keyFile(a+c))
	require.Contains(t, ok(t, "", "dump", "--dir", dir, "--key-file", keyFile(c+a)), "t/0 offset 200, ")
	require.Contains(t, requireMisfit(t, dir, keyFile(a), 1), "t/0 offset 199, ")
}
