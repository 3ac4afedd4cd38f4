package uring

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	posix "github.com/chronik-go/wal/backend-posix"
	"github.com/chronik-go/wal/core/backend"
)

// Batches that go to the kernel at once and name more files than the ring has slots: each write
// goes to its file, and those that have a slot again are registered again.
func TestMoreFilesThanSlots(t *testing.T) {
	const n, size = fileSlots + 4, 4096
	d, err := New(WithDirect(posix.DirectOn)).OpenDir(t.TempDir(), backend.DirOptions{})
	require.NoError(t, err)
	q, err := d.Queue(backend.QueueOptions{Depth: 2})
	require.NoError(t, err)
	buf, err := q.Buffer(n * size)
	require.NoError(t, err)
	var writes []backend.Write
	for i := range n {
		f, err := d.Create(fmt.Sprint("f", i), size)
		require.NoError(t, err)
		data := buf.Bytes[i*size : (i+1)*size]
		copy(data, bytes.Repeat([]byte{byte(i + 1)}, size))
		writes = append(writes, backend.Write{File: f, Data: data, Buffer: buf})
	}
	require.NoError(t, q.Submit(&backend.Batch{Writes: writes[:n/2]}))
	require.NoError(t, q.Submit(&backend.Batch{Writes: writes[n/2:]}))
	for range 2 {
		b, err := q.Wait()
		require.NoError(t, err)
		require.NoError(t, b.Failed())
	}
	for i, w := range writes {
		got := make([]byte, size)
		_, err := w.File.ReadAt(got, 0)
		require.NoError(t, err)
		require.Equal(t, bytes.Repeat([]byte{byte(i + 1)}, size), got, "file %d", i)
	}

	last := writes[n-1]
	require.NoError(t, q.Submit(&backend.Batch{Writes: []backend.Write{last}}))
	b, err := q.Wait()
	require.NoError(t, err)
	require.NoError(t, b.Failed())
	table := &q.(*queue).carrier.(*solo).engine.files
	require.Contains(t, table.slots, last.File, "slots are not given up any more")
	require.NotContains(t, table.named, true)

	require.NoError(t, q.Close())
	for _, w := range writes {
		require.NoError(t, w.File.Close())
	}
	require.NoError(t, d.Close())
}
