package conformance

import (
	"fmt"
	"math/rand/v2"

	"github.com/stretchr/testify/require"

	"github.com/chronik-go/wal/core/backend"
)

// model is what files should hold, beside the files.
type model struct {
	t     *T
	rng   *rand.Rand
	d     backend.Dir
	q     backend.Queue
	align int
	files []*modelFile
	// flying are the batches in flight, and what their writes take.
	flying map[*backend.Batch][]span
	kind   int
}

type modelFile struct {
	name string
	f    backend.File
	want []byte
	// next is what it holds when all that is in flight is done; busy counts the writes in
	// flight to each block.
	next  []byte
	busy  []bool
	syncs int // in flight, without data
}

// span is where a write in flight goes; a sync goes nowhere.
type span struct {
	f      *modelFile
	at, to int // bytes
}

// checkModel submits random batches to many files, as deep as the queue allows, resizes and
// opens again, and compares with memory all along.
func checkModel(t *T) {
	rng := t.rng()
	for _, asked := range depths[:3] {
		m := newModel(t, rng, asked)
		for range 400 {
			m.step()
		}
		for len(m.flying) > 0 {
			m.collect()
		}
		m.compare()
		for _, f := range m.files {
			require.NoError(t, f.f.Close())
		}
		require.NoError(t, m.q.Close())
	}
}

func newModel(t *T, rng *rand.Rand, depth int) *model {
	d := t.newDir()
	m := &model{t: t, rng: rng, d: d, q: t.queue(d, depth), flying: map[*backend.Batch][]span{}}
	m.align = m.q.Limits().Alignment
	for i := range 5 {
		f := &modelFile{name: fmt.Sprint("f", i)}
		size := (1 + rng.IntN(64)) * m.align
		f.f = t.create(d, f.name, int64(size))
		f.resize(size, m.align)
		m.files = append(m.files, f)
	}
	return m
}

func (f *modelFile) resize(size, align int) {
	keep := min(size, len(f.want))
	f.want = append(f.want[:keep:keep], make([]byte, size-keep)...)
	f.next = append([]byte(nil), f.want...)
	f.busy = make([]bool, size/align)
}

func (f *modelFile) idle() bool {
	if f.syncs > 0 {
		return false
	}
	for _, b := range f.busy {
		if b {
			return false
		}
	}
	return true
}

func (m *model) step() {
	f := m.files[m.rng.IntN(len(m.files))]
	switch n := m.rng.IntN(20); {
	case n < 9 && len(m.flying) < min(m.q.Limits().Depth, 64):
		m.submit()
	case n < 14 && len(m.flying) > 0:
		m.collect()
	case n < 16:
		m.read(f)
	case n == 16 && f.idle():
		size := m.rng.IntN(64 * m.align)
		require.NoError(m.t, f.f.Resize(int64(size)))
		f.resize(size, m.align)
	case n == 17 && f.idle():
		require.NoError(m.t, f.f.Sync())
		require.NoError(m.t, f.f.Close())
		f.f = m.t.open(m.d, f.name)
	case n == 18:
		require.NoError(m.t, f.f.Sync())
	}
}

// submit submits a batch of writes to free places, some of them adjacent, from random places
// of one buffer.
func (m *model) submit() {
	m.kind++
	var spans []span
	total := 0
	for range m.rng.IntN(12) {
		f := m.files[m.rng.IntN(len(m.files))]
		if len(f.busy) == 0 {
			continue
		}
		first := m.rng.IntN(len(f.busy))
		last := first
		for last < len(f.busy) && !f.busy[last] && last-first < 1+m.rng.IntN(8) {
			f.busy[last] = true
			last++
		}
		if last > first {
			spans = append(spans, span{f, first * m.align, last * m.align})
			total += last - first
		}
	}
	buf := m.t.buffer(m.q, (total+1)*m.align, m.kind)
	var writes []backend.Write
	places := m.rng.Perm(len(spans)) // the order of the data is not that of the writes
	at := make([]int, len(spans))
	from := 0
	for _, k := range places {
		at[k] = from
		from += spans[k].to - spans[k].at
	}
	for k, s := range spans {
		data := buf.Bytes[at[k] : at[k]+s.to-s.at]
		if m.rng.IntN(4) == 0 {
			clear(data) // over what may be other bytes
		}
		copy(s.f.next[s.at:], data)
		writes = append(writes, backend.Write{File: s.f.f, Offset: int64(s.at), Data: data, Buffer: buf, Sync: m.rng.IntN(3) == 0})
	}
	if m.rng.IntN(4) == 0 {
		f := m.files[m.rng.IntN(len(m.files))]
		writes = append(writes, backend.Write{File: f.f, Sync: true})
		spans = append(spans, span{f: f})
		f.syncs++
	}
	b := &backend.Batch{Writes: writes, Tag: buf}
	require.NoError(m.t, m.q.Submit(b))
	m.flying[b] = spans
}

