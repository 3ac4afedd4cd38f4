package posix

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	wal "github.com/chronik-go/wal/core"
)

// A data directory with several logs is the same by whatever path it is come to, and stays so when the
// process changes its directory while it is open.
func TestPathsOfSeveralLogs(t *testing.T) {
	base := t.TempDir()
	for _, name := range []string{"x", "disk", "elsewhere", "far/away"} {
		require.NoError(t, os.MkdirAll(filepath.Join(base, name), 0o700))
	}
	require.NoError(t, os.Symlink("d", filepath.Join(base, "link")))
	require.NoError(t, os.Symlink("far/away", filepath.Join(base, "trap"))) // trap/.. is far
	require.NoError(t, os.Mkdir(filepath.Join(base, "d"), 0o700))
	require.NoError(t, os.Symlink("../disk", filepath.Join(base, "d", "shard-0001")))
	paths := []string{"d", "./d", "d/", "d/.", "x/../d", "link", "link/", "./x/.././link/.", base + "/d", base + "//link", "trap/../../d"}
	for round, path := range paths {
		t.Chdir(base)
		m, err := wal.Open(path, wal.WithBackend(New()), wal.WithShards(2), wal.WithSegmentSize(1<<16))
		require.NoError(t, err, path)
		for n := range int32(6) {
			p, err := m.Partition("t", n)
			require.NoError(t, err)
			require.EqualValues(t, round, p.NextOffset(), "%s: t/%d", path, n)
			_, err = p.Append(t.Context(), wal.Record{Value: []byte("x")})
			require.NoError(t, err)
		}
		require.NoError(t, m.Close())

		m, err = wal.Open(path, wal.WithBackend(New()), wal.WithLayout(wal.LayoutDedicated), wal.WithSegmentSize(1<<16))
		require.NoError(t, err, path)
		t.Chdir(filepath.Join(base, "elsewhere"))
		_, err = m.Append(t.Context(), "own", int32(round), wal.Record{Value: []byte("x")})
		require.NoError(t, err, path)
		require.NoError(t, m.Close())
		require.DirExists(t, filepath.Join(base, "d", fmt.Sprintf("dedicated-%06d", round+1)))

		t.Chdir(base)
		report, err := wal.Verify(t.Context(), path, wal.WithBackend(New()))
		require.NoError(t, err, path)
		require.True(t, report.OK)
		require.EqualValues(t, 7*(round+1), report.Records, path)
	}
	entries, err := os.ReadDir(filepath.Join(base, "elsewhere"))
	require.NoError(t, err)
	require.Empty(t, entries)
	entries, err = os.ReadDir(filepath.Join(base, "disk"))
	require.NoError(t, err)
	require.NotEmpty(t, entries, "the shard's files are on its disk")
}
