package walv0_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	walv0 "github.com/chronik-go/wal/compat-v0"
	wal "github.com/chronik-go/wal/core"
)

var update = flag.Bool("update", false, "write the golden directories anew")

// golden are v0 directories of every layout and quirk, and exactly what is in them.
type golden struct {
	name  string
	files map[string]string
	o     walv0.Options
	// records are lines: topic/partition offset time key value headers.
	records []string
	// counts are records, duplicates, bad CRCs, torn tails.
	counts [4]int64
	// next are the next offsets, by partition, where they are not behind the last record.
	next map[string]int64
	// damage are the places that are reported.
	damage []string
}

func one(offset int64, value string) v1 {
	return v1{offset: offset, time: 1_700_000_000_000 + offset, noKey: true, value: value}
}

// line is a record that one made.
func line(part string, offset int64, value string) string {
	return fmt.Sprintf("%s %d %d - %q", part, offset, 1_700_000_000_000+offset, value)
}

// opaque is a V2 record, whichever variant, as v1 has it.
func opaque(part string, at int64, data string, base, last int64, count int32) string {
	return fmt.Sprintf("%s %d 0 - %q chronik.v0.base_offset=%q chronik.v0.last_offset=%q chronik.v0.record_count=%q",
		part, at, data, fmt.Sprint(base), fmt.Sprint(last), fmt.Sprint(count))
}

func c(base, last int64, count int32, data string) v2 {
	return v2{variant: 'c', topic: "t", data: data, base: base, last: last, count: count}
}

func ab(variant byte, data string) v2 { return v2{variant: variant, topic: "t", data: data} }

var whole = v1{offset: 3, time: 0, key: "", value: "", headers: []string{"a", "1", "", "", "a", "\xff", "é", "2"}}

