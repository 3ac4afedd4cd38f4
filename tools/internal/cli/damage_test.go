package cli

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	wal "github.com/chronik-go/wal/core"
)

// damagedLog makes a log of two partitions in several segments and spoils a byte in the
// middle of the first segment. It returns the log and all values of partition 0.
func damagedLog(t *testing.T) (dir, segment string, values []string) {
	t.Helper()
	t.Setenv("CHRONIK_WAL_SEGMENT_SIZE", "65536")
	dir = t.TempDir()
	for i := range 1000 {
		values = append(values, fmt.Sprintf("%d %s", i, strings.Repeat("x", 200)))
	}
	ok(t, strings.Join(values, "\n")+"\n", "append", "--dir", dir, "--topic", "t", "--inflight", "8", "--fsync", "always")
	ok(t, "a\nb\n", "append", "--dir", dir, "--topic", "u")
	segments := decode[[]wal.SegmentInfo](t, ok(t, "", "segments", "--dir", dir, "--json"))
	require.Greater(t, len(segments), 2)
	segment = segments[0].Name
	spoil(t, filepath.Join(dir, segment), lastByteOfABatch(t, dir, 30_000))
	return dir, segment, values
}

// spoil changes a byte of a file.
func spoil(t *testing.T, path string, at int64) {
	t.Helper()
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	b[at] ^= 0xff
	require.NoError(t, os.WriteFile(path, b, 0o600))
}

// lastByteOfABatch returns where the first batch behind a position of segment 1 ends.
func lastByteOfABatch(t *testing.T, dir string, position int64) int64 {
	t.Helper()
	for line := range strings.Lines(ok(t, "", "dump", "--dir", dir, "--segment", "1", "--json")) {
		item := decode[struct {
			Kind             wal.DumpKind
			Position, Length int64
		}](t, line)
		if item.Kind == wal.DumpData && item.Position > position {
			return item.Position + item.Length - 1
		}
	}
	require.Fail(t, "no batch there")
	return 0
}

func TestDamagedLog(t *testing.T) {
	dir, segment, values := damagedLog(t)

	o := run(t, "", "verify", "--dir", dir, "--json")
	require.Equal(t, 1, o.code)
	require.Contains(t, o.stderr, "repair")
	report := decode[reportJSON](t, o.stdout)
	require.False(t, report.OK)
	require.Len(t, report.Damage, 1)
	require.Equal(t, segment, report.Damage[0].Segment)
	require.Len(t, report.Damage[0].Partitions, 1)
	lost := report.Damage[0].Partitions[0]
	require.Equal(t, "t", lost.Topic)
	require.Less(t, lost.From, lost.To)

	before := strings.Join(values[:lost.From], "\n") + "\n"
	behind := strings.Join(values[lost.To:], "\n") + "\n"
	missing := fmt.Sprintf("topic t partition 0: the records at offsets %d to %d are lost", lost.From, lost.To-1)

	o = run(t, "", "read", "--dir", dir, "--topic", "t")
	require.Equal(t, 1, o.code)
	require.True(t, o.stdout == before, "it prints what is before the hole: %d bytes", len(o.stdout))
	require.Contains(t, o.stderr, missing)
	require.Contains(t, o.stderr, "--skip-damage reads on behind them")
	require.Equal(t, 1, strings.Count(o.stderr, "\n"))

	o = run(t, "", "read", "--dir", dir, "--topic", "t", "--skip-damage")
	require.Equal(t, 1, o.code)
	require.True(t, o.stdout == before+behind)
	require.Contains(t, o.stderr, missing)
	require.NotContains(t, o.stderr, "--skip-damage", "it was given")

	require.Equal(t, "a\nb\n", ok(t, "", "read", "--dir", dir, "--topic", "u"), "the other partition is whole")
	require.Equal(t, 0, run(t, "", "read", "--dir", dir, "--topic", "t", "--limit", fmt.Sprint(lost.From)).code)

	repaired(t, dir, lost.From, lost.To, before+behind)
}

