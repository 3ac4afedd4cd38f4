package cli

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestDump(t *testing.T) {
	dir := t.TempDir()
	ok(t, "a\n\xff\n", "append", "--dir", dir, "--topic", "t", "--batch", "2")
	ok(t, strings.Repeat("long ", 100)+"\n", "append", "--dir", dir, "--topic", "u")
	ok(t, "", "truncate", "--dir", dir, "--topic", "t", "--before", "1")

	text := ok(t, "", "dump", "--dir", dir)
	for _, want := range []string{
		"00000000000000000001.wal\n", " header ", " frame ", "t/0 id 1, first offset 0, next offset 0",
		"2 records from offset 0", `t/0 offset 0, 20`, `value "a"`, `value "\xff"`, " footer ",
		`long lon"… (500 bytes)`, "truncate-before", "close.marker\n", "the log ends at segment",
	} {
		require.Contains(t, text, want)
	}
	first := ok(t, "", "dump", "--dir", dir, "--segment", "1")
	require.True(t, strings.HasPrefix(text, first))
	require.Less(t, len(first), len(text))

	kinds := map[string]int{}
	var records []string
	for line := range strings.Lines(ok(t, "", "dump", "--dir", dir, "--json")) {
		item := decode[map[string]any](t, line)
		kind := item["kind"].(string)
		kinds[kind]++
		require.Subset(t, slices.Collect(maps.Keys(item)), []string{"segment", "position", "length", "kind"})
		if record, ok := item["record"].(map[string]any); ok {
			require.Subset(t, slices.Collect(maps.Keys(record)), []string{"topic", "partition", "offset", "timestamp", "key", "headers"})
			value, _ := record["value"].(string)
			base64, _ := record["value_base64"].(string)
			records = append(records, value+base64)
		}
	}
	require.Equal(t, []string{"a", "/w==", strings.Repeat("long ", 100)}, records, "truncated ones too")
	require.Equal(t, 3, kinds["record"])
	require.Equal(t, 2, kinds["data"])
	require.Equal(t, 1, kinds["truncate-before"])
	require.Equal(t, 1, kinds["marker"])
	require.Positive(t, kinds["frame"])
	require.Zero(t, kinds["bad"])
}

// What a running writer has not written yet is no damage, and nothing looks like it.
func TestDumpBesideWriter(t *testing.T) {
	dir := t.TempDir()
	feed, acked, wait := startAppend(t, dir)
	feedf(t, feed, "a\n")
	_, err := acked.ReadString('\n')
	require.NoError(t, err)
	text := ok(t, "", "dump", "--dir", dir)
	require.Regexp(t, ` rest +unwritten space\n$`, text)
	require.NotContains(t, text, "!")
	require.Contains(t, ok(t, "", "dump", "--dir", dir, "--json"), `"note":"unwritten space"`)
	feed.Close()
	require.Zero(t, wait())
	require.Contains(t, ok(t, "", "dump", "--dir", dir),
		"t/0 id 1, at the segment's start first offset 0 and next offset 0, then: records 0 to 0 from LSN 1 on; 1 index entries")
	require.Regexp(t, `"epoch":"[0-9a-f]{16}"`, ok(t, "", "dump", "--dir", dir, "--json"))
}

func TestDumpDamaged(t *testing.T) {
	dir, segment, _ := damagedLog(t)
	for _, flags := range [][]string{nil, {"--json"}} {
		o := run(t, "", append([]string{"dump", "--dir", dir}, flags...)...)
		require.Equal(t, 1, o.code)
		require.Contains(t, o.stderr, segment)
		require.Contains(t, o.stderr, "CRC")
		require.Equal(t, 1, strings.Count(o.stderr, "\n"))
		require.Contains(t, o.stdout, "CRC", "the item says so itself")
		require.Contains(t, o.stdout, "999 xxx", "it goes on to the end")
	}
}
