package bench

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// What is said of the page cache is so: the kernel is asked.
func TestBring(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "log", "f")
	require.NoError(t, os.Mkdir(filepath.Dir(path), 0o700))
	require.NoError(t, os.WriteFile(path, make([]byte, 1<<20), 0o600))
	f, err := os.Open(path)
	require.NoError(t, err)
	defer func() { _ = f.Close() }()
	var fs unix.Statfs_t
	require.NoError(t, unix.Fstatfs(int(f.Fd()), &fs))
	if fs.Type == unix.TMPFS_MAGIC {
		t.Skip("a file system in memory has nothing but the page cache")
	}
	for range 2 {
		require.NoError(t, bring(dir, PageCacheCold))
		require.Zero(t, cached(t, f))
		require.NoError(t, bring(dir, PageCacheWarm))
		require.EqualValues(t, (1<<20)/os.Getpagesize(), cached(t, f))
	}
}

// cached is how many pages of a file are in memory.
func cached(t *testing.T, f *os.File) uint64 {
	var got unix.Cachestat_t
	err := unix.Cachestat(uint(f.Fd()), &unix.CachestatRange{}, &got, 0)
	if err == unix.ENOSYS {
		t.Skip("cachestat is of Linux 6.5 and later")
	}
	require.NoError(t, err)
	return got.Cache
}
