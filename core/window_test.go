package wal

import (
	"bytes"
	"io"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"pgregory.net/rapid"
)

// countingFile is a file in memory that notes how much of it was read.
type countingFile struct {
	data []byte

	mu    sync.Mutex
	reads int
	total int
}

func (f *countingFile) ReadAt(p []byte, off int64) (int, error) {
	n, err := bytes.NewReader(f.data).ReadAt(p, off)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.reads++
	f.total += n
	return n, err
}

func newCountingFile(n int) *countingFile {
	f := &countingFile{data: make([]byte, n)}
	r := rand.New(rand.NewPCG(1, uint64(n)))
	for i := range f.data {
		f.data[i] = byte(r.Uint32())
	}
	return f
}

// Whatever is asked for, in whatever order, a window gives what the file holds; a fresh one
// never changes what it gave.
func TestWindowGivesTheFile(t *testing.T) {
	defer goleak.VerifyNone(t)
	rapid.Check(t, func(t *rapid.T) {
		f := newCountingFile(rapid.IntRange(1, 64<<10).Draw(t, "size"))
		limit := rapid.IntRange(1, len(f.data)).Draw(t, "limit")
		w := window{
			file: f, limit: int64(limit), chunk: rapid.SampledFrom([]int{4096, 8192, 16384}).Draw(t, "chunk"),
			fresh: rapid.Bool().Draw(t, "fresh"), ahead: rapid.Bool().Draw(t, "ahead"),
			pool: newBufferPool(rapid.Bool().Draw(t, "pool")),
		}
		defer w.release()
		type part struct {
			at  int
			got []byte
		}
		var given []part
		at := 0
		for range rapid.IntRange(1, 40).Draw(t, "reads") {
			switch rapid.IntRange(0, 9).Draw(t, "move") {
			case 0:
				at = rapid.IntRange(0, limit).Draw(t, "jump")
			case 1:
				w.forget()
			}
			n := rapid.IntRange(0, min(limit-at, 40<<10)).Draw(t, "n")
			b, err := w.bytes(int64(at), n)
			require.NoError(t, err)
			require.True(t, bytes.Equal(f.data[at:at+n], b), "%d bytes from %d", n, at)
			require.Equal(t, n, cap(b), "what lies behind is not the caller's")
			if w.fresh {
				given = append(given, part{at, b})
			}
			at += n
		}
		for _, p := range given {
			require.True(t, bytes.Equal(f.data[p.at:p.at+len(p.got)], p.got), "changed since: %d bytes from %d", len(p.got), p.at)
		}
	})
}

// Front to back, each byte is read once, in steps of the chunk's size, whether or not what
// is asked for lies across them.
func TestWindowReadsOnce(t *testing.T) {
	const chunk, steps = 8192, 20
	for _, ahead := range []bool{false, true} {
		f := newCountingFile(chunk * steps)
		w := window{file: f, limit: int64(len(f.data)), chunk: chunk, ahead: ahead}
		for at := 0; at < len(f.data); at += 3001 {
			_, err := w.bytes(int64(at), min(3001, len(f.data)-at))
			require.NoError(t, err)
		}
		w.release()
		assert.Equal(t, len(f.data), f.total)
		assert.Equal(t, steps, f.reads)
	}
}

// What is many steps long is read by one read, not put together step by step.
func TestWindowReadsWhatIsLongAtOnce(t *testing.T) {
	const chunk = 4096
	f := newCountingFile(100 * chunk)
	w := window{file: f, limit: int64(len(f.data)), chunk: chunk, ahead: true}
	defer w.release()
	_, err := w.bytes(0, 100)
	require.NoError(t, err)
	b, err := w.bytes(50, len(f.data)-50)
	require.NoError(t, err)
	require.True(t, bytes.Equal(f.data[50:], b))
	w.dropAhead() // waits for what is being read
	assert.LessOrEqual(t, f.reads, 1+stepsAhead+1)
}

// Past the end of a file that is shorter than it was, the window says so, and goes on once
// told to forget what it read.
func TestWindowOfAFileThatShrank(t *testing.T) {
	for _, ahead := range []bool{false, true} {
		f := newCountingFile(20_000)
		w := window{file: f, limit: 30_000, chunk: 8192, ahead: ahead}
		_, err := w.bytes(0, 16384)
		require.NoError(t, err)
		_, err = w.bytes(16384, 8000)
		require.ErrorIs(t, err, io.ErrUnexpectedEOF)
		w.limit = 20_000
		w.forget()
		b, err := w.bytes(16384, 3000)
		require.NoError(t, err)
		require.Equal(t, f.data[16384:19384], b)
		w.release()
	}
}
