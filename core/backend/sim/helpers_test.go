package sim_test

import (
	"github.com/stretchr/testify/require"

	"github.com/chronik-go/wal/core/backend"
	"github.com/chronik-go/wal/core/backend/sim"
)

const at = "/d"

// tester is testing.TB, or rapid.T.
type tester interface {
	require.TestingT
	Helper()
}

func openDir(tb tester, d *sim.Disk) backend.Dir {
	tb.Helper()
	dir, err := d.OpenDir(at, backend.DirOptions{Create: true})
	require.NoError(tb, err)
	return dir
}

func openQueue(tb tester, d *sim.Disk, depth int) (backend.Dir, backend.Queue) {
	tb.Helper()
	dir := openDir(tb, d)
	q, err := dir.Queue(backend.QueueOptions{Depth: depth})
	require.NoError(tb, err)
	return dir, q
}

// pattern is n bytes that are not zero, of a kind.
func pattern(n int, kind byte) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = kind
	}
	return b
}

func newBatch(tb tester, q backend.Queue, f backend.File, off int64, data []byte, sync bool) *backend.Batch {
	tb.Helper()
	w := backend.Write{File: f, Offset: off, Sync: sync}
	if len(data) > 0 {
		buf, err := q.Buffer(len(data))
		require.NoError(tb, err)
		w.Buffer, w.Data = buf, buf.Bytes[:len(data)]
		copy(w.Data, data)
	}
	return &backend.Batch{Writes: []backend.Write{w}}
}

func submit(tb tester, q backend.Queue, f backend.File, off int64, data []byte, sync bool) *backend.Batch {
	tb.Helper()
	b := newBatch(tb, q, f, off, data, sync)
	require.NoError(tb, q.Submit(b))
	return b
}

func wait(tb tester, q backend.Queue) *backend.Batch {
	tb.Helper()
	b, err := q.Wait()
	require.NoError(tb, err)
	require.NotNil(tb, b)
	for i := range b.Writes {
		if w := &b.Writes[i]; w.Buffer != nil {
			q.Release(w.Buffer)
		}
	}
	return b
}

// try writes and returns the write's own error.
func try(tb tester, q backend.Queue, f backend.File, off int64, data []byte, sync bool) error {
	tb.Helper()
	submit(tb, q, f, off, data, sync)
	return wait(tb, q).Failed()
}

// put writes and demands success.
func put(tb tester, q backend.Queue, f backend.File, off int64, data []byte, sync bool) {
	tb.Helper()
	require.NoError(tb, try(tb, q, f, off, data, sync))
}

// create makes a file that a crash leaves alone.
func create(tb tester, dir backend.Dir, name string, size int64) backend.File {
	tb.Helper()
	f, err := dir.Create(name, size)
	require.NoError(tb, err)
	require.NoError(tb, f.Sync())
	require.NoError(tb, dir.Sync())
	return f
}

// read returns the whole content of a file of a disk.
func read(tb tester, d *sim.Disk, name string) []byte {
	tb.Helper()
	b, err := d.ReadFile(at + "/" + name)
	require.NoError(tb, err)
	return b
}
