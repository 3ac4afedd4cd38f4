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

// shardedLog makes a data directory with two logs and 16 partitions of one record.
func shardedLog(t *testing.T) (dir, shard string) {
	t.Helper()
	dir = t.TempDir()
	m, err := wal.Open(dir, wal.WithShards(2))
	require.NoError(t, err)
	for n := range int32(16) {
		_, err := m.Append(t.Context(), "t", n, wal.Record{Value: []byte("x")})
		require.NoError(t, err)
	}
	require.NoError(t, m.Close())
	return dir, filepath.Join(dir, "shard-0001")
}

// requireRefused demands that each command on a data directory exits so, and says in one line
// what to do.
func requireRefused(t *testing.T, dir string, commands []string, code int, words ...string) {
	t.Helper()
	for _, command := range commands {
		o := run(t, "x\n", append(strings.Fields(command), "--dir", dir)...)
		require.Equal(t, code, o.code, "%s: %s", command, o.stderr)
		require.Empty(t, o.stdout, command)
		require.Equal(t, 1, strings.Count(o.stderr, "\n"), "one line: %s", o.stderr)
		for _, w := range words {
			require.Contains(t, o.stderr, w, command)
		}
	}
}

var (
	writing = []string{"append --topic t --partition 3", "truncate --topic t --before 1"}
	reading = []string{"read --topic t", "ls", "segments", "verify", "dump", "repair --dry-run"}
)

// A shard whose disk is not mounted is no empty log: every command says what to do, and changes
// nothing.
func TestShardThatIsNotMounted(t *testing.T) {
	dir, shard := shardedLog(t)
	away := filepath.Join(t.TempDir(), "disk")
	quarantine := filepath.Join(t.TempDir(), "q")
	commands := append(append([]string{"repair --quarantine " + quarantine}, writing...), reading...)
	require.NoError(t, os.Rename(shard, away))
	requireRefused(t, dir, commands, exitCannot, shard, "is missing", "mount its disk there")
	require.NoError(t, os.Mkdir(shard, 0o700))
	requireRefused(t, dir, commands, exitCannot, shard, "is empty", "mount its disk there", "nothing was changed")
	for _, path := range []string{shard, quarantine} {
		entries, _ := os.ReadDir(path)
		require.Empty(t, entries)
	}
	require.NoError(t, os.Remove(shard))
	require.NoError(t, os.Symlink(away, shard))
	for n := range 16 {
		ok(t, "y\n", "append", "--dir", dir, "--topic", "t", "--partition", fmt.Sprint(n))
		require.Equal(t, "x\ny\n", ok(t, "", "read", "--dir", dir, "--topic", "t", "--partition", fmt.Sprint(n)))
	}
}

// A damaged member file is damage; its twin mends it.
func TestDamagedMemberFile(t *testing.T) {
	dir, shard := shardedLog(t)
	require.NoError(t, os.Truncate(shard+".member", 17))
	requireRefused(t, dir, append(reading, writing...), exitRefused, shard+".member", "copy shard-0001/log.member over it")
	b, err := os.ReadFile(filepath.Join(shard, "log.member"))
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(shard+".member", b, 0o600))
	ok(t, "", "verify", "--dir", dir)
}

// A part of a data directory can be looked at by itself, and not written.
func TestPartOfADataDirectory(t *testing.T) {
	dir, shard := shardedLog(t)
	requireRefused(t, shard, []string{"append --topic t --partition 3", "repair --quarantine " + t.TempDir()}, exitCannot,
		shard, "it is shard-0001 of data directory", "open that data directory for writing")
	require.NotEmpty(t, ok(t, "", "ls", "--dir", shard))
	ok(t, "", "verify", "--dir", shard)
	ok(t, "", "verify", "--dir", dir)
}
