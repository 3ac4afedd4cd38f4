package cli

import (
	"testing"

	"github.com/stretchr/testify/require"

	wal "github.com/chronik-go/wal/core"
)

// env shows each variable with what is in force and where that comes from: a flag wins
// over the environment, which wins over the default.
func TestEnv(t *testing.T) {
	t.Setenv("CHRONIK_WAL_DATA_DIR", "/from/environment")
	t.Setenv("CHRONIK_WAL_FSYNC_MODE", "always")
	t.Setenv("CHRONIK_WAL_SEGMENT_SIZE", "")
	find := func(args ...string) map[string][2]string {
		found := map[string][2]string{}
		for _, s := range decode[[]wal.Setting](t, ok(t, "", append([]string{"env", "--json"}, args...)...)) {
			found[s.Variable] = [2]string{s.Value, s.Source}
		}
		return found
	}
	got := find()
	require.Len(t, got, 9)
	require.Equal(t, [2]string{"/from/environment", "environment"}, got["CHRONIK_WAL_DATA_DIR"])
	require.Equal(t, [2]string{"always", "environment"}, got["CHRONIK_WAL_FSYNC_MODE"])
	require.Equal(t, [2]string{"1073741824", "default"}, got["CHRONIK_WAL_SEGMENT_SIZE"])
	got = find("--dir", "/from/flag", "--fsync", "periodic")
	require.Equal(t, [2]string{"/from/flag", "option"}, got["CHRONIK_WAL_DATA_DIR"])
	require.Equal(t, [2]string{"periodic", "option"}, got["CHRONIK_WAL_FSYNC_MODE"])
	require.Regexp(t, `CHRONIK_WAL_FSYNC_MODE +always +environment +`, ok(t, "", "env"))
}

// The layout of v0 is in force and told; a log of the other layout is read, and not written to.
func TestEnvOfLegacyFormat(t *testing.T) {
	dir := t.TempDir()
	ok(t, "a\n", "append", "--dir", dir, "--topic", "t")
	t.Setenv("CHRONIK_WAL_LEGACY_FORMAT", "true")
	require.Regexp(t, `CHRONIK_WAL_LEGACY_FORMAT +true +environment `, ok(t, "", "env"))
	require.Equal(t, "a\n", ok(t, "", "read", "--dir", dir, "--topic", "t"))
	ok(t, "", "backends")
	o := run(t, "b\n", "append", "--dir", dir, "--topic", "t")
	require.Equal(t, 2, o.code)
	require.Contains(t, o.stderr, "set CHRONIK_WAL_LEGACY_FORMAT to false")
	o = run(t, "", "truncate", "--dir", dir, "--topic", "t", "--before", "1")
	require.Equal(t, 2, o.code)
	require.Contains(t, o.stderr, "set CHRONIK_WAL_LEGACY_FORMAT to false")
}

func TestBackends(t *testing.T) {
	find := func() (names, auto []string) {
		for _, b := range decode[[]backendJSON](t, ok(t, "", "backends", "--json")) {
			names = append(names, b.Name)
			require.NotEmpty(t, b.Reason)
			require.True(t, b.Linked || !b.Usable)
			if b.Auto {
				auto = append(auto, b.Name)
				require.True(t, b.Usable)
			}
		}
		return names, auto
	}
	names, auto := find()
	require.ElementsMatch(t, []string{"posix", "uring", "mmap"}, names)
	require.Len(t, auto, 1)
	t.Setenv("CHRONIK_WAL_DISABLE_IO_URING", "true")
	_, auto = find()
	require.Equal(t, []string{"posix"}, auto)
	require.Regexp(t, `posix +true +true +true +auto takes it`, ok(t, "", "backends"))
}

func TestSizeFlag(t *testing.T) {
	for text, want := range map[string]int64{
		"0": 0, "1000": 1000, "1K": 1000, "2MB": 2e6, "3G": 3e9, "1T": 1e12, "4Ki": 4096, "1MiB": 1 << 20, "2GiB": 2 << 30, "1TiB": 1 << 40,
	} {
		var s size
		require.NoError(t, s.Set(text), text)
		require.Equal(t, want, int64(s), text)
	}
	for _, text := range []string{"", "x", "-1", "1.5G", "1Q", "KiB", "9999999999G", "1KK"} {
		var s size
		require.Error(t, s.Set(text), text)
	}
}

func TestSecondsFlag(t *testing.T) {
	for text, want := range map[string]string{"10": "10s", "0.25": "250ms", "1m": "1m0s", "300ms": "300ms"} {
		var s seconds
		require.NoError(t, s.Set(text), text)
		require.Equal(t, want, s.String())
	}
	for _, text := range []string{"", "x", "1e300", "NaN"} {
		var s seconds
		require.Error(t, s.Set(text), text)
	}
}
