package conformance

import (
	"errors"
	"syscall"

	"github.com/stretchr/testify/require"

	"github.com/chronik-go/wal/core/backend"
)

// checkLongWrites writes what systems like to cut: long writes, and many pieces.
func checkLongWrites(t *T) {
	d := t.newDir()
	const size = 24 << 20
	f, q := t.create(d, "f", size), t.queue(d, 1)
	buf := t.buffer(q, size, 1)
	for _, sync := range []bool{false, true} {
		t.write(q, backend.Write{File: f, Data: buf.Bytes[:size], Buffer: buf, Sync: sync})
		t.same(buf.Bytes[:size], t.content(f), "a file written at once")
		fill(buf.Bytes, 2)
		t.write(q,
			backend.Write{File: f, Data: buf.Bytes[:size/2-block], Buffer: buf, Sync: sync},
			backend.Write{File: f, Offset: size/2 - block, Data: buf.Bytes[size/2-block : size], Buffer: buf, Sync: sync})
		t.same(buf.Bytes[:size], t.content(f), "a file written in two long pieces")
		fill(buf.Bytes, 3)

		align := q.Limits().Alignment
		const pieces = 2*1024 + 100 // more than one system call takes
		var writes []backend.Write
		want := t.content(f)
		for i := range pieces {
			from := (i * 7919 % pieces) * align // in another order
			data := buf.Bytes[from : from+align]
			copy(want[i*align:], data)
			writes = append(writes, backend.Write{File: f, Offset: int64(i * align), Data: data, Buffer: buf, Sync: sync && i == 5})
		}
		t.write(q, writes...)
		t.same(want, t.content(f), "a file written in many pieces")
		fill(buf.Bytes, 1)
	}
}

// checkShortWrites makes the system cut writes, at a block, at a sector and inside one.
func checkShortWrites(t *T) {
	for _, limit := range []int64{2 * block, 2*block + 512, 2*block + 700} {
		for _, sync := range []bool{false, true} {
			t.cutWrites(limit, sync)
		}
	}
}

func (t *T) cutWrites(limit int64, sync bool) {
	t.Helper()
	d := t.newDir()
	f, q := t.create(d, "f", 5*block), t.queue(d, 1)
	buf := t.buffer(q, 5*block, 1)
	write := func(from, to int) backend.Write {
		return backend.Write{File: f, Offset: int64(from) * block, Data: buf.Bytes[from*block : to*block], Buffer: buf, Sync: sync}
	}
	together := []backend.Write{write(0, 1), write(1, 2), write(2, 4), write(4, 5)}
	batches := [][]backend.Write{together, {write(1, 5)}, {write(0, 1)}, {write(0, 2)}}
	undo, err := limitFileSize(limit)
	if errors.Is(err, errors.ErrUnsupported) {
		return
	}
	require.NoError(t, err)
	defer func() { require.NoError(t, undo()) }()
	for _, writes := range batches {
		b := t.submit(q, writes...)
		require.Same(t, b, t.waitBatch(q))
		require.NoError(t, b.Err, "files are limited to %d bytes", limit)
		content := t.content(f)
		for i := range b.Writes {
			w := &b.Writes[i]
			end := w.Offset + int64(len(w.Data))
			switch {
			case w.Err == nil: // the limit is none for stores into mapped memory
				t.same(w.Data, content[w.Offset:end], "write %d of %d without an error, where files are limited to %d bytes", i, len(writes), limit)
			case end > limit:
				require.ErrorIs(t, w.Err, syscall.EFBIG, "write %d of %d, where files are limited to %d bytes", i, len(writes), limit)
			default:
				// Its sync may have been left out because of the other ones, but not alone.
				require.True(t, sync && b.Writes[len(writes)-1].Err != nil, "write %d of %d, that could be carried out where files are limited to %d bytes: %v", i, len(writes), limit, w.Err)
			}
		}
	}
	require.NoError(t, undo())
	t.write(q, together...)
	t.same(buf.Bytes[:5*block], t.content(f), "a file that takes writes again")
}