// Each hole is told, in a line of its own, and one of several lost batches whole.
func TestReadTellsOfEachHole(t *testing.T) {
	dir := t.TempDir()
	ok(t, lines(30), "append", "--dir", dir, "--topic", "t")
	segment := filepath.Join(dir, decode[[]wal.SegmentInfo](t, ok(t, "", "segments", "--dir", dir, "--json"))[0].Name)
	lost := map[int64]bool{5: true, 8: true, 9: true, 10: true, 29: true}
	for line := range strings.Lines(ok(t, "", "dump", "--dir", dir, "--json")) {
		item := decode[struct {
			Position, Length int64
			Kind             wal.DumpKind
			Entry            *wal.DumpEntryInfo
		}](t, line)
		if item.Kind == wal.DumpData && lost[item.Entry.Base] {
			spoil(t, segment, item.Position+item.Length-1)
		}
	}
	hole := func(from, to int) string {
		return fmt.Sprintf("chronik-wal read: topic t partition 0: the records at offsets %d to %d are lost: see chronik-wal verify", from, to)
	}
	const goOn = "; --skip-damage reads on behind them\n"
	for _, c := range []struct{ flags, stderr string }{
		{"", hole(5, 5) + goOn},
		{"--from 7", hole(8, 10) + goOn},
		{"--from 9 --json", hole(9, 10) + goOn},
		{"--from 11", hole(29, 29) + goOn},
		{"--skip-damage", hole(5, 5) + "\n" + hole(8, 10) + "\n" + hole(29, 29) + "\n"},
		{"--skip-damage --json", hole(5, 5) + "\n" + hole(8, 10) + "\n" + hole(29, 29) + "\n"},
		{"--skip-damage --limit 9", hole(5, 5) + "\n" + hole(8, 10) + "\n"},
		{"--skip-damage --limit 6", hole(5, 5) + "\n"},
	} {
		o := run(t, "", append(split("read --dir "+dir+" --topic t"), split(c.flags)...)...)
		require.Equal(t, 1, o.code, c.flags)
		require.Equal(t, c.stderr, o.stderr, c.flags)
	}
}

// repaired repairs the log and looks at what it says and leaves.
func repaired(t *testing.T, dir string, from, to int64, kept string) {
	t.Helper()
	quarantine := filepath.Join(t.TempDir(), "q")
	image := tree(t, dir)
	dryRun := func(args ...string) string {
		o := run(t, "", append([]string{"repair", "--dir", dir, "--dry-run"}, args...)...)
		require.Equal(t, 1, o.code, "the log is damaged, and stays so")
		require.Contains(t, o.stderr, "log is damaged")
		return o.stdout
	}
	dry := decode[repairJSON](t, dryRun("--json"))
	require.True(t, dry.DryRun)
	require.Equal(t, image, tree(t, dir), "a dry run changes nothing")

	text := dryRun()
	require.Contains(t, text, "would move")
	require.NotContains(t, text, "\nmoved")
	require.Empty(t, decode[reportJSON](t, run(t, "", "verify", "--dir", dir, "--json").stdout).DeclaredLost, "not yet")

	out := ok(t, "", "repair", "--dir", dir, "--quarantine", quarantine)
	require.Contains(t, out, fmt.Sprintf("t/0 offsets %d to %d", from, to-1))
	verified := ok(t, "", "verify", "--dir", dir)
	require.Contains(t, verified, "ok               true")
	require.Contains(t, verified, fmt.Sprintf("declared_lost    t/0 offsets %d to %d\n", from, to-1))
	require.Equal(t, []wal.PartitionSpan{{Topic: "t", Partition: 0, From: from, To: to}},
		decode[reportJSON](t, ok(t, "", "verify", "--dir", dir, "--json")).DeclaredLost)
	require.Equal(t, acks("t", 0, 1000, 1), ok(t, "new\n", "append", "--dir", dir, "--topic", "t"))
	o := run(t, "", "read", "--dir", dir, "--topic", "t", "--skip-damage")
	require.True(t, o.stdout == kept+"new\n", "every record that is not damaged is kept: %s", o.stderr)
	require.Contains(t, ok(t, "", "repair", "--dir", dir, "--quarantine", quarantine), "nothing to repair")
}

// tree returns the content of every file of a directory.
func tree(t *testing.T, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	require.NoError(t, filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		files[path] = string(b)
		return err
	}))
	return files
}

// The commands that only look need no write permission and change no byte.
func TestReadOnlyCommandsChangeNothing(t *testing.T) {
	dir, _, _ := damagedLog(t)
	for _, broken := range []bool{true, false} {
		if !broken {
			ok(t, "", "repair", "--dir", dir, "--quarantine", filepath.Join(t.TempDir(), "q"))
		}
		image := tree(t, dir)
		for _, command := range []string{"verify", "read --topic t", "ls", "segments", "dump", "env", "backends", "repair --dry-run"} {
			o := run(t, "", append(strings.Fields(command), "--dir", dir)...)
			require.Less(t, o.code, 2, "%s: %s", command, o.stderr)
			require.Equal(t, image, tree(t, dir), command)
		}
	}
}
