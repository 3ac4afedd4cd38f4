package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	wal "github.com/chronik-go/wal/core"
)

// The way back needs no other program: with the environment variable set, the command appends to a v0
// directory, reads, lists and verifies it.
func TestLegacyFormat(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "v0")
	t.Setenv("CHRONIK_WAL_LEGACY_FORMAT", "true")
	require.Equal(t, "t 2 0\nt 2 1\nt 2 2\n", ok(t, "a\nb\nc\n", "append", "--dir", dir, "--topic", "t", "--partition", "2", "--batch", "2"))
	require.FileExists(t, filepath.Join(dir, "t", "2", "wal_2_0.log"))
	require.Equal(t, "b\nc\n", ok(t, "", "read", "--dir", dir, "--topic", "t", "--partition", "2", "--from", "1"))
	require.Equal(t, "b\n", ok(t, "", "read", "--dir", dir, "--topic", "t", "--partition", "2", "--from", "1", "--limit", "1"))
	list := decode[[]wal.PartitionInfo](t, ok(t, "", "ls", "--dir", dir, "--json"))
	require.Len(t, list, 1)
	require.Equal(t, [3]int64{0, 3, 3}, [3]int64{list[0].FirstOffset, list[0].NextOffset, list[0].Records})
	require.True(t, decode[reportJSON](t, ok(t, "", "verify", "--dir", dir, "--json")).OK)

	key := filepath.Join(t.TempDir(), "key")
	require.NoError(t, os.WriteFile(key, []byte(strings.Repeat("a", 64)), 0o600))
	for _, c := range []struct{ args, want string }{
		{"read --topic t", "no such partition"},
		{"read --topic t --partition 2 --from 4", "out of range"},
		{"read --topic t --partition 2 --follow", "--follow"},
		{"append --topic t --producer 1", "--producer"},
		{"append --topic t --key-file KEY", "--key-file: v0 has no encryption"},
		{"append --topic t --key-file MISSING", "--key-file: v0 has no encryption"},
		{"append --topic t --cipher chacha20-poly1305", "--cipher: v0 has no encryption"},
		{"append --topic t --codec zstd:3", "--codec: v0 has no compression"},
		{"append --topic t --checksum xxh64", "--checksum: v0 has a checksum of its own"},
		{"truncate --topic t --partition 2 --before 1", "set CHRONIK_WAL_LEGACY_FORMAT to false"},
	} {
		o := run(t, "x\n", append(split(strings.Replace(c.args, "KEY", key, 1)), "--dir", dir)...)
		require.Equal(t, 2, o.code, c.args)
		require.Contains(t, o.stderr, c.want, c.args)
	}
	require.NoDirExists(t, filepath.Join(dir, "t", "0"), "what was refused is not there")
	require.Equal(t, "e 0 0\n", ok(t, "d\n", "append", "--dir", dir, "--topic", "e", "--codec", "none", "--checksum", "crc32c"))
	// What is damaged is told of, and not written to.
	name := filepath.Join(dir, "t", "2", "wal_2_0.log")
	data, err := os.ReadFile(name)
	require.NoError(t, err)
	data[45]++
	require.NoError(t, os.WriteFile(name, data, 0o600))
	for _, args := range []string{"read --topic t --partition 2", "ls", "verify", "append --topic t --partition 2"} {
		o := run(t, "x\n", append(split(args), "--dir", dir)...)
		require.Equal(t, 1, o.code, args)
		require.Contains(t, o.stderr, "the source is damaged: "+filepath.Join("t", "2", "wal_2_0.log")+" at byte ", args)
	}
	// Without the variable it is not made a v1 log.
	t.Setenv("CHRONIK_WAL_LEGACY_FORMAT", "")
	o := run(t, "x\n", "append", "--dir", dir, "--topic", "t")
	require.Equal(t, 2, o.code)
	require.Contains(t, o.stderr, "set CHRONIK_WAL_LEGACY_FORMAT to true")
	for _, command := range []string{
		"read --topic t", "ls", "segments", "verify", "dump", "truncate --topic t --before 1", "repair --dry-run", "train-dict --list",
	} {
		o := run(t, "", append(split(command), "--dir", dir)...)
		require.Equal(t, 2, o.code, command)
		require.Contains(t, o.stderr, ": it is a v0 directory: set CHRONIK_WAL_LEGACY_FORMAT to true, or make a v1 log of it with wal-migrate\n", command)
		require.NotContains(t, o.stderr, "append makes a new log", command)
	}
	segments, err := filepath.Glob(filepath.Join(dir, "*.wal"))
	require.NoError(t, err)
	require.Empty(t, segments)
}
