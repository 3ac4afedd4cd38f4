package posix

import (
	"bytes"
	"io/fs"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/chronik-go/wal/core/backend"
)

// What NextData passes over reads as zeros, and it passes over reserved space.
func TestNextData(t *testing.T) {
	const size, at, block = 8 << 20, 4 << 20, 4096
	d, err := New().OpenDir(t.TempDir(), backend.DirOptions{})
	require.NoError(t, err)
	defer d.Close()
	f, err := d.Create("f", size)
	require.NoError(t, err)
	defer f.Close()
	q, err := d.Queue(backend.QueueOptions{Depth: 1})
	require.NoError(t, err)
	defer q.Close()
	b, err := q.Buffer(block)
	require.NoError(t, err)
	copy(b.Bytes, bytes.Repeat([]byte{1}, block))
	require.NoError(t, q.Submit(&backend.Batch{Writes: []backend.Write{{File: f, Offset: at, Data: b.Bytes[:block], Buffer: b, Sync: true}}}))
	done, err := q.Wait()
	require.NoError(t, err)
	require.NoError(t, done.Failed())

	finder := f.(backend.DataFinder)
	// Before anything is read: what a read put in the cache counts as data.
	next, err := finder.NextData(0)
	require.NoError(t, err)
	require.Greater(t, next, int64(0), "reserved space is not passed over")
	next, err = finder.NextData(at + 2*block)
	require.NoError(t, err)
	require.EqualValues(t, size, next)
	next, err = finder.NextData(size + 10)
	require.NoError(t, err)
	require.EqualValues(t, size+10, next)
	_, err = finder.NextData(-1)
	require.ErrorIs(t, err, fs.ErrInvalid)
	for _, from := range []int64{0, 1, at - 1, at, at + block - 1, at + block, size - 1} {
		next, err := finder.NextData(from)
		require.NoError(t, err)
		require.GreaterOrEqual(t, next, from)
		skipped := make([]byte, next-from)
		_, err = f.ReadAt(skipped, from)
		require.NoError(t, err)
		require.Equal(t, make([]byte, len(skipped)), skipped, "from %d to %d", from, next)
	}
}