var goldens = []golden{
	{
		name: "v1",
		files: map[string]string{
			"orders/0/wal_0_0.log": file(one(0, "zero"), v1{offset: 1, time: -1, key: "k", value: "\x00\xff"}, one(2, "two"), whole),
			"orders/7/wal_0_0.log": file(v1{offset: 0, time: 1, noKey: true, value: "z", crc: zeroLength}, one(1, "")),
		},
		records: []string{
			line("orders/0", 0, "zero"), `orders/0 1 -1 "k" "\x00\xff"`, line("orders/0", 2, "two"),
			`orders/0 3 0 "" "" a="1" ="" a="\xff" é="2"`, `orders/7 0 1 - "z"`, line("orders/7", 1, ""),
		},
		counts: [4]int64{6, 0, 0, 0},
	},
	{
		name:  "v2a",
		files: map[string]string{"t/0/wal_0_0.log": file(ab('a', "one"), ab('a', "one"), v2{variant: 'a', topic: "t", crc: zeroLength})},
		records: []string{
			opaque("t/0", 0, "one", 0, 0, 0), opaque("t/0", 1, "one", 1, 1, 0), opaque("t/0", 2, "", 2, 2, 0),
		},
		counts: [4]int64{3, 0, 0, 0},
	},
	{
		name:    "v2b",
		files:   map[string]string{"t/0/wal_0_0.log": file(ab('b', "one"), ab('b', "two"), v2{variant: 'b', topic: "t", data: "z", crc: zeroLength})},
		records: []string{opaque("t/0", 0, "one", 0, 0, 0), opaque("t/0", 1, "two", 1, 1, 0), opaque("t/0", 2, "z", 2, 2, 0)},
		counts:  [4]int64{3, 0, 0, 0},
	},
	{
		name: "v2c",
		files: map[string]string{"t/0/wal_0_0.log": file(c(5, 9, 5, "five"), c(10, 10, 1, "ten"),
			v2{variant: 'c', topic: "t", data: "range", base: 20, last: 29, count: 3, crc: zeroLength})},
		records: []string{opaque("t/0", 5, "five", 5, 9, 5), opaque("t/0", 10, "ten", 10, 10, 1), opaque("t/0", 20, "range", 20, 29, 3)},
		counts:  [4]int64{3, 0, 0, 0},
		next:    map[string]int64{"t/0": 30},
	},
	{
		name: "mixed",
		// An upgrade from each layout to the next, in one partition, and in one file.
		files: map[string]string{
			"t/0/wal_0_0.log": file(one(0, "a"), one(1, "b")),
			"t/0/wal_0_1.log": file(ab('a', "c"), ab('b', "d"), c(4, 6, 3, "e"), ab('b', "f"), one(8, "g")),
		},
		records: []string{
			line("t/0", 0, "a"), line("t/0", 1, "b"), opaque("t/0", 2, "c", 2, 2, 0), opaque("t/0", 3, "d", 3, 3, 0),
			opaque("t/0", 4, "e", 4, 6, 3), opaque("t/0", 7, "f", 7, 7, 0), line("t/0", 8, "g"),
		},
		counts: [4]int64{7, 0, 0, 0},
	},
	{
		name: "duplicates",
		// Everything twice, into the same file; one again in another file, with the other CRC.
		files: map[string]string{
			"t/0/wal_0_0.log": file(one(0, "a"), one(0, "a"), one(1, "b"), one(1, "b"), c(2, 4, 3, "c"), c(2, 4, 3, "c")),
			"t/0/wal_0_1.log": file(v1{offset: 1, time: 1_700_000_000_001, noKey: true, value: "b", crc: zeroLength}, one(5, "d")),
		},
		records: []string{line("t/0", 0, "a"), line("t/0", 1, "b"), opaque("t/0", 2, "c", 2, 4, 3), line("t/0", 5, "d")},
		counts:  [4]int64{4, 4, 0, 0},
	},
	{
		name: "order",
		// Offsets out of order, in a file and across files; numbers in names that are no text.
		files: map[string]string{
			"t/0/wal_0_2.log":  file(one(3, "d"), one(1, "b"), one(2, "c"), one(0, "a")),
			"t/0/wal_0_10.log": file(one(9, "j"), one(4, "e")),
			"t/1/wal_2_0.log":  file(ab('b', "first")),
			"t/1/wal_10_0.log": file(ab('b', "second")),
		},
		records: []string{
			line("t/0", 0, "a"), line("t/0", 1, "b"), line("t/0", 2, "c"), line("t/0", 3, "d"), line("t/0", 4, "e"), line("t/0", 9, "j"),
		},
		counts: [4]int64{8, 0, 0, 0},
		damage: []string{`t/1/wal_2_0.log 0 28 a record of "t" partition 0`, `t/1/wal_10_0.log 0 29 a record of "t" partition 0`},
	},
	{
		name: "names",
		files: map[string]string{
			"t/0/wal_2_0.log":  file(ab('b', "first")),
			"t/0/wal_10_0.log": file(ab('b', "second")),
			"t/0/wal_9_11.log": file(ab('b', "between")), "t/0/wal_9_9.log": "",
			"t/0/checkpoint.json": `{"offset":99,"segment_id":1,"position":0,"crc":1,"timestamp":0}`, "t/0/wal_0_0.log.bak": "x", "t/x/y": "x", "z": "",
		},
		records: []string{
			opaque("t/0", 0, "first", 0, 0, 0), opaque("t/0", 1, "between", 1, 1, 0), opaque("t/0", 2, "second", 2, 2, 0),
		},
		counts: [4]int64{3, 0, 0, 0},
	},
	{
		name: "torn",
		files: map[string]string{
			"t/0/wal_0_0.log": file(one(0, "a"), raw(cut(file(one(1, "unfinished")), 3))),
			"t/0/wal_0_1.log": file(one(1, "b"), raw("\x7e")),
			"t/0/wal_0_2.log": file(one(2, "c"), raw(make([]byte, 100))),
			"t/0/wal_0_3.log": file(one(3, "d"), raw(cut(file(c(4, 4, 1, "unfinished")), 20))),
			"t/0/wal_0_4.log": "\x7e\xca\x02\x00",
		},
		records: []string{line("t/0", 0, "a"), line("t/0", 1, "b"), line("t/0", 2, "c"), line("t/0", 3, "d")},
		counts:  [4]int64{4, 0, 0, 5},
	},
	{
		name:    "bad-crc",
		files:   map[string]string{"t/0/wal_0_0.log": file(c(0, 0, 1, "a"), v2{variant: 'c', topic: "t", data: "b", base: 1, last: 1, count: 1, crc: badCRC}, c(2, 2, 1, "c"))},
		records: []string{opaque("t/0", 0, "a", 0, 0, 1), opaque("t/0", 1, "b", 1, 1, 1), opaque("t/0", 2, "c", 2, 2, 1)},
		counts:  [4]int64{3, 0, 1, 0},
		damage:  []string{"t/0/wal_0_0.log 44 44 the CRC is wrong"},
	},
	{
		name:    "accepted-crc",
		o:       walv0.Options{AcceptBadCRC: true},
		files:   map[string]string{"t/0/wal_0_0.log": file(v2{variant: 'a', topic: "t", data: "b", crc: badCRC}, c(2, 2, 1, "c"), v2{variant: 'b', topic: "t", data: "d", crc: badCRC})},
		records: []string{opaque("t/0", 0, "b", 0, 0, 0), opaque("t/0", 2, "c", 2, 2, 1), opaque("t/0", 3, "d", 3, 3, 0)},
		counts:  [4]int64{3, 0, 2, 0},
	},
	{
		name: "damage",
		files: map[string]string{
			"t/0/wal_0_0.log": file(one(0, "a"), raw("rubbish"), one(1, "b"), v1{offset: 2, noKey: true, crc: badCRC}, one(3, "c")),
			"t/0/wal_0_1.log": file(one(4, "d"), raw(cut(file(one(5, "long")), 1)), one(6, "e")),
			"t/0/wal_0_2.log": file(one(7, "f"), v1{offset: 8, noKey: true, crc: badCRC}),
			"t/0/wal_0_3.log": file(one(-1, "f"), one(8, "g"), v1{offset: 9, time: 1 << 60, noKey: true}, c(9, 8, 1, "h"), c(9, 9, -1, "i")),
			"t/0/wal_0_4.log": file(raw(huge()), one(9, "g"), v2{variant: 'c', topic: "t", data: "j", base: 10, last: 10, count: 1, crc: badCRC}, raw("no record")),
		},
		o: walv0.Options{AcceptBadCRC: true},
		records: []string{
			line("t/0", 0, "a"), line("t/0", 1, "b"), line("t/0", 3, "c"), line("t/0", 4, "d"), line("t/0", 6, "e"), line("t/0", 7, "f"),
			line("t/0", 8, "g"), line("t/0", 9, "g"),
		},
		counts: [4]int64{8, 0, 0, 0},
		damage: []string{
			"t/0/wal_0_0.log 41 7 no record begins here",
			"t/0/wal_0_0.log 89 40 the CRC of a record of 40 bytes is wrong",
			"t/0/wal_0_1.log 41 43 2113929216 headers in 0 bytes",
			"t/0/wal_0_2.log 41 40 the CRC of a record of 40 bytes is wrong",
			"t/0/wal_0_3.log 0 41 offset -1: it is from 0 to 9223372036854775805",
			"t/0/wal_0_3.log 82 128 time of 1152921504606846976 ms since 1970: it has to be between the years 1678 and 2262",
			"t/0/wal_0_4.log 0 41 record of 4294967295 bytes where the file has 135 left",
			"t/0/wal_0_4.log 82 53 the CRC of a record of 44 bytes is wrong, and none begins behind it",
		},
	},
	{
		name: "conflict",
		files: map[string]string{
			"t/0/wal_0_0.log": file(one(0, "a"), one(0, "b"), c(1, 5, 5, "c"), one(3, "d"), one(6, "e")),
		},
		counts: [4]int64{5, 0, 0, 0},
		damage: []string{
			"t/0/wal_0_0.log 41 41 a record of offset 0, which t/0/wal_0_0.log at byte 0 has already, with other bytes",
			"t/0/wal_0_0.log 126 41 a record of offset 3, which t/0/wal_0_0.log at byte 82 has already, with other bytes",
		},
	},
	{
		name: "renumber",
		o:    walv0.Options{Renumber: []string{"__raft_metadata/0"}},
		files: map[string]string{
			"__raft_metadata/0/wal_0_0.log": file(one(0, "hard"), one(0, "conf"), one(0, "hard"),
				v2{variant: 'c', topic: "__raft_metadata", data: "e", base: 3, last: 4, count: 2}, one(3, "again")),
			"t/0/wal_0_0.log": file(one(0, "a")),
		},
		records: []string{
			`__raft_metadata/0 0 1700000000000 - "hard"`, `__raft_metadata/0 1 1700000000000 - "conf"`,
			`__raft_metadata/0 2 1700000000000 - "hard"`, opaque("__raft_metadata/0", 3, "e", 3, 4, 2),
			`__raft_metadata/0 4 1700000000003 - "again"`, line("t/0", 0, "a"),
		},
		counts: [4]int64{6, 0, 0, 0},
	},
}

