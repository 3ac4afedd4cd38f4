package conformance

import (
	"errors"
	"runtime"

	"github.com/stretchr/testify/require"

	"github.com/chronik-go/wal/core/backend"
)

// held is what a backend may hold on to.
type held struct {
	goroutines, handles int
	memory              int64
	// mappings are how many there are, foreign how much they have that is not Go's.
	mappings int
	foreign  int64
}

// holding counts; what cannot be counted here is 0.
func (t *T) holding() (h held) {
	runtime.GC() // gives back what only waits for it
	h.goroutines = runtime.NumGoroutine()
	if m, own := t.Backend.(Machine); own {
		h.handles = m.OpenHandles()
	} else if n, err := openDescriptors(); err == nil {
		h.handles = n
	}
	if n, err := virtualSize(); err == nil {
		h.memory = n
	}
	if n, readable, err := mappings(); err == nil {
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		h.mappings, h.foreign = n, readable-int64(m.Sys)
	}
	return h
}

// roundMemory is how much memory a round of demandNothingLeft uses.
const roundMemory = 1 << 20

// demandNothingLeft runs a round again and again: afterwards nothing more is held.
func (t *T) demandNothingLeft(round func()) {
	t.Helper()
	const rounds, attempts = 150, 3
	for range 5 { // what is made once, for good
		round()
	}
	var before, after held
	for range attempts { // a thread takes memory too, once
		before = t.holding()
		for i := range rounds {
			if round(); i%10 == 0 {
				runtime.GC()
			}
		}
		after = t.holding()
		if after.mappings-before.mappings < rounds/2 && after.foreign-before.foreign < rounds/2*block {
			break
		}
	}
	over := t.eventually(func() bool { // what ends may take its time
		after = t.holding()
		return after.goroutines <= before.goroutines
	})
	require.True(t, over, "goroutines: %d, then %d after %d rounds", before.goroutines, after.goroutines, rounds)
	require.LessOrEqual(t, after.handles, before.handles, "descriptors after %d rounds", rounds)
	require.Less(t, after.mappings-before.mappings, rounds/2, "mappings that were left by %d rounds", rounds)
	require.Less(t, after.foreign-before.foreign, int64(rounds/2*block), "bytes of mappings that were left by %d rounds", rounds)
	require.Less(t, after.memory-before.memory, int64(rounds*roundMemory/2), "bytes of memory that were left by %d rounds", rounds)
}

func checkFailuresLeaveNothing(t *T) {
	path := t.TempDir()
	t.mkdir(t.join(path, "sub"))
	d := t.openDir(path, backend.DirOptions{})
	f, q := t.create(d, "f", block), t.queue(d, 1)
	content := filled(block, 1)
	t.put(q, f, content)
	other := t.openDir(path, backend.DirOptions{})
	require.NoError(t, other.Lock())
	calls := append(t.failures(path, d, f, q), failing{"Lock", backend.ErrLocked, d.Lock})
	t.demandNothingLeft(func() {
		for _, c := range calls {
			require.Error(t, c.call(), c.what)
		}
	})
	require.Equal(t, []string{"f", "sub"}, t.list(d))
	t.same(content, t.content(f), "a file after calls that failed")
}

func checkCloseLeavesNothing(t *T) {
	path := t.TempDir()
	round := 0
	t.demandNothingLeft(func() {
		round++
		d, err := t.Backend.OpenDir(path, backend.DirOptions{Create: true})
		require.NoError(t, err)
		require.NoError(t, d.Lock())
		f, err := d.Create("f", block)
		require.NoError(t, err)
		q, err := d.Queue(backend.QueueOptions{Depth: 4})
		require.NoError(t, err)
		b, err := q.Buffer(roundMemory) // Close gives it back
		require.NoError(t, err)
		fill(b.Bytes[:block], round)
		batch := t.submit(q, backend.Write{File: f, Data: b.Bytes[:block], Buffer: b})
		if round%2 == 0 {
			require.Same(t, batch, t.waitBatch(q))
		}
		q.Wake()
		require.NoError(t, d.Rename("f", "g"))
		g, err := d.Open("g")
		require.NoError(t, err)
		_, err = d.List()
		require.NoError(t, err)
		require.NoError(t, d.Remove("g"))
		require.NoError(t, errors.Join(q.Close(), g.Close(), f.Sync(), f.Close(), d.Sync(), d.Close()))
	})
}

func checkClosed(t *T) {
	d := t.newDir()
	f, q := t.create(d, "f", block), t.queue(d, 1)
	require.NoError(t, f.Close())
	closed := map[string]error{}
	_, closed["File.ReadAt"] = f.ReadAt(make([]byte, 1), 0)
	_, closed["File.Size"] = f.Size()
	closed["File.Resize"] = f.Resize(2 * block)
	closed["File.Sync"] = f.Sync()
	closed["File.Close"] = f.Close()
	if finder, ok := f.(backend.DataFinder); ok {
		_, closed["File.NextData"] = finder.NextData(0)
	}
	require.NoError(t, q.Close())
	_, closed["Queue.Buffer"] = q.Buffer(1)
	_, closed["Queue.Wait"] = q.Wait()
	closed["Queue.Submit"] = q.Submit(&backend.Batch{})
	closed["Queue.Close"] = q.Close()

	require.NoError(t, d.Close())
	_, closed["Dir.Create"] = d.Create("new", 0)
	_, closed["Dir.Open"] = d.Open("f")
	_, closed["Dir.List"] = d.List()
	_, closed["Dir.Queue"] = d.Queue(backend.QueueOptions{Depth: 1})
	closed["Dir.Lock"] = d.Lock()
	closed["Dir.Rename"] = d.Rename("f", "g")
	closed["Dir.Remove"] = d.Remove("f")
	closed["Dir.Sync"] = d.Sync()
	closed["Dir.Close"] = d.Close()
	for what, err := range closed {
		require.ErrorIs(t, err, backend.ErrClosed, what)
	}
}

// checkCallsBesideClose makes calls while Close waits: for a batch in flight, and for whoever looks
// at the file.
func checkCallsBesideClose(t *T) {
	d := t.newDir()
	q := t.queue(d, 2)
	f := t.create(d, "f", block)
	t.submit(q, backend.Write{File: f, Sync: true})
	closed := t.closeBeside(f)
	sync := &backend.Batch{Writes: []backend.Write{{File: f, Sync: true}}}
	t.soon("Submit while Close waits", func() {
		if q.Limits().Depth > 1 && q.Submit(sync) == nil {
			t.waitBatch(q)
		}
	})
	t.waitBatch(q)
	t.soon("Close without a batch in flight", func() { require.NoError(t, <-closed) })

	g := t.create(d, "g", block)
	v, ok := g.(backend.Viewer)
	if !ok {
		return
	}
	t.soon("calls of who looks while Close waits", func() {
		closed = nil
		require.NoError(t, v.View(0, block, func([]byte) {
			closed = t.closeBeside(g)
			_, _ = g.Size() // it may be closed
			_ = v.View(0, 1, func([]byte) {})
		}))
		require.NoError(t, <-closed)
	})
}

// closeBeside closes a file on another goroutine, and gives that the time to come to where it waits.
func (t *T) closeBeside(f backend.File) chan error {
	closed := make(chan error, 1)
	go func() { closed <- f.Close() }()
	for range 1000 {
		runtime.Gosched()
	}
	return closed
}
