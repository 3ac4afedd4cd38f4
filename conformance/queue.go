package conformance

import (
	"github.com/stretchr/testify/require"

	"github.com/chronik-go/wal/core/backend"
)

const groupQueue = "Queue"

func queueChecks() []check {
	return []check{
		{group: groupQueue, name: "AlignmentIsInRange", run: checkAlignment,
			says: "[Q1] It is a power of two from 512 to 4096."},
		{group: groupQueue, name: "NeighboursAreKept", run: checkNeighbours,
			says: "[Q2] A completed write is never damaged by a later write to other aligned blocks."},
		{group: groupQueue, name: "DepthIsUsable", run: checkDepth,
			says: "[Q3] It is at least 1, and so many can be submitted before any comes back."},
		{group: groupQueue, name: "AnyGoroutine", run: checkAnyGoroutine,
			says: "[Q4] Wake, Buffer and Release may be called by any goroutine at any time."},
		{group: groupQueue, name: "LimitsAreConstant", run: checkLimits,
			says: "[Q5] It is constant over the life of the queue."},
		{group: groupQueue, name: "BuffersAreApart", run: checkBuffersApart,
			says: "[Q6] It has at least size bytes, which are the caller's alone: nobody else has or changes them."},
		{group: groupQueue, name: "ImpossibleBuffers", run: checkImpossibleBuffers,
			says: "[Q7] A size below 1, or one that no machine has, is an error."},
		{group: groupQueue, name: "ReleasedMemoryIsUsedAgain", run: checkRelease,
			says: "[Q8] Its memory is used again: a queue that gets back what it gave does not grow."},
		{group: groupQueue, name: "ReleaseAfterClose", run: checkReleaseAfterClose,
			says: "[Q9] After Close it does nothing."},
		{group: groupQueue, name: "SubmitRefuses", run: checkSubmitRefuses,
			says: "[Q10] A batch is an error if it is one too many, if Alignment does not divide the offset and the length of each write, or if one lies outside its file's size or has a File that is closed or of another Dir."},
		{group: groupQueue, name: "RefusedBatchesDoNothing", run: checkRefused,
			says: "[Q11] After an error nothing of the batch was started, and Wait does not return it."},
		{group: groupQueue, name: "BatchesComeBackOnce", run: checkOnce,
			says: "[Q12] Every submitted batch comes back exactly once, an empty one too."},
		{group: groupQueue, name: "WaitBlocks", run: checkWaitBlocks,
			says: "[Q13] It blocks until there is a completed batch, or a wake, for which it returns nil, nil."},
		{group: groupQueue, name: "WakeEndsOneWait", run: checkWake,
			says: "[Q14] It ends a Wait that is blocked, or the next one if none is, and no further one."},
		{group: groupQueue, name: "WakeAndBatch", run: checkWakeAndBatch,
			says: "[Q15] It takes no batch's place: where a batch and a wake are both due, Wait returns one of them and then the other."},
		{group: groupQueue, name: "WakeAfterClose", run: checkWakeAfterClose,
			says: "[Q16] After Close it does nothing."},
		{group: groupQueue, name: "CloseCarriesOut", run: checkCloseCarriesOut, fuse: true,
			says: "[Q17] It waits for what is in flight, which is carried out."},
		{group: groupQueue, name: "BatchIsKept", run: checkBatchKept,
			says: "[Q18] The queue changes nothing of it but the two kinds of Err, not even Data."},
		{group: groupQueue, name: "WritesMatchModel", run: checkWrites,
			says: "[Q19] Without an error all of them were, each as a whole and at its place."},
		{group: groupQueue, name: "OldErrorsAreGone", run: checkOldErrors,
			says: "[Q20] The queue sets it, and the Err of each write: what was in them before Submit is gone."},
		{group: groupQueue, name: "ShortWrites", run: checkLongWrites, apart: checkShortWrites,
			says: "[Q23] A short write is finished by the backend or reported here, never passed over, and the error is that of the write that it belongs to."},
		durable(groupQueue, "SyncedWritesAreDurable",
			"[Q21] With Sync it is complete only when its data, and whatever metadata it takes to read it back, would survive a power failure."),
		durable(groupQueue, "SyncWithoutData",
			"[Q22] Sync without Data makes durable every write to the file that Wait returned before the batch was submitted; of writes of the same batch it promises nothing."),
		durable(groupQueue, "FailedSyncs",
			"[Q24] After a sync of the file that failed, by this write or another one, the backend does not sync it again of its own accord, and reports no later write with Sync as done that is not, through whichever File, until all are closed that were open when it failed."),
		durable(groupQueue, "SyncWithoutSpace",
			"[Q25] The error of a sync that finds no space wraps ErrSync: with delayed allocation that is what becomes of writes that succeeded."),
		durable(groupQueue, "SyncsTogether",
			"[Q26] Of syncs at the same time none is reported as done when another one fails that may have been told what both have lost."),
	}
}