// collect takes a batch back and looks whether its bytes are there.
func (m *model) collect() {
	b := m.t.waitBatch(m.q)
	spans, ok := m.flying[b]
	require.True(m.t, ok, "a batch that is not in flight")
	delete(m.flying, b)
	require.NoError(m.t, b.Failed())
	for _, s := range spans {
		if s.to == 0 {
			s.f.syncs--
			continue
		}
		copy(s.f.want[s.at:s.to], s.f.next[s.at:s.to])
		for i := s.at / m.align; i < s.to/m.align; i++ {
			s.f.busy[i] = false
		}
		got := make([]byte, s.to-s.at)
		n, err := s.f.f.ReadAt(got, int64(s.at))
		require.Len(m.t, got, n, "%v", err)
		m.t.same(s.f.want[s.at:s.to], got, "%s at %d, with %d batches in flight", s.f.name, s.at, len(m.flying))
	}
	m.q.Release(b.Tag.(*backend.Buffer))
}

// read reads a random range: what is in flight there may or may not show.
func (m *model) read(f *modelFile) {
	if len(f.want) == 0 {
		return
	}
	from := m.rng.IntN(len(f.want))
	got := make([]byte, 1+m.rng.IntN(len(f.want)-from))
	n, err := f.f.ReadAt(got, int64(from))
	require.Len(m.t, got, n, "%v", err)
	for i, b := range got {
		if k := from + i; b != f.want[k] && b != f.next[k] {
			require.Failf(m.t, "other content", "%s, byte %d, with %d batches in flight", f.name, k, len(m.flying))
		}
	}
}

// compare reads everything, with nothing in flight.
func (m *model) compare() {
	names := []string{}
	for _, f := range m.files {
		m.t.same(f.want, m.t.content(f.f), "%s at the end", f.name)
		m.t.same(f.want, m.t.content(m.t.open(m.d, f.name)), "%s, opened again", f.name)
		names = append(names, f.name)
	}
	require.Equal(m.t, names, m.t.list(m.d))
}

// checkManyFiles writes to more files at once than a table of files may have room for, by one batch
// and by several in flight.
func checkManyFiles(t *T) {
	const n = 100
	d := t.newDir()
	files := make([]backend.File, n)
	for i := range files {
		files[i] = t.create(d, fmt.Sprint("f", i), 2*block)
	}
	for _, asked := range depths[:3] {
		q := t.queue(d, asked)
		buf := t.buffer(q, n*block, asked)
		write := func(i, at int) backend.Write {
			return backend.Write{File: files[i], Offset: int64(at) * block, Data: buf.Bytes[i*block : (i+1)*block], Buffer: buf, Sync: i%16 == 0}
		}
		batches := make([][]backend.Write, min(q.Limits().Depth, n))
		var all []backend.Write
		for i := range n {
			all = append(all, write(i, 0))
			batches[i%len(batches)] = append(batches[i%len(batches)], write(i, 1))
		}
		t.write(q, all...)
		for _, writes := range batches {
			t.submit(q, writes...)
		}
		t.waitAll(q, len(batches))
		for i, f := range files {
			data := buf.Bytes[i*block : (i+1)*block]
			t.same(append(data[:block:block], data...), t.content(f), "file %d of %d that were written at once", i, n)
		}
	}
}
