package conformance

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/stretchr/testify/require"

	"github.com/chronik-go/wal/core/backend"
)

// block is a size that every alignment divides.
const block = 4096

// soon runs calls of the backend that have to come back. The deadline measures nothing: it
// only tells a hang from a slow machine.
func (t *T) soon(what string, calls func()) {
	t.Helper()
	var panicked any
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() { panicked = recover() }()
		calls()
	}()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), t.suite.patience)
	defer cancel()
	select {
	case <-done:
		if panicked != nil {
			require.Failf(t, "panic", "%s: %v", what, panicked)
		}
	case <-ctx.Done():
		require.Failf(t, "hangs", "%s does not come back", what)
	}
}

// eventually waits for what the backend or the runtime still has to finish, and says whether
// it came.
func (t *T) eventually(reached func() bool) bool {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), t.suite.patience)
	defer cancel()
	for !reached() {
		if ctx.Err() != nil {
			return false
		}
		runtime.Gosched()
	}
	return true
}

// together lets goroutines work at the same time: each does its rounds, and goes on until all
// have done theirs.
func (t *T) together(what string, rounds int, work ...func(round int) error) {
	t.Helper()
	errs := make([]error, len(work))
	var left atomic.Int32
	left.Add(int32(len(work)))
	start := make(chan struct{})
	var wg sync.WaitGroup
	for i, do := range work {
		wg.Go(func() {
			<-start
			for round := 0; errs[i] == nil; round++ {
				if round == rounds {
					left.Add(-1)
				}
				if round >= rounds && left.Load() <= 0 {
					return
				}
				if errs[i] = do(round); errs[i] != nil {
					left.Store(0) // it is over for all
				}
				runtime.Gosched()
			}
		})
	}
	close(start)
	t.soon(what, wg.Wait)
	require.NoError(t, errors.Join(errs...), what)
}

// rng draws what is random in a check.
func (t *T) rng() *rand.Rand {
	h := fnv.New64a()
	_, _ = h.Write([]byte(t.name)) // a hash never fails
	return rand.New(rand.NewPCG(*flagSeed, h.Sum64()))
}

// closing closes what is still open at the end of the check.
func (t *T) closing(what string, c interface{ Close() error }) {
	t.Cleanup(func() {
		var err error
		t.soon("Close of the "+what, func() { err = c.Close() })
		if !errors.Is(err, backend.ErrClosed) {
			require.NoError(t, err)
		}
	})
}

// openDir opens a directory until the end of the check.
func (t *T) openDir(path string, o backend.DirOptions) backend.Dir {
	t.Helper()
	d, err := t.Backend.OpenDir(path, o)
	require.NoError(t, err)
	t.closing("Dir", d)
	return d
}

// newDir opens a new directory.
func (t *T) newDir() backend.Dir {
	t.Helper()
	return t.openDir(t.TempDir(), backend.DirOptions{})
}

// readOnly opens a directory for reading.
func (t *T) readOnly(path string) backend.Dir {
	t.Helper()
	return t.openDir(path, backend.DirOptions{ReadOnly: true})
}

func (t *T) create(d backend.Dir, name string, size int64) backend.File {
	t.Helper()
	f, err := d.Create(name, size)
	require.NoError(t, err)
	t.closing("File", f)
	return f
}

func (t *T) open(d backend.Dir, name string) backend.File {
	t.Helper()
	var f backend.File
	var err error
	t.soon("Open", func() { f, err = d.Open(name) })
	require.NoError(t, err, "open %s", name)
	t.closing("File", f)
	return f
}

func (t *T) queue(d backend.Dir, depth int) backend.Queue {
	t.Helper()
	q, err := d.Queue(backend.QueueOptions{Depth: depth})
	require.NoError(t, err)
	t.closing("Queue", q)
	return q
}

// buffer returns a buffer whose bytes tell their place and kind.
func (t *T) buffer(q backend.Queue, size, kind int) *backend.Buffer {
	t.Helper()
	b, err := q.Buffer(size)
	require.NoError(t, err)
	require.NotNil(t, b)
	require.GreaterOrEqual(t, len(b.Bytes), size)
	fill(b.Bytes, kind)
	return b
}

// fill writes bytes that are different at every place and for every kind, and nowhere zero
// for long.
func fill(p []byte, kind int) {
	for i := range p {
		p[i] = byte(i*7 + i>>8 + i>>16 + 31*kind + 1)
	}
}

// filled is fill of new memory.
func filled(size, kind int) []byte {
	p := make([]byte, size)
	fill(p, kind)
	return p
}

// submit submits a batch and demands that it is taken.
func (t *T) submit(q backend.Queue, writes ...backend.Write) *backend.Batch {
	t.Helper()
	b := &backend.Batch{Writes: writes}
	var err error
	t.soon("Submit", func() { err = q.Submit(b) })
	require.NoError(t, err)
	return b
}

// wait returns what Wait returns: a batch, or nil for a wake.
func (t *T) wait(q backend.Queue) *backend.Batch {
	t.Helper()
	var b *backend.Batch
	var err error
	t.soon("Wait", func() { b, err = q.Wait() })
	require.NoError(t, err)
	return b
}

// waitBatch waits for a batch; nobody wakes the queue.
func (t *T) waitBatch(q backend.Queue) *backend.Batch {
	t.Helper()
	b := t.wait(q)
	require.NotNil(t, b, "Wait returns no batch, and there was no wake")
	return b
}

// waitAll waits for n batches that succeed.
func (t *T) waitAll(q backend.Queue, n int) {
	t.Helper()
	for range n {
		require.NoError(t, t.waitBatch(q).Failed())
	}
}

// write carries out one batch, successfully.
func (t *T) write(q backend.Queue, writes ...backend.Write) {
	t.Helper()
	b := t.submit(q, writes...)
	got := t.waitBatch(q)
	require.Same(t, b, got)
	require.NoError(t, got.Failed())
}

// put writes content at the beginning of a file, durably; its length is whole blocks.
func (t *T) put(q backend.Queue, f backend.File, content []byte) {
	t.Helper()
	b, err := q.Buffer(len(content))
	require.NoError(t, err)
	copy(b.Bytes, content)
	t.write(q, backend.Write{File: f, Data: b.Bytes[:len(content)], Buffer: b, Sync: true})
	q.Release(b)
}

// content reads a whole file.
func (t *T) content(f backend.File) []byte {
	t.Helper()
	size, err := f.Size()
	require.NoError(t, err)
	p := make([]byte, size)
	if size == 0 {
		return p
	}
	n, err := f.ReadAt(p, 0)
	require.EqualValues(t, size, n, "bytes read of a whole file: %v", err)
	return p
}

// same compares contents without printing them.
func (t *T) same(want, got []byte, what string, args ...any) {
	t.Helper()
	if bytes.Equal(want, got) {
		return
	}
	at := 0
	for at < min(len(want), len(got)) && want[at] == got[at] {
		at++
	}
	require.Failf(t, "other content", "%s: %d bytes are there, %d should be, and byte %d is the first that is different",
		fmt.Sprintf(what, args...), len(got), len(want), at)
}

// zeros demands zeros.
func (t *T) zeros(p []byte, what string) {
	t.Helper()
	t.same(make([]byte, len(p)), p, "%s is to read as zeros", what)
}

// list returns the names in a directory, sorted.
func (t *T) list(d backend.Dir) []string {
	t.Helper()
	names, err := d.List()
	require.NoError(t, err)
	slices.Sort(names)
	return names
}