// depths are what the checks ask for.
var depths = []int{1, 2, 8, 1000}

func checkAlignment(t *T) {
	for _, depth := range depths {
		a := t.queue(t.newDir(), depth).Limits().Alignment
		require.True(t, a >= 512 && a <= block && a&(a-1) == 0, "alignment %d", a)
	}
}

func checkLimits(t *T) {
	d := t.newDir()
	for _, depth := range depths {
		q := t.queue(d, depth)
		f := t.create(d, "f", block)
		limits := q.Limits()
		t.put(q, f, filled(block, 1))
		require.NoError(t, f.Resize(0))
		require.Equal(t, limits, q.Limits())
		require.NoError(t, f.Close())
		require.NoError(t, d.Remove("f"))
		require.Equal(t, limits, q.Limits())
	}
}

// checkNeighbours writes every block of a file alone, in a random order, again and again.
func checkNeighbours(t *T) {
	d := t.newDir()
	f, q := t.create(d, "f", 16*block), t.queue(d, 1)
	align := q.Limits().Alignment
	want := make([]byte, 16*block)
	buf := t.buffer(q, align, 0)
	rng := t.rng()
	for round := range 400 {
		at := rng.IntN(len(want)/align) * align
		fill(buf.Bytes, round)
		copy(want[at:at+align], buf.Bytes)
		t.write(q, backend.Write{File: f, Offset: int64(at), Data: buf.Bytes[:align], Buffer: buf, Sync: rng.IntN(4) == 0})
		if round%20 == 0 {
			t.same(want, t.content(f), "blocks that were written alone")
		}
	}
	t.same(want, t.content(f), "blocks that were written alone")
}

// checkDepth fills a queue to its depth, several times.
func checkDepth(t *T) {
	d := t.newDir()
	for _, asked := range depths {
		q := t.queue(d, asked)
		depth := q.Limits().Depth
		require.GreaterOrEqual(t, depth, 1)
		depth = min(depth, 4096)
		f := t.create(d, "f", int64(depth)*block)
		buf := t.buffer(q, depth*block, asked)
		for range 3 {
			for i := range depth {
				t.submit(q, backend.Write{File: f, Offset: int64(i) * block, Data: buf.Bytes[i*block : (i+1)*block], Buffer: buf, Sync: i == 0})
			}
			t.waitAll(q, depth)
			t.same(buf.Bytes[:depth*block], t.content(f), "a file written by %d batches in flight", depth)
		}
		require.NoError(t, f.Close())
		require.NoError(t, d.Remove("f"))
	}
}

