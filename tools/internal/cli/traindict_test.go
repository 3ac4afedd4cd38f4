package cli

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/chronik-go/wal/codec"
	wal "github.com/chronik-go/wal/core"
)

// manyLines are records that hardly shrink one by one.
func manyLines(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `{"level":"info","service":"orders","user":%d,"path":"/api/v1/orders/%d/items","status":%d}`+"\n", i*31%5000, i*17%100000, 200+i%5)
	}
	return b.String()
}

// A dictionary is trained, listed, used by what is appended next, and damage to it is told and mended.
func TestTrainDict(t *testing.T) {
	dir := t.TempDir()
	text := manyLines(200)
	ok(t, text, "append", "--dir", dir, "--topic", "t", "--codec", "zstd")
	train := []string{"train-dict", "--dir", dir, "--topic", "t", "--size", "8KiB"}

	report := decode[codec.TrainReport](t, ok(t, "", append(train, "--dry-run", "--json")...))
	require.True(t, report.DryRun)
	require.Nil(t, report.Dictionary)
	require.Greater(t, report.RatioWith, 1.5*report.RatioWithout)
	require.Equal(t, "[]\n", ok(t, "", "train-dict", "--dir", dir, "--list", "--json"))
	require.Regexp(t, `(?s)samples +150 records.*held out +50 records.*ratio.*ratio.*not stored`, ok(t, "", append(train, "--dry-run")...))

	require.Regexp(t, `number 1 of topic t, in use`, ok(t, "", train...))
	report = decode[codec.TrainReport](t, ok(t, "", append(train, "--json", "--codec", "zstd:3")...))
	require.EqualValues(t, 2, report.Dictionary.Number)
	list := decode[[]wal.DictionaryInfo](t, ok(t, "", "train-dict", "--dir", dir, "--list", "--json"))
	require.Len(t, list, 1, "the same records make the same dictionary")
	require.Equal(t, *report.Dictionary, list[0])
	require.Regexp(t, `t +2 +[0-9a-f]{8} +\d+ +true +false`, ok(t, "", "train-dict", "--dir", dir, "--list"))

	ok(t, text, "append", "--dir", dir, "--topic", "t", "--codec", "zstd")
	require.Equal(t, text+text, ok(t, "", "read", "--dir", dir, "--topic", "t"))
	require.Contains(t, ok(t, "", "dump", "--dir", dir), "zstd-dict")
	require.True(t, decode[reportJSON](t, ok(t, "", "verify", "--dir", dir, "--json")).OK)

	files, err := filepath.Glob(filepath.Join(dir, "*.dict"))
	require.NoError(t, err)
	require.Len(t, files, 2)
	sound, err := os.ReadFile(files[0])
	require.NoError(t, err)
	for _, file := range files {
		require.NoError(t, os.Remove(file))
	}
	o := run(t, "", "read", "--dir", dir, "--topic", "t")
	require.Equal(t, 1, o.code)
	require.Equal(t, text, o.stdout)
	require.Contains(t, o.stderr, "put "+filepath.Base(files[0])+" back")
	o = run(t, "", "verify", "--dir", dir)
	require.Equal(t, 1, o.code)
	one := filepath.Base(files[0])
	require.Contains(t, o.stderr, one+": it is missing; 200 batches cannot be read without")
	require.True(t, strings.HasSuffix(o.stderr, "; repair cannot make it: put a copy of "+one+" back from a backup\n"), o.stderr)
	require.NotContains(t, o.stderr, "segment")
	require.NoError(t, os.WriteFile(files[1], sound, 0o600))
	require.Regexp(t, "ok +true(?s:.*)missing_copy +"+one+": the other copy is sound", ok(t, "", "verify", "--dir", dir))
	require.Equal(t, []string{one}, decode[reportJSON](t, ok(t, "", "verify", "--dir", dir, "--json")).MissingCopies)
	require.Equal(t, text+text, ok(t, "", "read", "--dir", dir, "--topic", "t"))
	ok(t, "one more\n", "append", "--dir", dir, "--topic", "t") // an open for writing makes the other copy anew
	require.FileExists(t, files[0])
	require.Contains(t, ok(t, "", "verify", "--dir", dir, "--json"), `"ok":true`)
	require.Contains(t, ok(t, "", "verify", "--dir", dir, "--json"), `"missing_copies":[]`)
	// One copy that is not sound is damage that repair mends.
	spoil(t, files[0], int64(len(sound)-1))
	require.Regexp(t, one+": .*; the other copy is sound; look at it with verify, make it openable with repair\n$", run(t, "", "verify", "--dir", dir).stderr)
}

func TestTrainDictErrors(t *testing.T) {
	dir := t.TempDir()
	ok(t, manyLines(20), "append", "--dir", dir, "--topic", "few")
	ok(t, manyLines(21), "append", "--dir", dir, "--topic", "little")
	ok(t, manyLines(90), "append", "--dir", dir, "--topic", "more")
	for flags, message := range map[string]string{
		"":                           "give either --topic NAME or --list",
		"--topic t --list":           "give either --topic NAME or --list",
		"--topic none":               "no such partition",
		"--topic few":                "too few",
		"--topic little":             "take more than 32768, or more than 4096 and a smaller size: append more records first",
		"--topic more":               "bytes together, too few for a dictionary of up to 32768",
		"--topic few --size 100":     "from 4096 to 114688",
		"--topic few --samples 3":    "from 16 to 1048576",
		"--topic few --size 1GiB":    "from 4096 to 114688",
		"--topic few --dry-run":      "too few",
		"--topic few --size a-few":   "a number of bytes",
		"--topic few --samples many": "a whole number",
	} {
		o := run(t, "", append([]string{"train-dict", "--dir", dir}, strings.Fields(flags)...)...)
		require.Equal(t, 2, o.code, flags)
		require.Contains(t, o.stderr, message, flags)
	}
	ok(t, "", "train-dict", "--dir", dir, "--topic", "more", "--size", "4KiB")
}
