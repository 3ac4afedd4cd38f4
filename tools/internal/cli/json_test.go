package cli

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// The keys that scripts depend on.
var (
	appendBenchKeys = "bench backend fsync layout producers partitions record_size batch inflight duration_s records " +
		"records_per_s mb_per_s p50_us p99_us p999_us max_us groups syncs allocs_per_record lock_wait_pct cpu_s rss_mb " +
		"write_amplification"
	machineKeys = "device filesystem kernel cpus build"
)

func TestJSONKeys(t *testing.T) {
	dir, scratch := t.TempDir(), t.TempDir()
	ok(t, "a\nb\n", "append", "--dir", dir, "--topic", "t")
	benchAppend := "--dir " + scratch + " --json --duration 0.05 --producers 2 --partitions 2"
	for _, c := range []struct{ command, keys, added string }{
		{"ls --dir DIR", "topic partition first_offset next_offset durable_offset records bytes", ""},
		{"segments --dir DIR", "segment number state size bytes first_lsn last_lsn records created partitions", "stored_bytes raw_bytes codecs cipher"},
		{"verify --dir DIR", "ok segments records bytes torn_tail_bytes damage", "declared_lost unchecked_batches missing_copies"},
		{"repair --dry-run --dir DIR", "dry_run damage actions lost moved", "lost_entries"},
		{"append --topic t --dir DIR", "topic partition offset", "duplicate"},
		{"read --topic t --limit 1 --dir DIR", "topic partition offset timestamp key value headers", ""},
		{"truncate --topic t --before 1 --dir DIR", "topic partition first_offset next_offset", ""},
		{"backends", "name linked usable reason", "auto"},
		{"env", "variable value source meaning", "values"},
		{"bench append --recycle " + benchAppend, appendBenchKeys, machineKeys + " recycled codec compression_ratio"},
		{"bench baseline " + benchAppend, appendBenchKeys, machineKeys + " recycled codec compression_ratio"},
		{"bench read --size 1M --duration 0.05 --dir " + scratch, "records_per_s mb_per_s p50_us p99_us",
			machineKeys + " bench backend random record_size duration_s records rss_mb page_cache"},
		{"bench recovery --size 1M --dir " + scratch, "bytes records open_s replay_s mb_per_s rss_mb",
			machineKeys + " bench backend shutdown record_size page_cache"},
	} {
		t.Run(c.command, func(t *testing.T) {
			args := strings.Fields(strings.ReplaceAll(c.command, "DIR", dir))
			out := ok(t, "x\n", append(args, "--json")...)
			require.Equal(t, 1, strings.Count(out, "\n"), "one line")
			var got map[string]any
			if strings.HasPrefix(out, "[") {
				list := decode[[]map[string]any](t, out)
				require.NotEmpty(t, list)
				got = list[0]
			} else {
				got = decode[map[string]any](t, out)
			}
			want := strings.Fields(c.keys + " " + c.added)
			require.ElementsMatch(t, want, slices.Collect(maps.Keys(got)))
		})
	}
	require.NoDirExists(t, scratch+"/bench")
}

// Lists are [] and never null, so that a script can loop over them.
func TestJSONEmptyLists(t *testing.T) {
	dir := t.TempDir()
	ok(t, "a\n", "append", "--dir", dir, "--topic", "t")
	require.NotContains(t, ok(t, "", "verify", "--dir", dir, "--json"), "null")
	require.Contains(t, ok(t, "", "verify", "--dir", dir, "--json"), `"damage":[]`)
	require.NotContains(t, ok(t, "", "segments", "--dir", dir, "--json"), "null")
	require.NotContains(t, ok(t, "", "repair", "--dry-run", "--dir", dir, "--json"), "null")
}
