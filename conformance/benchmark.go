package conformance

import (
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/chronik-go/wal/core/backend"
)

// benchSpace is the size of the file that is written and read, bytes.
const benchSpace = 64 << 20

// Benchmark measures a backend where the log needs it: writes of several sizes, with and
// without a sync, one at a time and as many as the queue takes; and reads in order. It works
// below -conformance.dir.
//
//	func BenchmarkBackend(b *testing.B) {
//		conformance.Benchmark(b, func() (backend.Backend, error) { return mine.New(), nil })
//	}
func Benchmark(b *testing.B, f Factory) {
	for _, size := range []int{4 << 10, 64 << 10, 256 << 10, 1 << 20} {
		for _, sync := range []bool{true, false} {
			for _, deep := range []bool{false, true} {
				name := fmt.Sprintf("write/%dKiB/%s/%s", size>>10, either(sync, "sync", "nosync"), either(deep, "limit", "one"))
				b.Run(name, func(b *testing.B) { newBench(b, f).write(size, sync, deep) })
			}
		}
		b.Run(fmt.Sprintf("read/%dKiB", size>>10), func(b *testing.B) { newBench(b, f).read(size) })
	}
}

func either[V any](is bool, yes, no V) V {
	if is {
		return yes
	}
	return no
}

// bench is a file that was written once, as the log has them.
type bench struct {
	b   *testing.B
	dir backend.Dir
	f   backend.File
}

func newBench(b *testing.B, f Factory) *bench {
	back, err := f()
	require.NoError(b, err)
	if err := back.Probe(); errors.Is(err, errors.ErrUnsupported) {
		b.Skip(err)
	}
	t := &T{tb: b, Backend: back, suite: newSuite(f, nil)}
	m := &bench{b: b, dir: t.newDir()}
	m.f = t.create(m.dir, "f", benchSpace)
	q := t.queue(m.dir, 1)
	buf := t.buffer(q, 1<<20, 1)
	for at := int64(0); at < benchSpace; at += 1 << 20 {
		t.write(q, backend.Write{File: m.f, Offset: at, Data: buf.Bytes[:1<<20], Buffer: buf})
	}
	require.NoError(b, errors.Join(m.f.Sync(), q.Close(), m.dir.Sync()))
	return m
}

// write writes from the beginning to the end of the file, again and again.
func (m *bench) write(size int, sync, deep bool) {
	depth := either(deep, 64, 1)
	q, err := m.dir.Queue(backend.QueueOptions{Depth: depth})
	require.NoError(m.b, err)
	defer q.Close()
	depth = min(depth, q.Limits().Depth)
	buf, err := q.Buffer(depth * size)
	require.NoError(m.b, err)
	fill(buf.Bytes, 1)
	m.b.SetBytes(int64(size))
	at := int64(0)
	submit := func(batch *backend.Batch) {
		batch.Writes[0].Offset = at
		at = (at + int64(size)) % benchSpace
		if err := q.Submit(batch); err != nil {
			m.b.Fatal(err)
		}
	}
	wait := func() *backend.Batch {
		batch, err := q.Wait()
		if err != nil || batch.Failed() != nil {
			m.b.Fatal(err, batch)
		}
		return batch
	}
	for i := range depth {
		data := buf.Bytes[i*size : (i+1)*size]
		submit(&backend.Batch{Writes: []backend.Write{{File: m.f, Data: data, Buffer: buf, Sync: sync}}})
	}
	for m.b.Loop() { // as many are in flight at its end as at its beginning
		submit(wait())
	}
	for range depth {
		wait()
	}
	m.b.ReportMetric(float64(depth), "depth")
}

// read reads from the beginning to the end of the file, again and again.
func (m *bench) read(size int) {
	p := make([]byte, size)
	m.b.SetBytes(int64(size))
	at := int64(0)
	for m.b.Loop() {
		if _, err := m.f.ReadAt(p, at); err != nil {
			m.b.Fatal(err)
		}
		at = (at + int64(size)) % benchSpace
	}
}
