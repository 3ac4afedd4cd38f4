package fuzz

import (
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	wal "github.com/chronik-go/wal/core"
	"github.com/chronik-go/wal/core/backend/sim"
)

// tester is a *testing.T or a *rapid.T.
type tester interface {
	require.TestingT
	Helper()
}

// setup is with which options a log is opened, and on which disk.
type setup struct {
	depth, alignment int
	seed             uint64
	mode             wal.FsyncMode
	segment, move    int64
	recycle, shards  int
	noWait, written  bool
	dedicated        bool
}

func (s setup) options(disk *sim.Disk) []wal.Option {
	opts := []wal.Option{
		wal.WithBackend(disk), wal.WithFsyncMode(s.mode), wal.WithSegmentSize(s.segment), wal.WithBufferSize(wal.MinBufferSize),
		wal.WithMoveLimit(s.move), wal.WithRecycleLimit(s.recycle), wal.WithShards(s.shards), wal.WithRotationAge(rotationAge),
		wal.WithMaxRecordSize(recordLimit),
	}
	if s.noWait {
		opts = append(opts, wal.WithNoWait())
	}
	if s.dedicated {
		opts = append(opts, wal.WithLayout(wal.LayoutDedicated))
	}
	return opts
}

const (
	rotationAge = time.Minute
	recordLimit = 40 << 10
)

// world is a log on a simulated disk in a synctest bubble, and what it must hold. After each
// operation the log has done all it can do; with the disk stalled much is left under way, and
// goes on in an order that the operations choose.
type world struct {
	setup
	disk *sim.Disk
	m    *wal.Manager
	ro   *wal.Manager // nil if no reader of another process is there

	parts   map[int]*history
	flights []*flight
	// transactions are those since the log was opened.
	transactions []transaction
	stalled      bool
	numbers      int
}

// flight is an operation that is under way.
type flight struct {
	h     *history
	index int         // of the state that it leads to
	whole transaction // that it is, or nil
	// sync: what was acknowledged when it began is durable when it is done.
	sync  bool
	acked map[*history]int
	// queued: the write buffer was full, so it stood in a row, and has no place in the log
	// before it is placed.
	queued bool
	placed atomic.Bool
	done   chan error
}

// partitions is how many partitions a world has.
const partitions = 4

func newWorld(t tester, s setup) *world {
	w := &world{setup: s, parts: map[int]*history{}}
	for i := range partitions {
		w.parts[i] = &history{name: fmt.Sprintf("t/%d", i), states: []state{{}}, producer: 1}
	}
	w.disk = sim.New(sim.Options{Depth: s.depth, Alignment: s.alignment, Seed: s.seed, PreferWritten: s.written})
	w.open(t)
	return w
}

func (w *world) open(t tester) {
	t.Helper()
	m, err := wal.Open(dataDir, w.options(w.disk)...)
	require.NoError(t, err)
	w.m = m
	if w.dedicated { // the append that makes a log waits for its files, also while the disk is stalled
		for i := range partitions {
			p, _ := w.partition(t, i)
			tx, err := w.m.Begin()
			require.NoError(t, err)
			require.NoError(t, tx.Append(p, wal.Record{}))
			tx.Abort()
		}
	}
}

func (w *world) partition(t tester, i int) (*wal.Partition, *history) {
	p, err := w.m.Partition("t", int32(i))
	require.NoError(t, err)
	return p, w.parts[i]
}

// submit notes that an operation is to be expected and starts it.
func (w *world) submit(h *history, after state, do func(placed func()) error) {
	h.states = append(h.states, after)
	f := &flight{h: h, index: len(h.states) - 1}
	full := w.m.Stats().QueueFull
	w.start(f, func() error { return do(func() { f.placed.Store(true) }) })
	synctest.Wait()
	f.queued = w.m.Stats().QueueFull > full
}

