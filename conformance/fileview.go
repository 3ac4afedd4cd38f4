package conformance

import (
	"io"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"sync/atomic"

	"github.com/stretchr/testify/require"

	"github.com/chronik-go/wal/core/backend"
)

// viewer is a new file with content, and its directory.
type viewer struct {
	backend.Viewer
	path    string
	dir     backend.Dir
	file    backend.File
	content []byte
}

// viewer ends the check of a backend whose files do not show themselves.
func (t *T) viewer(size int) viewer {
	t.Helper()
	path := t.TempDir()
	d := t.openDir(path, backend.DirOptions{})
	f := t.create(d, "f", int64(size))
	v, ok := f.(backend.Viewer)
	if !ok {
		t.Skipf("files of this backend are no Viewer")
	}
	content := filled(size, 1)
	t.put(t.queue(d, 1), f, content)
	return viewer{Viewer: v, path: path, dir: d, file: f, content: content}
}

func checkViews(t *T) {
	const size = 3<<20 + block
	v := t.viewer(size)
	want := v.content
	demand := func(v backend.Viewer, at int64, n int) {
		t.Helper()
		calls := 0
		err := v.View(at, n, func(data []byte) {
			calls++
			t.same(want[min(at, size):min(at+int64(n), size)], data, "%d bytes at %d of %d", n, at, size)
		})
		if at+int64(n) > size && n > 0 {
			require.ErrorIs(t, err, io.EOF, "%d bytes at %d of %d", n, at, size)
			require.Zero(t, calls, "look is called for fewer bytes")
			return
		}
		require.NoError(t, err, "%d bytes at %d of %d", n, at, size)
		require.Equal(t, 1, calls)
	}
	ro, ok := t.open(t.readOnly(v.path), "f").(backend.Viewer)
	require.True(t, ok, "a file of a read-only Dir is no Viewer")
	rng := t.rng()
	for _, f := range []backend.Viewer{v, ro} {
		for _, n := range []int{0, 1, 511, block, block + 1, 1 << 20, size - 1, size, size + 1} {
			for _, at := range []int64{0, 1, block - 1, block, 1<<20 + 3, size - 1, size, size + 1, 10 * size} {
				demand(f, at, n)
			}
		}
		for range 200 {
			demand(f, rng.Int64N(size+1000), rng.IntN(1<<rng.IntN(22)))
		}
		for _, at := range []int64{-1, math.MinInt64, math.MaxInt64 - 5} {
			require.Error(t, f.View(at, 10, func([]byte) { t.Errorf("look is called for bytes at %d", at) }))
		}
		require.Error(t, f.View(0, -1, func([]byte) { t.Errorf("look is called for -1 bytes") }))
	}
	require.PanicsWithValue(t, "mine", func() { _ = v.View(0, 1, func([]byte) { panic("mine") }) })
	require.NoError(t, v.file.Close())
	require.ErrorIs(t, v.View(0, 1, func([]byte) { t.Errorf("look is called for a closed file") }), backend.ErrClosed)
}

func checkViewsStay(t *T) {
	v := t.viewer(1 << 20)
	var closed atomic.Bool
	done := make(chan error, 1)
	err := v.View(100, len(v.content)-100, func(data []byte) {
		require.NoError(t, v.dir.Rename("f", "g"))
		require.NoError(t, v.dir.Remove("g"))
		go func() { // it may wait until nobody looks
			err := v.file.Close()
			closed.Store(true)
			done <- err
		}()
		for range 1000 {
			if closed.Load() {
				break
			}
			runtime.Gosched()
		}
		other := t.create(v.dir, "h", int64(len(v.content)))
		t.put(t.queue(v.dir, 1), other, filled(len(v.content), 2))
		t.same(v.content[100:], data, "what is looked at")
	})
	require.NoError(t, err)
	require.NoError(t, <-done)
}

// checkViewsFail cuts the file under who looks at it. It is a process of its own: where the
// backend does not guard its memory, that dies.
func checkViewsFail(t *T) {
	v := t.viewer(1 << 20)
	whole, touched := false, byte(0)
	err := v.View(0, len(v.content), func(data []byte) {
		require.NoError(t, os.Truncate(filepath.Join(v.path, "f"), block))
		t.same(v.content, data, "what is looked at")
		touched += data[len(data)-1]
		whole = true
	})
	require.True(t, whole == (err == nil), "look has seen everything: %v, error: %v, %d", whole, err, touched)
	require.NoError(t, v.View(0, block, func(data []byte) { t.same(v.content[:block], data, "what is left") }))
}
