package conformance

import (
	"errors"
	"math"
	"runtime"

	"github.com/stretchr/testify/require"

	"github.com/chronik-go/wal/core/backend"
)

const groupAlloc = "Alloc"

func allocChecks() []check {
	return []check{
		{group: groupAlloc, name: "SteadyStateAllocatesNothing", run: checkAlloc,
			says: "[A1] Once it has seen a batch of a shape, Submit, Wait and Wake allocate no memory for another one of that shape."},
	}
}

func checkAlloc(t *T) {
	d := t.newDir()
	f, g := t.create(d, "f", 1<<20), t.create(d, "g", 1<<20)
	for _, asked := range []int{1, 4} {
		q := t.queue(d, asked)
		buf := t.buffer(q, 1<<19, 1)
		w := func(f backend.File, at, blocks int, sync bool) backend.Write {
			return backend.Write{File: f, Offset: int64(at) * block, Data: buf.Bytes[at*block : (at+blocks)*block], Buffer: buf, Sync: sync}
		}
		var many []backend.Write
		for i := range 40 {
			many = append(many, w(f, i, 1, true))
		}
		for what, writes := range map[string][]backend.Write{
			"a group":                    {w(f, 0, 1, true)},
			"a large group":              {w(f, 0, 64, true)},
			"declarations and a group":   {w(f, 0, 1, true), w(f, 1, 3, true)},
			"the end of a segment":       {w(f, 9, 1, true), w(g, 0, 1, true)},
			"a group without a sync":     {w(f, 0, 4, false)},
			"the sync of mode periodic":  {{File: f, Sync: true}},
			"many writes, all adjacent":  many,
			"many writes, none adjacent": {w(f, 0, 1, true), w(f, 2, 1, true), w(f, 4, 1, true), w(g, 4, 1, false)},
		} {
			b := &backend.Batch{Writes: writes}
			var err error
			round := func() { err = errors.Join(err, roundTrip(q, b)) }
			n := uint64(0)
			t.soon(what, func() {
				for range 10 {
					round()
				}
				if err == nil {
					n = allocations(100, round)
				}
			})
			require.NoError(t, err, what)
			require.Zero(t, n, "allocations for %s, a hundred times", what)
		}
	}
}

// allocations counts those of so many rounds: all of them, since one in two rounds is one too many. Others
// allocate meanwhile, the runtime too, but not whenever we look.
func allocations(rounds int, round func()) uint64 {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	least := uint64(math.MaxUint64)
	var before, after runtime.MemStats
	for range 10 {
		runtime.ReadMemStats(&before)
		for range rounds {
			round()
		}
		runtime.ReadMemStats(&after)
		if least = min(least, after.Mallocs-before.Mallocs); least == 0 {
			break
		}
	}
	return least
}

// roundTrip wakes the queue and carries out a batch, without an allocation of its own.
func roundTrip(q backend.Queue, b *backend.Batch) error {
	q.Wake()
	if got, err := q.Wait(); got != nil || err != nil {
		return errors.Join(errors.New("a Wait that a wake should end"), err)
	}
	if err := q.Submit(b); err != nil {
		return err
	}
	got, err := q.Wait()
	if got != b || err != nil {
		return errors.Join(errors.New("a Wait that should return the batch"), err)
	}
	return b.Failed()
}
