package conformance

import (
	"errors"

	"github.com/stretchr/testify/require"

	"github.com/chronik-go/wal/core/backend"
)

// largeSize is that of a file whose end no 32 bits reach. Reserved space takes no time, where
// there is that much.
const largeSize = 4<<30 + 64<<10

// layerSpace is a disk with room for a large file.
const layerSpace layer = "space"

// large is a large file, and a queue that writes to it; ok is false on a machine of the backend's own,
// which holds its disk in memory. Where there is no room for the file the check ends.
func (t *T) large() (f backend.File, q backend.Queue, ok bool) {
	t.Helper()
	if !t.onSystem() {
		return nil, nil, false
	}
	path := t.TempDir()
	if err := reservesAtOnce(path); err != nil {
		t.missing(layerSpace, err)
	}
	d := t.openDir(path, backend.DirOptions{})
	f, err := d.Create("large", largeSize)
	for _, want := range noSpace {
		if errors.Is(err, want) {
			t.missing(layerSpace, err)
		}
	}
	require.NoError(t, err)
	t.closing("File", f)
	require.NoError(t, reserved(t.join(path, "large"), largeSize), "after Create")
	require.NoError(t, f.Resize(block))
	require.NoError(t, f.Resize(largeSize))
	require.NoError(t, reserved(t.join(path, "large"), largeSize), "after Resize")
	return f, t.queue(d, 1), true
}

// around are blocks before and behind what 31 and 32 bits reach, and the first and the last one.
var around = []int64{0, 1<<31 - block, 1 << 31, 1<<32 - block, 1 << 32, 1<<32 + block, largeSize - block}

// demandAround reads blocks of a large file: those up to some size were written.
func (t *T) demandAround(f backend.File, size int64, what string) {
	t.Helper()
	for i, at := range around {
		if at >= size {
			return
		}
		p := make([]byte, block)
		n, err := f.ReadAt(p, at)
		require.Equal(t, block, n, "%s: %v", what, err)
		t.same(filled(block, i+1), p, "%s, at %d", what, at)
		if v, ok := f.(backend.Viewer); ok {
			require.NoError(t, v.View(at, block, func(data []byte) {
				t.same(filled(block, i+1), data, "%s, a view at %d", what, at)
			}))
		}
	}
}

// writeAround writes the blocks of a large file: one by one, and synced, or as one batch.
func (t *T) writeAround(q backend.Queue, f backend.File, apart bool) {
	t.Helper()
	var writes []backend.Write
	for i, at := range around {
		buf := t.buffer(q, block, i+1)
		writes = append(writes, backend.Write{File: f, Offset: at, Data: buf.Bytes[:block], Buffer: buf, Sync: apart})
	}
	if !apart {
		t.write(q, writes...)
		return
	}
	for _, w := range writes {
		t.write(q, w)
	}
}

// checkWrites is checkModel, and what that does not reach: many files, and far behind the beginning.
func checkWrites(t *T) {
	checkModel(t)
	checkManyFiles(t)
	f, q, ok := t.large()
	if !ok {
		return
	}
	for _, apart := range []bool{true, false} {
		t.writeAround(q, f, apart)
		t.demandAround(f, largeSize, "a large file")
		require.NoError(t, f.Sync())
		t.demandAround(f, largeSize, "a large file that was synced")
		require.NoError(t, f.Resize(0)) // else the next ones would find what these wrote
		require.NoError(t, f.Resize(largeSize))
	}
}

// checkResizes is checkResize, and the same across what 32 bits reach.
func checkResizes(t *T) {
	checkResize(t)
	f, q, ok := t.large()
	if !ok {
		return
	}
	t.writeAround(q, f, false)
	for _, size := range []int64{largeSize - block, 1<<32 + block, 1 << 32, 1<<32 - block, 1 << 31} {
		require.NoError(t, f.Resize(size))
		got, err := f.Size()
		require.NoError(t, err)
		require.Equal(t, size, got)
		t.demandAround(f, size, "a large file that was cut")
	}
	require.NoError(t, f.Resize(largeSize))
	t.demandAround(f, 1<<31, "a large file that was cut and grew")
	for _, at := range around[2:] {
		p := make([]byte, block)
		_, err := f.ReadAt(p, at)
		if at+block < largeSize { // else it may tell the end
			require.NoError(t, err)
		}
		t.zeros(p, "a large file that was cut and grew")
	}
}

// checkNextDatas is checkNextData, and the same across what 32 bits reach.
func checkNextDatas(t *T) {
	checkNextData(t)
	f, q, ok := t.large()
	if !ok {
		return
	}
	finder := f.(backend.DataFinder)
	buf := t.buffer(q, block, 1)
	for _, at := range []int64{1 << 32, 1<<31 + block} {
		t.write(q, backend.Write{File: f, Offset: at, Data: buf.Bytes[:block], Buffer: buf})
		for _, from := range []int64{0, 1 << 31, at - block, at, at + block - 1} {
			next, err := finder.NextData(from)
			require.NoError(t, err)
			require.GreaterOrEqual(t, next, from)
			if from < at+block {
				require.LessOrEqual(t, next, max(from, at), "NextData from %d passes over a block at %d", from, at)
			}
		}
	}
	next, err := finder.NextData(1<<32 + block)
	require.NoError(t, err)
	require.True(t, next >= 1<<32+block && next <= largeSize, "NextData from 2^32 on returns %d", next)
	next, err = finder.NextData(largeSize + 1)
	require.NoError(t, err)
	require.Equal(t, int64(largeSize+1), next)
}
