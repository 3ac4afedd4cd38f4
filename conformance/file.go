package conformance

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"runtime"

	"github.com/stretchr/testify/require"

	"github.com/chronik-go/wal/core/backend"
)

const groupFile = "File"

func fileChecks() []check {
	return []check{
		{group: groupFile, name: "ConcurrentUse", run: checkFileConcurrent,
			says: "[F1] Its methods may be called concurrently."},
		{group: groupFile, name: "ReadAtFollowsReaderAt", run: checkReaderAt, fuse: true,
			says: "[F2] It follows io.ReaderAt: fewer bytes than asked for come with an error, at the end of the file with io.EOF."},
		{group: groupFile, name: "ReadsSeeWrites", run: checkReadsSeeWrites,
			says: "[F3] It sees every write that any Queue's Wait returned before the call, through whichever open File."},
		{group: groupFile, name: "ReadsDuringWrites", run: checkReadsDuringWrites,
			says: "[F4] While a write to the same place is in flight it gives for each byte what was there before or what is being written."},
		{group: groupFile, name: "SizeIsShared", run: checkSize,
			says: "[F5] It is what the last Resize made it, through whichever open File."},
		{group: groupFile, name: "ResizeCutsAndZeros", run: checkResizes,
			says: "[F6] What is below the old and the new size stays; beyond the old one the file reads as zeros, also where it was longer once."},
		{group: groupFile, name: "ResizeReserves", run: checkResizeReserves, apart: checkResizeReserves, fuse: true,
			says: "[F7] Space is reserved as by Create; where it cannot be, the error is one of those of Create, and the file as it was."},
		{group: groupFile, name: "ReadOnlySync", run: checkFileSyncReadOnly, fuse: true,
			says: "[F10] It works on a file of a read-only Dir."},
		{group: groupFile, name: "NextDataPassesZeros", run: checkNextDatas,
			says: "[F11] It returns an offset, not below the given one, below which all bytes from the given one on read as zeros; at or beyond the end, the given one."},
		{group: groupFile, name: "ViewsAreReads", run: checkViews,
			says: "[F12] They are the bytes that ReadAt would return; where that would return fewer, look is not called and View returns the error that ReadAt would."},
		{group: groupFile, name: "ViewsStay", run: checkViewsStay,
			says: "[F13] They stay readable, and what they are, until look returns, also if the file is closed, removed or renamed meanwhile."},
		{group: groupFile, name: "ViewsFailAlone", apart: checkViewsFail,
			says: "[F14] Where they cannot be brought any more while look runs, because the device fails or somebody has cut the file, look ends there and View returns an error."},
		durable(groupFile, "SyncKeepsContent",
			"[F8] Content and size are durable when it returns nil, whoever wrote them, also in an earlier process."),
		durable(groupFile, "SyncShowsTheDevice",
			"[F9] After it returned nil a read returns what the device holds, not what a cache holds that a failed write-back left behind."),
	}
}

// checkFileConcurrent uses a File from several goroutines while a queue writes to it.
func checkFileConcurrent(t *T) {
	d := t.newDir()
	const size = 16 * block
	f, q := t.create(d, "f", size), t.queue(d, 1)
	content := filled(size, 1)
	t.put(q, f, content)
	half := t.buffer(q, size/2, 2)
	batch := &backend.Batch{Writes: []backend.Write{{File: f, Offset: size / 2, Data: half.Bytes[:size/2], Buffer: half}}}
	read := func(int) error {
		p := make([]byte, size/2)
		_, err := f.ReadAt(p, 0)
		if err == nil && !bytes.Equal(p, content[:size/2]) {
			err = errors.New("what nobody writes is read differently")
		}
		return err
	}
	measure := func(int) error {
		n, err := f.Size()
		if err == nil && n != size {
			err = fmt.Errorf("a size of %d", n)
		}
		return err
	}
	t.together("concurrent use of a File", 50, read, read, measure,
		func(int) error { return f.Sync() },
		func(round int) error {
			batch.Writes[0].Sync = round%4 == 0
			return roundTrip(q, batch)
		})
}

