package posix

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/chronik-go/wal/core/backend"
)

// Any sequence of batches, resizes and reopenings leaves in the files what it would
// leave in memory.
func TestAgainstModel(t *testing.T) {
	bothModes(t, func(t *testing.T, b *Backend) {
		d := openDir(t, b, tempDir(t), backend.DirOptions{})
		rapid.Check(t, func(t *rapid.T) { runModel(t, d) })
	})
}

const (
	modelFiles = 3
	modelSize  = 16 // blocks
)

func runModel(t *rapid.T, d backend.Dir) {
	q, err := d.Queue(backend.QueueOptions{Depth: 1})
	require.NoError(t, err)
	defer q.Close()
	block := q.Limits().Alignment
	buf, err := q.Buffer(modelSize * block)
	require.NoError(t, err)
	var files [modelFiles]backend.File
	var want [modelFiles][]byte
	for i := range files {
		files[i], err = d.Create(fmt.Sprint(i), int64(modelSize*block))
		require.NoError(t, err)
		want[i] = make([]byte, modelSize*block)
	}
	defer func() {
		for i, f := range files {
			require.NoError(t, f.Close())
			require.NoError(t, d.Remove(fmt.Sprint(i)))
		}
	}()
	t.Repeat(map[string]func(*rapid.T){
		"batch": func(t *rapid.T) {
			fill(buf.Bytes, rapid.IntRange(0, 255).Draw(t, "seed"))
			batch := &backend.Batch{Writes: modelWrites(t, files, want, buf, block)}
			require.NoError(t, q.Submit(batch))
			got, err := q.Wait()
			require.NoError(t, err)
			require.Same(t, batch, got)
			require.NoError(t, got.Failed())
		},
		"resize": func(t *rapid.T) {
			i := rapid.IntRange(0, modelFiles-1).Draw(t, "file")
			size := rapid.IntRange(0, modelSize*block).Draw(t, "size")
			require.NoError(t, files[i].Resize(int64(size)))
			want[i] = append(want[i][:min(size, len(want[i]))], make([]byte, max(0, size-len(want[i])))...)
		},
		"reopen": func(t *rapid.T) {
			i := rapid.IntRange(0, modelFiles-1).Draw(t, "file")
			require.NoError(t, files[i].Sync())
			require.NoError(t, files[i].Close())
			files[i], err = d.Open(fmt.Sprint(i))
			require.NoError(t, err)
		},
		"": func(t *rapid.T) {
			for i, f := range files {
				size, err := f.Size()
				require.NoError(t, err)
				require.Equal(t, int64(len(want[i])), size)
				p := make([]byte, size)
				_, err = f.ReadAt(p, 0)
				require.NoError(t, err)
				require.Equal(t, want[i], p)
			}
		},
	})
}

// modelWrites draws writes that do not overlap, many of them adjacent, and carries
// them out in memory.
func modelWrites(t *rapid.T, files [modelFiles]backend.File, want [modelFiles][]byte, buf *backend.Buffer, block int) []backend.Write {
	var writes []backend.Write
	for i, f := range files {
		for at := 0; ; {
			at += rapid.SampledFrom([]int{0, 0, 1, 5}).Draw(t, "skip")
			n := rapid.IntRange(1, 4).Draw(t, "blocks")
			if (at+n)*block > len(want[i]) || rapid.Bool().Draw(t, "end") {
				break
			}
			from := rapid.IntRange(0, modelSize-n).Draw(t, "from")
			w := backend.Write{File: f, Offset: int64(at * block), Data: buf.Bytes[from*block : (from+n)*block],
				Buffer: buf, Sync: rapid.Bool().Draw(t, "sync")}
			copy(want[i][at*block:], w.Data)
			writes = append(writes, w)
			at += n
		}
		if rapid.Bool().Draw(t, "sync only") {
			writes = append(writes, backend.Write{File: f, Sync: true})
		}
	}
	return writes
}
