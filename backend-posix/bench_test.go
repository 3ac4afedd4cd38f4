package posix

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/chronik-go/wal/core/backend"
)

// BenchmarkWriteSync compares a synced write through a direct descriptor with one
// through the page cache. The two take turns, write by write, so that whatever else
// the device does meets both; the metrics are their medians in microseconds. Use a
// fixed number of writes and several counts:
//
//	go test -run '^$' -bench WriteSync -benchtime 300x -count 5 .
//
// "written" extents were filled with zeros before, "unwritten" ones were only
// reserved and are each met for the first time.
func BenchmarkWriteSync(b *testing.B) {
	for _, size := range []int{4 << 10, 16 << 10, 256 << 10, 1 << 20} {
		for _, extents := range []string{"written", "unwritten"} {
			b.Run(fmt.Sprintf("%dKiB/%s", size>>10, extents), func(b *testing.B) {
				path := b.TempDir()
				direct := newBenchWriter(b, path, DirectOn, size, extents == "written")
				buffered := newBenchWriter(b, path, DirectOff, size, extents == "written")
				for b.Loop() {
					direct.write(b)
					buffered.write(b)
				}
				b.ReportMetric(0, "ns/op") // of both together: says nothing
				b.ReportMetric(direct.median(), "direct-µs")
				b.ReportMetric(buffered.median(), "buffered-µs")
			})
		}
	}
}

// benchFileSize bounds the disk space; an unwritten file used up is replaced.
const benchFileSize = 128 << 20

type benchWriter struct {
	dir     backend.Dir
	q       backend.Queue
	f       backend.File
	buf     *backend.Buffer
	batch   backend.Batch
	size    int64
	off     int64
	written bool
	name    string
	took    []time.Duration
}

func newBenchWriter(b *testing.B, path string, m DirectMode, size int, written bool) *benchWriter {
	d, err := New(WithDirect(m)).OpenDir(path, backend.DirOptions{})
	require.NoError(b, err)
	q, err := d.Queue(backend.QueueOptions{})
	require.NoError(b, err)
	buf, err := q.Buffer(1 << 20)
	require.NoError(b, err)
	w := &benchWriter{dir: d, q: q, buf: buf, size: int64(size), written: written, name: fmt.Sprint("file", m)}
	for i := range buf.Bytes {
		buf.Bytes[i] = byte(i * 7)
	}
	w.newFile(b)
	b.Cleanup(func() {
		require.NoError(b, w.f.Close())
		require.NoError(b, q.Close())
		require.NoError(b, d.Close())
	})
	return w
}

func (w *benchWriter) newFile(b *testing.B) {
	if w.f != nil {
		require.NoError(b, w.f.Close())
		require.NoError(b, w.dir.Remove(w.name))
	}
	var err error
	w.f, err = w.dir.Create(w.name, benchFileSize)
	require.NoError(b, err)
	w.off = 0
	if w.written {
		for off := int64(0); off < benchFileSize; off += int64(len(w.buf.Bytes)) {
			w.submit(b, backend.Write{File: w.f, Offset: off, Data: w.buf.Bytes, Buffer: w.buf})
		}
	}
	require.NoError(b, w.f.Sync())
	require.NoError(b, w.dir.Sync())
}

func (w *benchWriter) write(b *testing.B) {
	if w.off+w.size > benchFileSize {
		if w.off = 0; !w.written {
			w.newFile(b)
		}
	}
	start := time.Now()
	w.submit(b, backend.Write{File: w.f, Offset: w.off, Data: w.buf.Bytes[:w.size], Buffer: w.buf, Sync: true})
	w.took = append(w.took, time.Since(start))
	w.off += w.size
}

func (w *benchWriter) submit(b *testing.B, wr backend.Write) {
	w.batch.Writes = append(w.batch.Writes[:0], wr)
	if err := w.q.Submit(&w.batch); err != nil {
		b.Fatal(err)
	}
	if _, err := w.q.Wait(); err != nil || w.batch.Failed() != nil {
		b.Fatal(err, w.batch.Failed())
	}
}

func (w *benchWriter) median() float64 {
	slices.Sort(w.took)
	return float64(w.took[len(w.took)/2].Nanoseconds()) / 1000
}