// huge is the beginning of a record that says it has 4 GiB.
func huge() string {
	b := one(1, "x").bytes()
	copy(b[4:8], "\xff\xff\xff\xff")
	return string(b)
}

// goldenDir is where the files of a golden directory are.
func goldenDir(name string) string { return filepath.Join("testdata", "golden", name) }

// The committed files are what the description of the layouts gives.
func TestGoldenFiles(t *testing.T) {
	if *update {
		require.NoError(t, os.RemoveAll(goldenDir("")))
		for _, g := range goldens {
			write(t, goldenDir(g.name), g.files)
		}
	}
	for _, g := range goldens {
		t.Run(g.name, func(t *testing.T) {
			require.Equal(t, g.files, readFiles(t, goldenDir(g.name)))
		})
	}
}

func write(t testing.TB, dir string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		name = filepath.Join(dir, filepath.FromSlash(name))
		require.NoError(t, os.MkdirAll(filepath.Dir(name), 0o700))
		require.NoError(t, os.WriteFile(name, []byte(text), 0o600))
	}
}

func readFiles(t testing.TB, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	require.NoError(t, filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		name, _ := filepath.Rel(dir, path)
		files[filepath.ToSlash(name)] = string(text)
		return err
	}))
	return files
}

func show(topic string, partition int32, r wal.Record) string {
	key := "-"
	if r.Key != nil {
		key = fmt.Sprintf("%q", r.Key)
	}
	text := fmt.Sprintf("%s/%d %d %d %s %q", topic, partition, r.Offset, r.Timestamp.UnixMilli(), key, r.Value)
	for _, h := range r.Headers {
		text += fmt.Sprintf(" %s=%q", h.Key, h.Value)
	}
	return text
}

