package fuzz

import (
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	wal "github.com/chronik-go/wal/core"
	"github.com/chronik-go/wal/core/backend/sim"

	"github.com/chronik-go/wal/conformance/internal/numbered"
)

// bubble makes rapid forget that it runs a test in a synctest bubble, where nobody may
// ask for the deadline.
type bubble struct{ *testing.T }

// Random operations on a log, of which rapid finds the shortest sequence that fails: after each
// the log holds what the model holds, and so does what any crash leaves of it.
func TestLogAgainstModel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rapid.Check(bubble{t}, func(t *rapid.T) {
			w := newWorld(t, drawSetup(t))
			defer w.abandon() // where it fails, else there is nothing left to end
			t.Repeat(w.actions())
			w.close(t)
		})
	})
}

func drawSetup(t *rapid.T) setup {
	return setup{
		mode:      rapid.SampledFrom([]wal.FsyncMode{wal.FsyncAlways, wal.FsyncBatch, wal.FsyncPeriodic}).Draw(t, "mode"),
		depth:     rapid.IntRange(1, 4).Draw(t, "depth"),
		alignment: rapid.SampledFrom([]int{512, 4096}).Draw(t, "alignment"),
		written:   rapid.Bool().Draw(t, "prefer written"),
		noWait:    rapid.IntRange(0, 5).Draw(t, "no wait") == 0,
		segment:   rapid.SampledFrom([]int64{16 << 10, 64 << 10}).Draw(t, "segment size"),
		recycle:   rapid.IntRange(0, 2).Draw(t, "recycle"),
		move:      rapid.SampledFrom([]int64{0, 1, 30 << 10}).Draw(t, "move limit"),
		shards:    rapid.SampledFrom([]int{1, 1, 1, 2}).Draw(t, "shards"),
		dedicated: rapid.IntRange(0, 7).Draw(t, "dedicated") == 0,
		seed:      rapid.Uint64().Draw(t, "seed"),
	}
}

func (w *world) actions() map[string]func(*rapid.T) {
	which := func(t *rapid.T) int { return rapid.IntRange(0, partitions-1).Draw(t, "partition") }
	size := func(t *rapid.T) int { return rapid.IntRange(0, len(sizes)-1).Draw(t, "size") }
	appendSome := func(t *rapid.T) {
		w.append(t, which(t), rapid.IntRange(1, 4).Draw(t, "records"), size(t), 0)
	}
	return map[string]func(*rapid.T){
		"append": appendSome, "append 2": appendSome, "append 3": appendSome,
		"append at": func(t *rapid.T) { w.append(t, which(t), 1, 1, rapid.Int64Range(1, 20).Draw(t, "jump")) },
		"append many": func(t *rapid.T) {
			for range rapid.IntRange(5, 40).Draw(t, "appends") {
				w.append(t, which(t), 1, 4, 0)
			}
		},
		"append once": func(t *rapid.T) {
			w.appendOnce(t, which(t), rapid.IntRange(1, 4).Draw(t, "records"), size(t), rapid.Bool().Draw(t, "again"))
		},
		"transaction": func(t *rapid.T) {
			w.transact(t, which(t), rapid.IntRange(2, 5).Draw(t, "appends"), size(t))
		},
		"truncate before": func(t *rapid.T) { w.truncateBefore(t, which(t), rapid.Int64Range(-1, 100).Draw(t, "by")) },
		"truncate after":  func(t *rapid.T) { w.truncateAfter(t, which(t), rapid.Int64Range(0, 60).Draw(t, "by")) },
		"stall":           func(t *rapid.T) { w.stall(rapid.IntRange(0, 5).Draw(t, "completes")) },
		"resume":          func(*rapid.T) { w.resume() },
		"rotate":          func(*rapid.T) { w.rotate() },
		"sync":            func(*rapid.T) { w.sync() },
		"look":            func(t *rapid.T) { w.look(t) },
		"reopen":          func(t *rapid.T) { w.reopen(t) },
		"bad input":       func(t *rapid.T) { w.badInput(t, which(t)) },
		"crash": func(t *rapid.T) {
			image := sim.Image{
				Mode: sim.Mode(rapid.IntRange(0, 5).Draw(t, "image")), N: rapid.IntRange(0, 30).Draw(t, "unit"),
				Seed: rapid.Uint64().Draw(t, "seed"), Torn: rapid.Bool().Draw(t, "torn"), Garbage: rapid.Bool().Draw(t, "garbage"),
			}
			w.crash(t, image, rapid.IntRange(0, 20).Draw(t, "interrupt"))
		},
		"crash during": func(t *rapid.T) {
			image := sim.Image{Mode: sim.Mode(rapid.IntRange(0, 5).Draw(t, "image")), N: rapid.IntRange(0, 30).Draw(t, "unit"), Seed: rapid.Uint64().Draw(t, "seed")}
			w.crashDuring(t, rapid.IntRange(0, 60).Draw(t, "changes"), image, rapid.IntRange(0, 20).Draw(t, "interrupt"))
		},
		"": func(t *rapid.T) { w.check(t) },
	}
}

// The model tells states apart, and takes none for another: else nothing here could fail.
func TestModelCanFail(t *testing.T) {
	list := func(n ...int) (list []placed) {
		for _, i := range n {
			list = append(list, placed{number: i})
		}
		return list
	}
	h := &history{name: "t/0", states: []state{{}}}
	add := func(s state) { h.states = append(h.states, s) }
	add(h.now().appended(-1, list(1, 2)))
	add(h.now().appended(5, list(3)))
	add(h.now().cutBefore(1))
	add(h.now().cutAfter(3))
	add(h.now().once(7, list(4)))
	require.Equal(t, "number 8 is due, offsets 1 to 4: 1=2 4=4", h.now().String())
	for i, s := range h.states {
		n, err := h.find(0, s)
		require.NoError(t, err)
		require.Equal(t, i, n)
		_, err = h.find(i+1, s)
		require.ErrorContains(t, err, "must be there")
	}
	half := h.states[1]
	half.records, half.next = half.records[:1], 1
	other := h.states[1]
	other.records = list(1, 7)
	unnumbered := h.now()
	unnumbered.row = numbered.Row{}
	for _, s := range []state{half, other, {next: 2}, unnumbered} {
		_, err := h.find(0, s)
		require.ErrorContains(t, err, "as it never was")
	}
}