func checkOnce(t *T) {
	d := t.newDir()
	for _, asked := range depths {
		q := t.queue(d, asked)
		depth := min(q.Limits().Depth, 1000)
		f := t.create(d, "f", int64(depth)*block)
		buf := t.buffer(q, depth*block, 1)
		back := map[*backend.Batch]int{}
		for range 60 {
			var batches []*backend.Batch
			for i := range depth {
				w := backend.Write{File: f, Offset: int64(i) * block, Data: buf.Bytes[i*block : (i+1)*block], Buffer: buf, Sync: i%3 == 0}
				writes := [][]backend.Write{{w}, {}, {{File: f, Sync: true}}, {{File: f}}}[i%4]
				batches = append(batches, t.submit(q, writes...))
			}
			for range depth {
				b := t.waitBatch(q)
				require.NoError(t, b.Failed())
				back[b]++
			}
			for _, b := range batches {
				require.Equal(t, 1, back[b], "times that a batch came back, of %d in flight", depth)
				delete(back, b)
			}
			require.Empty(t, back, "batches that were not in flight")
		}
		q.Wake()
		require.Nil(t, t.wait(q), "there was no other batch")
		require.NoError(t, f.Close())
		require.NoError(t, d.Remove("f"))
	}
}

func checkBatchKept(t *T) {
	d := t.newDir()
	f, g, q := t.create(d, "f", 8*block), t.create(d, "g", 8*block), t.queue(d, 1)
	buf := t.buffer(q, 8*block, 1)
	bytes, memory := append([]byte(nil), buf.Bytes...), *buf
	for _, sync := range []bool{false, true} {
		tag := new(int)
		b := &backend.Batch{Tag: tag, Writes: []backend.Write{
			{File: g, Offset: 2 * block, Data: buf.Bytes[block : 3*block], Buffer: buf, Sync: sync},
			{File: f, Data: buf.Bytes[4*block : 5*block], Buffer: buf, Sync: true},
			{File: f, Offset: block, Data: buf.Bytes[:block], Buffer: buf},
			{File: g, Sync: sync},
		}}
		want := append([]backend.Write(nil), b.Writes...)
		require.NoError(t, q.Submit(b))
		require.Same(t, b, t.waitBatch(q))
		require.NoError(t, b.Failed())
		require.Same(t, tag, b.Tag)
		require.Len(t, b.Writes, len(want))
		for i := range want {
			got, w := b.Writes[i], want[i]
			require.Same(t, w.File, got.File, "write %d", i)
			require.Same(t, w.Buffer, got.Buffer, "write %d", i)
			require.Equal(t, w.Offset, got.Offset, "write %d", i)
			require.Equal(t, w.Sync, got.Sync, "write %d", i)
			require.Len(t, got.Data, len(w.Data), "write %d", i)
			require.True(t, len(w.Data) == 0 || &w.Data[0] == &got.Data[0], "write %d has other Data", i)
		}
		t.same(bytes, buf.Bytes, "the buffer")
		require.Same(t, &memory.Bytes[0], &buf.Bytes[0], "the buffer has other memory")
	}
}

func checkOldErrors(t *T) {
	d := t.newDir()
	f, q := t.create(d, "f", 2*block), t.queue(d, 1)
	buf := t.buffer(q, 2*block, 1)
	for _, sync := range []bool{false, true} {
		b := &backend.Batch{Err: errOld, Writes: []backend.Write{
			{File: f, Data: buf.Bytes[:block], Buffer: buf, Sync: sync, Err: errOld},
			{File: f, Offset: block, Data: buf.Bytes[block : 2*block], Buffer: buf, Err: errOld},
			{File: f, Sync: sync, Err: errOld},
			{File: f, Err: errOld},
		}}
		for range 2 { // the same batch is submitted again
			require.NoError(t, q.Submit(b))
			require.Same(t, b, t.waitBatch(q))
			require.NoError(t, b.Err)
			for i := range b.Writes {
				require.NoError(t, b.Writes[i].Err, "write %d", i)
			}
		}
		empty := &backend.Batch{Err: errOld}
		require.NoError(t, q.Submit(empty))
		require.NoError(t, t.waitBatch(q).Failed(), "an empty batch")
	}
}