// showSource lists what a source has.
func showSource(t testing.TB, s *walv0.Source) (lines []string) {
	t.Helper()
	for _, p := range s.Report().Partitions {
		for r, err := range s.Records(t.Context(), p.Topic, p.Partition, 0) {
			require.NoError(t, err)
			lines = append(lines, show(p.Topic, p.Partition, r))
		}
	}
	return lines
}

func showDamage(list []walv0.Damage) (lines []string) {
	for _, d := range list {
		lines = append(lines, fmt.Sprintf("%s %d %d %s", filepath.ToSlash(d.File), d.Offset, d.Length, d.Reason))
	}
	return lines
}

// Every layout and quirk gives exactly the records that are in it, and says exactly what is wrong.
func TestScanGolden(t *testing.T) {
	for _, g := range goldens {
		t.Run(g.name, func(t *testing.T) {
			s, err := walv0.Scan(t.Context(), goldenDir(g.name), g.o)
			require.NoError(t, err)
			defer s.Close()
			r := s.Report()
			require.Equal(t, g.damage, showDamage(r.Damage))
			require.Equal(t, g.counts, [4]int64{r.Records, r.Duplicates, r.BadCRC, r.TornTails})
			size, files := 0, 0
			for name, text := range g.files {
				if strings.HasSuffix(name, ".log") {
					size += len(text)
					files++
				}
			}
			require.EqualValues(t, size, r.Bytes)
			require.Equal(t, files, r.Files)
			for _, p := range r.Partitions {
				if next, ok := g.next[fmt.Sprintf("%s/%d", p.Topic, p.Partition)]; ok {
					require.Equal(t, next, p.Next)
				}
			}
			if g.records != nil && len(r.Damage) == 0 || g.name == "damage" {
				require.Equal(t, g.records, showSource(t, s))
			}
		})
	}
}

func TestScanNames(t *testing.T) {
	s, err := walv0.Scan(t.Context(), goldenDir("names"), walv0.Options{})
	require.NoError(t, err)
	defer s.Close()
	require.ElementsMatch(t, []string{
		filepath.FromSlash("t/0/wal_0_0.log.bak"), filepath.FromSlash("t/x"), "z",
	}, s.Report().Ignored)
	for _, dir := range []string{t.TempDir(), filepath.Join(goldenDir("names"), "t")} {
		_, err = walv0.Scan(t.Context(), dir, walv0.Options{})
		require.ErrorIs(t, err, walv0.ErrNoSource)
	}
	_, err = walv0.Scan(t.Context(), goldenDir("v1"), walv0.Options{Renumber: []string{"orders/1"}})
	require.ErrorIs(t, err, wal.ErrInvalid)
}
