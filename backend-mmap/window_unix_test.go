//go:build unix

package mmap

import (
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/chronik-go/wal/core/backend"
)

// A file that is mapped, and then enlarged through another File, is written up to its new end.
func TestEnlargedThroughAnotherFile(t *testing.T) {
	const small, large = 8192, 1 << 16
	d, err := New().OpenDir(t.TempDir(), backend.DirOptions{})
	require.NoError(t, err)
	q, err := d.Queue(backend.QueueOptions{Depth: 1})
	require.NoError(t, err)
	buf, err := q.Buffer(large)
	require.NoError(t, err)
	for i := range buf.Bytes {
		buf.Bytes[i] = byte(i>>8 + i)
	}
	a, err := d.Create("f", small)
	require.NoError(t, err)
	b, err := d.Open("f")
	require.NoError(t, err)
	write := func(from, to int) {
		x := &backend.Batch{Writes: []backend.Write{{File: a, Offset: int64(from), Data: buf.Bytes[from:to], Buffer: buf, Sync: true}}}
		require.NoError(t, q.Submit(x))
		_, err := q.Wait()
		require.NoError(t, err)
		require.NoError(t, x.Failed())
	}
	write(0, small)
	used, err := a.(*file).use(0)
	require.NoError(t, err)
	require.NoError(t, b.Resize(large/2))
	write(small, large/2)
	require.Equal(t, buf.Bytes[0], used.mem[0], "memory that is in use is unmapped")
	a.(*file).done(used)
	require.NoError(t, b.Resize(large))
	write(small, large) // from inside what is mapped to behind it
	require.Len(t, a.(*file).windows, 1)

	requireContent := func(want []byte) {
		t.Helper()
		got := make([]byte, large)
		_, err = b.ReadAt(got, 0)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	requireContent(buf.Bytes[:large])
	// Cut and enlarged again it is still mapped, and that is over space that is reserved.
	require.NoError(t, b.Resize(0))
	require.NoError(t, b.Resize(large))
	var st unix.Stat_t
	fd, _ := a.(*file).Descriptors()
	require.NoError(t, unix.Fstat(fd, &st))
	require.GreaterOrEqual(t, st.Blocks*512, int64(large))
	requireContent(make([]byte, large))
	write(0, large)
	requireContent(buf.Bytes[:large])
	require.Len(t, a.(*file).windows, 1)
	require.NoError(t, q.Close())
	require.NoError(t, a.Close())
	require.NoError(t, b.Close())
	require.NoError(t, d.Close())
}
