package posix

import (
	"math"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/chronik-go/wal/core/backend"
	"github.com/chronik-go/wal/core/backend/inline"
)

// bothModesQueue runs a test for each way a queue can write.
func bothModesQueue(t *testing.T, test func(t *testing.T, d backend.Dir, q backend.Queue)) {
	bothModes(t, func(t *testing.T, b *Backend) {
		d := openDir(t, b, tempDir(t), backend.DirOptions{})
		test(t, d, openQueue(t, d))
	})
}

func TestLimits(t *testing.T) {
	bothModes(t, func(t *testing.T, b *Backend) {
		d := openDir(t, b, tempDir(t), backend.DirOptions{})
		for _, asked := range []int{-1, 0, 1, 2, math.MaxInt} {
			q, err := d.Queue(backend.QueueOptions{Depth: asked})
			require.NoError(t, err)
			assert.Equal(t, 1, q.Limits().Depth, "asked for %d", asked)
			require.NoError(t, q.Close())
		}
		align := 512
		if isDirect(d) {
			align = 4096
		}
		assert.Equal(t, align, openQueue(t, d).Limits().Alignment)
	})
}

// Offsets over 4 GiB come out right also where a word has 32 bits.
func TestLargeOffsets(t *testing.T) {
	bothModesQueue(t, func(t *testing.T, d backend.Dir, q backend.Queue) {
		const base = 5 << 30
		f, buf := create(t, d, "f", base+16384), buffer(t, q, 16384)
		for _, sync := range []bool{true, false} {
			fill(buf.Bytes, 3)
			writes := []backend.Write{
				{File: f, Offset: base, Data: buf.Bytes[:4096], Buffer: buf, Sync: sync},
				{File: f, Offset: base + 4096, Data: buf.Bytes[8192:12288], Buffer: buf, Sync: sync},
			}
			require.NoError(t, carryOut(t, q, writes...).Failed())
			p := make([]byte, 8192)
			_, err := f.ReadAt(p, base)
			require.NoError(t, err)
			assert.Equal(t, buf.Bytes[:4096], p[:4096])
			assert.Equal(t, buf.Bytes[8192:12288], p[4096:])
			_, err = f.ReadAt(p, base&math.MaxUint32)
			require.NoError(t, err)
			requireZeros(t, p)
		}
	})
}

// More is refused than the contract demands: what would fail late, or write other memory.
func TestSubmitRefuses(t *testing.T) {
	bothModesQueue(t, func(t *testing.T, d backend.Dir, q backend.Queue) {
		align := q.Limits().Alignment
		f, buf := create(t, d, "f", int64(4*align)), buffer(t, q, 8*align)
		foreign, gone := buffer(t, openQueue(t, d), 4096), buffer(t, q, 4096)
		data := gone.Bytes[:align]
		q.Release(gone)
		good := backend.Write{File: f, Data: buf.Bytes[:align], Buffer: buf, Sync: true}
		bad := func(change func(w *backend.Write)) backend.Write {
			w := good
			change(&w)
			return w
		}
		for name, w := range map[string]backend.Write{
			"no file":            bad(func(w *backend.Write) { w.File = nil }),
			"no buffer":          bad(func(w *backend.Write) { w.Buffer = nil }),
			"buffer of another":  bad(func(w *backend.Write) { w.Buffer, w.Data = foreign, foreign.Bytes[:align] }),
			"data not in buffer": bad(func(w *backend.Write) { w.Buffer = foreign }),
			"data on the heap":   bad(func(w *backend.Write) { w.Data = make([]byte, align) }),
			"released buffer":    bad(func(w *backend.Write) { w.Buffer, w.Data = gone, data }),
			"a place in a block": bad(func(w *backend.Write) { w.Data = buf.Bytes[256 : 256+align] }),
		} {
			t.Run(name, func(t *testing.T) {
				require.ErrorIs(t, q.Submit(&backend.Batch{Writes: []backend.Write{good, w}}), inline.ErrBatch)
			})
		}
		require.ErrorIs(t, q.Submit(nil), inline.ErrBatch)
	})
}

func TestBuffers(t *testing.T) {
	d := openDir(t, New(), tempDir(t), backend.DirOptions{})
	q := openQueue(t, d)
	for _, size := range []int{0, -1, math.MinInt, math.MaxInt} {
		_, err := q.Buffer(size)
		require.Error(t, err, "%d", size)
	}
	for _, size := range []int{1, 4096, 4097, 1 << 20} {
		b := buffer(t, q, size)
		buffer(t, q, size) // for Close to free
		q.Release(b)
		q.Release(b)
		assert.Nil(t, b.Bytes)
	}
	q.Release(&backend.Buffer{Bytes: make([]byte, 10)})
	require.NoError(t, q.Close())
	assert.Empty(t, q.(*queue).pool.pages, "Close frees what was not released")
}