func (w *world) start(f *flight, do func() error) {
	f.done = make(chan error, 1)
	w.flights = append(w.flights, f)
	go func() {
		defer close(f.done)
		f.done <- do()
	}()
}

// row tells whether operations may stand in a row for space in the write buffer. What comes
// then may be refused for what those before it have not done yet.
func (w *world) row(t tester) bool {
	w.land(t)
	return slices.ContainsFunc(w.flights, func(f *flight) bool { return f.queued && !f.placed.Load() })
}

// land takes in which operations are done.
func (w *world) land(t tester) {
	t.Helper()
	synctest.Wait()
	left := w.flights[:0:0]
	for _, f := range w.flights {
		select {
		case err := <-f.done:
			require.NoError(t, err)
			w.landed(f)
		default:
			left = append(left, f)
		}
	}
	w.flights = left
}

func (w *world) landed(f *flight) {
	if f.h != nil {
		f.h.acked = max(f.h.acked, f.index)
	}
	for h, n := range f.whole {
		h.acked = max(h.acked, n)
	}
	if f.sync {
		for h, n := range f.acked {
			h.durable = max(h.durable, n)
		}
	}
	for _, h := range w.parts {
		if w.mode != wal.FsyncPeriodic {
			h.durable = h.acked
		}
	}
}

// settle lets everything that is under way be done.
func (w *world) settle(t tester) {
	t.Helper()
	w.resume()
	w.land(t)
	for range 100 { // what waits for a timer, or for what does
		if len(w.flights) == 0 {
			return
		}
		<-time.After(time.Second)
		w.land(t)
	}
	require.Empty(t, w.flights, "operations that are never done")
}

func (w *world) resume() {
	w.stalled = false
	w.disk.Resume()
}

// check compares the log with what it must hold, for each way to read it.
func (w *world) check(t tester) {
	t.Helper()
	w.land(t)
	w.compare(t, w.m, false)
	require.NoError(t, w.disk.Misuse())
}

// compare reads all partitions of a manager. What a reader was shown stays: it is
// acknowledged and, but for mode periodic, durable.
func (w *world) compare(t tester, m *wal.Manager, durable bool) {
	t.Helper()
	replayed := w.replay(t, m)
	all, from := map[*history]state{}, map[*history]int{}
	for i, h := range w.parts {
		var got state
		p, err := m.Lookup("t", int32(i))
		if err == nil {
			got, err = readState(p, h.producer)
			require.NoError(t, err)
		} else {
			require.ErrorIs(t, err, wal.ErrNoPartition)
		}
		all[h], from[h] = got, max(h.acked, h.seen)
		n, err := h.find(from[h], got)
		require.NoError(t, err)
		h.seen = n
		if durable || w.mode != wal.FsyncPeriodic {
			h.durable = max(h.durable, n)
		}
		require.Equal(t, len(got.records), replayed[i], "%s: records in a replay", h.name)
	}
	w.requireWhole(t, all, func(h *history) int { return from[h] })
}

// replay counts the records of each partition in a Replay.
func (w *world) replay(t tester, m *wal.Manager) map[int]int {
	t.Helper()
	n := map[int]int{}
	for e, err := range m.Replay(bg) {
		require.NoError(t, err)
		n[int(e.Partition)]++
	}
	return n
}

// close closes all, and looks once more at what is left.
func (w *world) close(t tester) {
	t.Helper()
	w.settle(t)
	if w.ro != nil {
		require.NoError(t, w.ro.Close())
		w.ro = nil
	}
	require.NoError(t, w.m.Close())
	require.Zero(t, w.disk.OpenHandles())
	report, err := wal.Verify(bg, dataDir, w.options(w.disk)...)
	if errors.Is(err, wal.ErrNotLog) {
		return // nothing was ever appended
	}
	require.NoError(t, err)
	require.True(t, report.OK, "%v", report.Damage)
	assert.Zero(t, report.TornTailBytes)
}
