package posix

import (
	"fmt"
	"math"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/chronik-go/wal/core/backend"
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

func TestBatches(t *testing.T) {
	bothModesQueue(t, func(t *testing.T, d backend.Dir, q backend.Queue) {
		const block = 4096
		a, b := create(t, d, "a", 64*block), create(t, d, "b", 64*block)
		buf := buffer(t, q, 16*block)
		w := func(f backend.File, at, from, blocks int, sync bool) backend.Write {
			return backend.Write{File: f, Offset: int64(at * block), Data: buf.Bytes[from*block : (from+blocks)*block],
				Buffer: buf, Sync: sync}
		}
		for name, writes := range map[string][]backend.Write{
			"empty":                 {},
			"one":                   {w(a, 0, 0, 3, true)},
			"one without sync":      {w(a, 0, 3, 3, false)},
			"sync only":             {{File: a, Sync: true}},
			"neither data nor sync": {{File: a}},
			"adjacent":              {w(a, 1, 0, 1, true), w(a, 2, 5, 3, true), w(a, 5, 2, 1, false)},
			"adjacent, none synced": {w(a, 1, 8, 1, false), w(a, 2, 7, 3, false)},
			"backwards":             {w(a, 9, 0, 1, true), w(a, 8, 4, 1, true)},
			"apart":                 {w(a, 20, 0, 1, true), w(a, 30, 4, 2, false), w(a, 40, 1, 1, true)},
			"same place, two files": {w(a, 3, 0, 1, true), w(b, 4, 3, 1, true), w(a, 5, 9, 1, true)},
			"a sync between":        {w(a, 0, 0, 1, false), {File: a, Sync: true}, w(a, 1, 9, 1, false), {File: b, Sync: true}},
		} {
			t.Run(name, func(t *testing.T) {
				wantA, wantB := content(t, a), content(t, b)
				for _, w := range writes {
					copy(map[backend.File][]byte{a: wantA, b: wantB}[w.File][w.Offset:], w.Data)
				}
				got := carryOut(t, q, writes...)
				require.NoError(t, got.Failed())
				assert.Equal(t, wantA, content(t, a))
				assert.Equal(t, wantB, content(t, b))
			})
		}
	})
}

// More pieces than one system call takes.
func TestManyPieces(t *testing.T) {
	bothModesQueue(t, func(t *testing.T, d backend.Dir, q backend.Queue) {
		const pieces = 2*1024 + 100
		align := q.Limits().Alignment
		f, buf := create(t, d, "f", int64(pieces*align)), buffer(t, q, pieces*align)
		var writes []backend.Write
		want := make([]byte, 0, pieces*align)
		for i := range pieces {
			from := (i * 7919 % pieces) * align
			data := buf.Bytes[from : from+align]
			writes = append(writes, backend.Write{File: f, Offset: int64(i * align), Data: data, Buffer: buf, Sync: i == 5})
			want = append(want, data...)
		}
		require.NoError(t, carryOut(t, q, writes...).Failed())
		assert.Equal(t, want, content(t, f))
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

func TestSubmitRefuses(t *testing.T) {
	bothModesQueue(t, func(t *testing.T, d backend.Dir, q backend.Queue) {
		other := openDir(t, New(), tempDir(t), backend.DirOptions{})
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
			"offset not aligned":    bad(func(w *backend.Write) { w.Offset = int64(align / 2) }),
			"length not aligned":    bad(func(w *backend.Write) { w.Data = w.Data[:align-1] }),
			"negative offset":       bad(func(w *backend.Write) { w.Offset = int64(-align) }),
			"behind the end":        bad(func(w *backend.Write) { w.Offset = int64(4 * align) }),
			"across the end":        bad(func(w *backend.Write) { w.Offset, w.Data = int64(3*align), buf.Bytes[:2*align] }),
			"offset that overflows": bad(func(w *backend.Write) { w.Offset = math.MaxInt64 - int64(align) + 1 }),
			"no file":               bad(func(w *backend.Write) { w.File = nil }),
			"file of another dir":   bad(func(w *backend.Write) { w.File = create(t, other, "f"+name(t), int64(4*align)) }),
			"no buffer":             bad(func(w *backend.Write) { w.Buffer = nil }),
			"buffer of another":     bad(func(w *backend.Write) { w.Buffer, w.Data = foreign, foreign.Bytes[:align] }),
			"data not in buffer":    bad(func(w *backend.Write) { w.Buffer = foreign }),
			"data on the heap":      bad(func(w *backend.Write) { w.Data = make([]byte, align) }),
			"released buffer":       bad(func(w *backend.Write) { w.Buffer, w.Data = gone, data }),
		} {
			t.Run(name, func(t *testing.T) {
				require.ErrorIs(t, q.Submit(&backend.Batch{Writes: []backend.Write{good, w}}), errBatch)
				q.Wake()
				b, err := q.Wait()
				require.NoError(t, err)
				assert.Nil(t, b, "a refused batch does not come back")
				requireZeros(t, content(t, f))
			})
		}
		require.ErrorIs(t, q.Submit(nil), errBatch)
		if isDirect(d) {
			w := bad(func(w *backend.Write) { w.Data = buf.Bytes[8 : 8+align] })
			require.ErrorIs(t, q.Submit(&backend.Batch{Writes: []backend.Write{w}}), errBatch)
		}
	})
}

func name(t *testing.T) string { return fmt.Sprint(len(t.Name())) }

func TestEveryBatchComesBackOnce(t *testing.T) {
	bothModesQueue(t, func(t *testing.T, d backend.Dir, q backend.Queue) {
		f, buf := create(t, d, "f", 1<<20), buffer(t, q, 1<<20)
		for i := range 200 {
			at := int64(i%128) * 8192
			b := &backend.Batch{Tag: i, Err: assert.AnError, Writes: []backend.Write{{File: f, Offset: at,
				Data: buf.Bytes[at : at+8192], Buffer: buf, Sync: i%3 > 0, Err: assert.AnError}}}
			require.NoError(t, q.Submit(b))
			require.ErrorIs(t, q.Submit(&backend.Batch{}), errBatch, "more than Limits.Depth")
			got, err := q.Wait()
			require.NoError(t, err)
			require.Same(t, b, got)
			require.NoError(t, got.Failed())
		}
		q.Wake()
		b, err := q.Wait()
		require.NoError(t, err)
		assert.Nil(t, b)
		assert.Equal(t, buf.Bytes[:1<<20], content(t, f)[:1<<20])
	})
}

func TestWake(t *testing.T) {
	d := openDir(t, New(), tempDir(t), backend.DirOptions{})
	synctest.Test(t, func(t *testing.T) {
		q, err := d.Queue(backend.QueueOptions{Depth: 1})
		require.NoError(t, err)
		returned := make(chan struct{}, 10)
		go func() {
			for {
				b, err := q.Wait()
				assert.NoError(t, err)
				assert.Nil(t, b)
				returned <- struct{}{}
				if len(returned) == 3 {
					return
				}
			}
		}()
		synctest.Wait()
		require.Empty(t, returned, "Wait blocks while there is nothing")
		q.Wake()
		synctest.Wait()
		require.Len(t, returned, 1, "a wake ends a blocked Wait")
		q.Wake()
		synctest.Wait()
		require.Len(t, returned, 2)
		q.Wake()
		synctest.Wait()
		require.Len(t, returned, 3)

		q.Wake()
		q.Wake()
		b, err := q.Wait()
		require.NoError(t, err)
		require.Nil(t, b, "a wake ends the next Wait")
		batch := &backend.Batch{}
		require.NoError(t, q.Submit(batch))
		q.Wake()
		var got []*backend.Batch
		for range 2 {
			b, err := q.Wait()
			require.NoError(t, err)
			got = append(got, b)
		}
		require.ElementsMatch(t, []*backend.Batch{batch, nil}, got, "neither is lost")
		require.NoError(t, q.Close())
	})
}

func TestCloseCarriesOut(t *testing.T) {
	bothModesQueue(t, func(t *testing.T, d backend.Dir, q backend.Queue) {
		f, buf := create(t, d, "f", 8192), buffer(t, q, 8192)
		want := append([]byte(nil), buf.Bytes[:8192]...)
		w := backend.Write{File: f, Data: buf.Bytes[:8192], Buffer: buf, Sync: true}
		require.NoError(t, q.Submit(&backend.Batch{Writes: []backend.Write{w}}))
		require.NoError(t, q.Close())
		assert.Equal(t, want, content(t, f))
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

// Any goroutine takes and returns buffers while one uses the queue and closes it.
func TestBuffersConcurrently(t *testing.T) {
	d := openDir(t, New(), tempDir(t), backend.DirOptions{})
	f, q := create(t, d, "f", 8192), openQueue(t, d)
	own := buffer(t, q, 4096)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for {
				b, err := q.Buffer(8192)
				if err != nil {
					assert.ErrorIs(t, err, backend.ErrClosed)
					return
				}
				q.Release(b)
				q.Wake()
			}
		})
	}
	for range 200 {
		require.NoError(t, carryOut(t, q, backend.Write{File: f, Data: own.Bytes[:4096], Buffer: own}).Failed())
	}
	require.NoError(t, q.Close())
	wg.Wait()
	assert.Empty(t, q.(*queue).pool.pages)
	q.Wake() // does nothing
}

// A group commit allocates nothing, whatever it consists of.
func TestAllocations(t *testing.T) {
	bothModesQueue(t, func(t *testing.T, d backend.Dir, q backend.Queue) {
		f, g, buf := create(t, d, "f", 1<<20), create(t, d, "g", 1<<20), buffer(t, q, 1<<17)
		w := func(f backend.File, block int, sync bool) backend.Write {
			return backend.Write{File: f, Offset: int64(block) * 4096, Data: buf.Bytes[block*4096 : (block+1)*4096], Buffer: buf, Sync: sync}
		}
		var adjacent []backend.Write
		for i := range 20 {
			adjacent = append(adjacent, w(f, i, true))
		}
		for name, writes := range map[string][]backend.Write{
			"one":      {w(f, 0, true)},
			"no sync":  {w(f, 0, false)},
			"adjacent": adjacent,
			"files":    {w(f, 0, true), w(g, 0, true), w(f, 3, true)},
			"sync":     {{File: f, Sync: true}},
		} {
			b := &backend.Batch{Writes: writes}
			assert.Zero(t, testing.AllocsPerRun(20, func() {
				q.Wake()
				if b, err := q.Wait(); b != nil || err != nil {
					t.Error(b, err)
				}
				if err := q.Submit(b); err != nil {
					t.Error(err)
				}
				if got, err := q.Wait(); got != b || err != nil || b.Failed() != nil {
					t.Error(got, err, b.Failed())
				}
			}), name)
		}
	})
}
