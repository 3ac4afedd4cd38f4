package cli

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	wal "github.com/chronik-go/wal/core"
)

// twoSegments makes a log of a segment with two records and one with another, closed in
// order.
func twoSegments(t *testing.T) (dir string, first string) {
	t.Helper()
	dir = t.TempDir()
	ok(t, "a\nb\n", "append", "--dir", dir, "--topic", "t")
	ok(t, "c\n", "append", "--dir", dir, "--topic", "t")
	return dir, filepath.Join(dir, "00000000000000000001.wal")
}

// Every command that reads a log says that a segment is missing, and none says more than
// one thing about it.
func TestMissingSegment(t *testing.T) {
	dir, first := twoSegments(t)
	require.NoError(t, os.Remove(first))
	for _, command := range []string{"verify", "ls", "segments", "dump", "dump --json"} {
		o := run(t, "", append([]string{"--dir", dir}, split(command)...)...)
		require.Equal(t, 1, o.code, command)
		require.Contains(t, o.stderr, "segment 1, and maybe others before it, is missing; lost: t/0 offsets 0 to 1", command)
	}
	require.Contains(t, run(t, "", "dump", "--dir", dir).stdout, "bad ! segment 1")
	o := run(t, "", "read", "--dir", dir, "--topic", "other")
	require.Equal(t, 1, o.code)
	require.Equal(t, "chronik-wal read: no such partition in what can be read of this damaged log: other/0: "+
		"chronik-wal verify lists the damage, chronik-wal repair makes the log whole\n", o.stderr)

	quarantine := filepath.Join(t.TempDir(), "q")
	require.Contains(t, ok(t, "", "repair", "--dir", dir, "--quarantine", quarantine), "it was missing")
	require.NoDirExists(t, quarantine, "there was nothing to move")
}

// What nobody can put a name to is said to be lost too, and is not called missing.
func TestRepairOfNothingButDamage(t *testing.T) {
	dir := t.TempDir()
	ok(t, "a\nb\n", "append", "--dir", dir, "--topic", "t")
	require.NoError(t, os.WriteFile(filepath.Join(dir, "00000000000000000001.wal"), []byte("foobar"), 0o600))
	dry := run(t, "", "repair", "--dir", dir, "--dry-run", "--json")
	require.Equal(t, 1, dry.code)
	report := decode[repairJSON](t, dry.stdout)
	require.Equal(t, []wal.LSNSpan{{First: 1, Last: 2}}, report.LostEntries)
	text := ok(t, "", "repair", "--dir", dir, "--quarantine", filepath.Join(t.TempDir(), "q"))
	require.Contains(t, text, "lost    entries with LSN 1 to 2, of partitions that nothing tells\n")
	require.NotContains(t, text, "missing")
	require.Contains(t, text, "the log opens again")
}

// A segment that holds nothing but a truncation got no offsets.
func TestSegmentOfTruncation(t *testing.T) {
	dir, _ := twoSegments(t)
	ok(t, "", "truncate", "--dir", dir, "--topic", "t", "--before", "1")
	list := decode[[]wal.SegmentInfo](t, ok(t, "", "segments", "--dir", dir, "--json"))
	require.Len(t, list, 3)
	require.Empty(t, list[2].Partitions)
	require.NotContains(t, ok(t, "", "segments", "--dir", dir), "from offset")
}
