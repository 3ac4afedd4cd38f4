package conformance

import (
	"github.com/stretchr/testify/require"

	"github.com/chronik-go/wal/core/backend"
)

func checkSize(t *T) {
	path := t.TempDir()
	d := t.openDir(path, backend.DirOptions{})
	f := t.create(d, "f", 3*block)
	files := []backend.File{f, t.open(d, "f"), t.open(t.readOnly(path), "f")}
	demand := func(want int64) {
		t.Helper()
		for i, f := range files {
			got, err := f.Size()
			require.NoError(t, err)
			require.Equal(t, want, got, "through File %d", i)
		}
	}
	demand(3 * block)
	for i, size := range []int64{3 * block, block, 100, 0, 5 * block, 5*block + 1, 1 << 20} {
		require.NoError(t, files[i%2].Resize(size))
		demand(size)
	}
	require.NoError(t, f.Sync())
	q := t.queue(d, 1)
	buf := t.buffer(q, block, 1)
	for _, f := range files[:2] {
		w := backend.Write{File: f, Offset: 1<<20 - block, Data: buf.Bytes[:block], Buffer: buf, Sync: true}
		t.write(q, w)
	}
	demand(1 << 20)
}

func checkResize(t *T) {
	d := t.newDir()
	const size = 8 * block
	f, q := t.create(d, "f", size), t.queue(d, 1)
	want := filled(size, 1)
	t.put(q, f, want)
	resize := func(n int) {
		t.Helper()
		require.NoError(t, f.Resize(int64(n)))
		want = append(want[:min(n, len(want)):min(n, len(want))], make([]byte, max(0, n-len(want)))...)
		t.same(want, t.content(f), "after Resize to %d", n)
	}
	for _, n := range []int{size, 5 * block, 5*block - 1, 5 * block, size, 3*block + 700, 1 << 20, 513, 100_000, 0, 2 * block} {
		resize(n)
	}
	rng := t.rng()
	for range 40 {
		if blocks := len(want) / block; blocks > 0 {
			n := (1 + rng.IntN(blocks)) * block
			fill(want[:n], rng.IntN(1000))
			t.put(q, f, want[:n])
		}
		resize(rng.IntN(size + 1))
		if rng.IntN(4) == 0 {
			require.NoError(t, f.Sync())
			require.NoError(t, f.Close())
			f = t.open(d, "f")
			t.same(want, t.content(f), "opened again")
		}
	}
	for _, n := range []int64{-1, 1 << 62} {
		require.Error(t, f.Resize(n))
		t.same(want, t.content(f), "after a Resize that failed")
	}
}

func checkNextData(t *T) {
	d := t.newDir()
	const size = 8 << 20
	f, q := t.create(d, "f", size), t.queue(d, 1)
	finder, ok := f.(backend.DataFinder)
	if !ok {
		t.Skipf("files of this backend are no DataFinder")
	}
	buf := t.buffer(q, block, 1)
	demand := func(from int64) {
		t.Helper()
		next, err := finder.NextData(from)
		require.NoError(t, err)
		switch {
		case from >= size:
			require.Equal(t, from, next)
			return
		case next < from || next > size:
			require.Failf(t, "other offset", "%d from %d of %d", next, from, size)
		case next > from:
			passed := make([]byte, next-from)
			_, err = f.ReadAt(passed, from)
			require.NoError(t, err)
			t.zeros(passed, "what NextData passes over")
		}
	}
	look := func() {
		for _, from := range []int64{0, 1, block, size/2 - 1, size / 2, size/2 + block - 1, size/2 + block, size - 1, size, size + 10} {
			demand(from)
		}
	}
	look()
	for _, at := range []int64{size / 2, 3 * block, size - block} {
		t.write(q, backend.Write{File: f, Offset: at, Data: buf.Bytes[:block], Buffer: buf})
		demand(at)
		look()
	}
	rng := t.rng()
	for range 100 {
		demand(rng.Int64N(size))
	}
	_, err := finder.NextData(-1)
	require.Error(t, err)
}