func checkReaderAt(t *T) {
	d := t.newDir()
	const size = 3<<20 + block
	f := t.create(d, "f", size)
	q := t.queue(d, 1)
	content := filled(size, 1)
	t.put(q, f, content)
	demand := func(n int, at int64) {
		p := make([]byte, n)
		got, err := f.ReadAt(p, at)
		want := content[min(at, size):min(at+int64(n), size)]
		what := fmt.Sprintf("read of %d bytes at %d of %d", n, at, size)
		require.Equal(t, len(want), got, "%s: %v", what, err)
		t.same(want, p[:got], "%s", what)
		switch {
		case got < n:
			require.ErrorIs(t, err, io.EOF, what)
		case err != nil:
			require.ErrorIs(t, err, io.EOF, what)
			require.EqualValues(t, size, at+int64(n), "%s: io.EOF before the end", what)
		}
	}
	for _, n := range []int{1, 100, 512, block, 64<<10 + 1, 512 << 10, 1 << 20, 2<<20 + 512, size, size + 1, 2 * size} {
		for _, at := range []int64{0, 1, 511, 512, block, 1 << 20, 1<<20 + 3, size - 512, size - 1, size, size + 1, 10 * size} {
			demand(n, at)
		}
	}
	rng := t.rng()
	for range 200 {
		demand(1+rng.IntN(1<<rng.IntN(22)), rng.Int64N(size+1000))
	}
	n, err := f.ReadAt(nil, 1)
	require.Zero(t, n)
	require.NoError(t, err)
	n, err = f.ReadAt(make([]byte, 10), math.MaxInt64-5)
	require.Zero(t, n)
	require.Error(t, err)
	n, err = t.create(d, "empty", 0).ReadAt(make([]byte, 10), 0)
	require.Zero(t, n)
	require.ErrorIs(t, err, io.EOF)
}

func checkReadsSeeWrites(t *T) {
	path := t.TempDir()
	d := t.openDir(path, backend.DirOptions{})
	const size = 1 << 20
	f := t.create(d, "f", size)
	queues := []backend.Queue{t.queue(d, 1), t.queue(d, 1)}
	readers := map[string]backend.File{
		"the File": f, "another one": t.open(d, "f"), "one of a read-only Dir": t.open(t.readOnly(path), "f"),
	}
	look := func(want []byte) {
		t.Helper()
		for who, r := range readers {
			t.same(want, t.content(r), "read through %s", who)
			p := make([]byte, block)
			_, err := r.ReadAt(p, size/2)
			require.NoError(t, err)
			t.same(want[size/2:][:block], p, "read through %s, a part", who)
		}
	}
	look(make([]byte, size)) // in every cache there may be
	for round := range 10 {
		q := queues[round%2]
		buf := t.buffer(q, size, round)
		t.write(q, backend.Write{File: f, Data: buf.Bytes[:size], Buffer: buf, Sync: round%3 == 0})
		look(buf.Bytes[:size])
		q.Release(buf)
		if round == 5 {
			gone := t.open(d, "f")
			require.NoError(t, gone.Close(), "another open File has nothing to do with it")
			require.NoError(t, f.Sync())
		}
	}
}

// checkReadsDuringWrites reads, byte by byte, the last content or the next one.
func checkReadsDuringWrites(t *T) {
	d := t.newDir()
	const size = 64 * block
	f, q := t.create(d, "f", size), t.queue(d, 1)
	last, next := filled(size, 1), filled(size, 2)
	t.put(q, f, last)
	buf := t.buffer(q, size, 0)
	read := make([]byte, size)
	reads := 0
	look := func() {
		reads++
		_, err := f.ReadAt(read, 0)
		require.NoError(t, err)
		for i, b := range read {
			if b != last[i] && b != next[i] {
				require.Failf(t, "other content", "byte %d is neither what was there nor what is being written", i)
			}
		}
	}
	for round := range 100 {
		copy(buf.Bytes, next)
		b := t.submit(q, backend.Write{File: f, Data: buf.Bytes[:size], Buffer: buf, Sync: round%2 == 0})
		look()
		returned := make(chan *backend.Batch, 1)
		go func() {
			got, err := q.Wait()
			if err != nil {
				got = nil
			}
			returned <- got
		}()
		var got *backend.Batch
		t.soon("Wait", func() {
			for over := false; !over; {
				select {
				case got = <-returned:
					over = true
				default:
					look()
					runtime.Gosched()
				}
			}
		})
		require.Same(t, b, got)
		require.NoError(t, got.Failed())
		last, next = next, last
		fill(next, round+3)
	}
}

func checkFileSyncReadOnly(t *T) {
	path := t.TempDir()
	t.writeFile(t.join(path, "f"), string(filled(block, 1))) // by somebody who did not sync it
	f := t.open(t.readOnly(path), "f")
	require.NoError(t, f.Sync())
	t.same(filled(block, 1), t.content(f), "a file that was synced")
}
