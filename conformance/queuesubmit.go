package conformance

import (
	"math"

	"github.com/stretchr/testify/require"

	"github.com/chronik-go/wal/core/backend"
)

// refusal is a write that Submit refuses, and why.
type refusal struct {
	why string
	w   backend.Write
}

// refusals are writes to a file of eight blocks that break each rule, one at a time.
func (t *T) refusals(d backend.Dir, f backend.File, buf *backend.Buffer, align int) []refusal {
	t.Helper()
	other := t.newDir()
	q := t.queue(other, 1)
	t.put(q, t.create(other, "f", 8*block), filled(block, 9))
	closed := t.create(d, "closed", 8*block)
	require.NoError(t, closed.Close())
	change := func(why string, fn func(w *backend.Write)) refusal {
		r := refusal{why: why, w: backend.Write{File: f, Offset: block, Data: buf.Bytes[:block], Buffer: buf, Sync: true}}
		fn(&r.w)
		return r
	}
	return []refusal{
		change("offset not aligned", func(w *backend.Write) { w.Offset = int64(align / 2) }),
		change("length not aligned", func(w *backend.Write) { w.Data = w.Data[:align-1] }),
		change("length of one byte", func(w *backend.Write) { w.Data = w.Data[:1] }),
		change("negative offset", func(w *backend.Write) { w.Offset = -block }),
		change("behind the end", func(w *backend.Write) { w.Offset = 8 * block }),
		change("far behind the end", func(w *backend.Write) { w.Offset = 1 << 50 }),
		change("across the end", func(w *backend.Write) { w.Offset, w.Data = 7*block, buf.Bytes[:2*block] }),
		change("an offset that overflows", func(w *backend.Write) { w.Offset = math.MaxInt64 - block + 1 }),
		change("closed File", func(w *backend.Write) { w.File = closed }),
		change("only a sync of a closed File", func(w *backend.Write) { *w = backend.Write{File: closed, Sync: true} }),
		change("File of another Dir", func(w *backend.Write) { w.File = t.open(other, "f") }),
		change("a sync of a File of another Dir", func(w *backend.Write) { *w = backend.Write{File: t.open(other, "f"), Sync: true} }),
	}
}

func checkSubmitRefuses(t *T) {
	d := t.newDir()
	f := t.create(d, "f", 8*block)
	for _, asked := range depths[:3] {
		q := t.queue(d, asked)
		limits := q.Limits()
		buf := t.buffer(q, 8*block, 1)
		for _, r := range t.refusals(d, f, buf, limits.Alignment) {
			require.Error(t, q.Submit(&backend.Batch{Writes: []backend.Write{r.w}}), r.why)
			require.NoError(t, d.Sync())
		}
		require.NoError(t, d.Remove("closed"))
		if limits.Depth > 1000 {
			continue
		}
		for range limits.Depth {
			t.submit(q)
		}
		for range 2 {
			require.Error(t, q.Submit(&backend.Batch{}), "a batch more than Limits.Depth")
		}
		t.waitAll(q, limits.Depth)
	}
	require.NoError(t, f.Resize(2*block))
	q := t.queue(d, 1)
	buf := t.buffer(q, 2*block, 1)
	w := backend.Write{File: f, Offset: block, Data: buf.Bytes[:2*block], Buffer: buf}
	require.Error(t, q.Submit(&backend.Batch{Writes: []backend.Write{w}}), "beyond a size that was less before")
	require.NoError(t, f.Resize(3*block))
	t.write(q, w)
}

func checkRefused(t *T) {
	d := t.newDir()
	f := t.create(d, "f", 8*block)
	before := filled(8*block, 1)
	q := t.queue(d, 8)
	t.put(q, f, before)
	buf := t.buffer(q, 8*block, 2)
	good := backend.Write{File: f, Data: buf.Bytes[:block], Buffer: buf, Sync: true}
	for _, r := range t.refusals(d, f, buf, q.Limits().Alignment) {
		for _, writes := range [][]backend.Write{{good, r.w}, {r.w, good}} {
			require.Error(t, q.Submit(&backend.Batch{Writes: writes}), r.why)
			q.Wake()
			require.Nil(t, t.wait(q), "Wait returns a batch that was refused: %s", r.why)
			t.same(before, t.content(f), "a file after a batch that was refused: %s", r.why)
		}
	}
	// What was refused takes no place in the queue.
	depth := q.Limits().Depth
	for range min(depth, 100) {
		t.submit(q, backend.Write{File: f, Sync: true})
	}
	t.waitAll(q, min(depth, 100))
	t.write(q, good)
	copy(before, buf.Bytes[:block])
	t.same(before, t.content(f), "a file written after refusals")
}
