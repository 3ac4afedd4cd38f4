package conformance

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	wal "github.com/chronik-go/wal/core"
)

// leaks is what a process holds: what cycles of a log must not add to.
type leaks struct {
	held
	mappings int
	heap     int64
}

func (t *T) leaks() leaks {
	runtime.GC()
	l := leaks{held: t.holding()}
	if text, err := os.ReadFile("/proc/self/maps"); err == nil {
		l.mappings = strings.Count(string(text), "\n")
	}
	var s runtime.MemStats
	runtime.ReadMemStats(&s)
	l.heap = int64(s.HeapAlloc)
	return l
}

// noLeaks runs rounds of something that opens so many logs and closes them: afterwards no goroutine,
// descriptor, mapping or memory of them is left.
func (t *T) noLeaks(rounds, logs int, round func(n int)) {
	t.Helper()
	known := goleak.IgnoreCurrent()
	warm := max(10, rounds/20)
	for n := range warm { // what is made once, for good
		round(n)
	}
	before := t.leaks()
	for n := range rounds {
		round(warm + n)
	}
	require.NoError(t, goleak.Find(known), "goroutines after %d rounds", rounds)
	t.closesAll(func(n int) { round(warm + rounds + n) })
	after := t.leaks()
	require.LessOrEqual(t, after.handles, before.handles, "descriptors after %d rounds", rounds)
	// The runtime, and the race detector, map memory as they like, more for many logs at the same time, but not
	// some for each log.
	require.Less(t, after.mappings-before.mappings, 50+rounds*logs/8, "mappings after %d rounds of %d logs", rounds, logs)
	if t.onSystem() { // else the heap is the disk
		require.Less(t, after.heap-before.heap, int64(1<<20+50*rounds), "bytes of heap after %d rounds", rounds)
	}
}

// closesAll runs rounds without the garbage collector, which closes what is forgotten.
func (t *T) closesAll(round func(n int)) {
	t.Helper()
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	open := func() int {
		n, err := openDescriptors()
		if err != nil {
			return 0
		}
		return n
	}
	before := open()
	for n := range 10 {
		round(n)
	}
	require.LessOrEqual(t, open(), before, "descriptors that are left to the garbage collector")
}

// logCycles sends messages through logs that are opened and closed for each. Several logs do so
// at the same time, since most of it is waiting for the disk.
func logCycles(t *T) {
	const logs = 16
	list := make([]*engine, logs)
	for i := range list {
		list[i] = t.engine(wal.WithSegmentSize(wal.MinSegmentSize), wal.WithBufferSize(wal.MinBufferSize), wal.WithRecycleLimit(0))
	}
	t.noLeaks(*flagCycles/logs, logs, func(n int) {
		c := list[0].crew()
		for _, e := range list {
			c.do(func(ctx context.Context) error { return e.cycle(ctx, int64(n)) })
		}
		require.NoError(t, c.wait(), "cycle %d", n)
	})
	for _, e := range list {
		e.sound(0)
	}
}

// cycle opens a log, looks for the message of the cycle before, appends one and closes.
func (e *engine) cycle(ctx context.Context, n int64) error {
	m, err := e.tryLog()
	if err != nil {
		return err
	}
	return errors.Join(func() error {
		p, err := m.Partition("a", 0)
		if err != nil {
			return err
		}
		if p.NextOffset() != n {
			return fmt.Errorf("the next offset is %d, should be %d", p.NextOffset(), n)
		}
		for r, err := range p.Read(ctx, max(0, n-1)) {
			if err != nil {
				return err
			}
			if err := sameRecord(p, r, n-1, 0); err != nil {
				return err
			}
		}
		if err := appendLog(ctx, p, 1, 0); err != nil {
			return err
		}
		if n%10 < 9 {
			return nil
		}
		return p.TruncateBefore(ctx, n) // so that an open costs the same in each cycle
	}(), m.Close())
}

// logLeaks goes all other ways in and out of a log.
func logLeaks(t *T) {
	empty, quarantine := t.TempDir(), t.TempDir()
	e := t.engine(wal.WithSegmentSize(wal.MinSegmentSize))
	shared := append(append([]wal.Option(nil), e.opts...), wal.WithReadOnly())
	t.noLeaks(120, 1, func(n int) {
		m, err := e.tryLog(wal.WithShards(2), wal.WithLayout(wal.Layout(1+n%2)))
		require.NoError(e, err)
		p, q := e.part(m, "a", 0), e.part(m, "b", 1)
		e.fillLog(p, 60, 0)
		e.fillLog(q, 3, 0)
		require.NoError(e, p.TruncateBefore(e.ctx, p.NextOffset()-10))
		require.NoError(e, q.TruncateAfter(e.ctx, q.FirstOffset()+1))
		require.NoError(e, q.TruncateAfter(e.ctx, -1))
		for _, err := range p.Read(e.ctx, p.FirstOffset()) { // and leave in the middle
			require.NoError(e, err)
			break
		}
		for _, err := range m.Replay(e.ctx) {
			require.NoError(e, err)
			break
		}
		ctx, cancel := context.WithCancel(e.ctx)
		cancel()
		for _, err := range p.Follow(ctx, p.NextOffset()) {
			require.ErrorIs(e, err, context.Canceled)
		}
		followed := make(chan error, 1)
		go func() {
			for _, err := range p.Follow(e.ctx, p.NextOffset()) {
				followed <- err
			}
		}()
		_, err = e.tryLog()
		require.ErrorIs(e, err, wal.ErrLocked)
		_, err = wal.Open(empty, shared...)
		require.ErrorIs(e, err, wal.ErrNotLog)
		ro, err := e.tryLog(wal.WithReadOnly())
		require.NoError(e, err)
		require.NoError(e, ro.Refresh(e.ctx))
		require.NoError(e, ro.Close())
		e.closeLog(m)
		require.ErrorIs(e, <-followed, wal.ErrClosed)
		report, err := wal.Repair(e.ctx, e.dir, wal.RepairOptions{Quarantine: quarantine}, e.opts...)
		require.NoError(e, err)
		require.Empty(e, report.Damage)
		_, err = wal.Verify(ctx, e.dir, e.opts...)
		require.True(e, err == nil || errors.Is(err, context.Canceled), fmt.Sprint(err))
	})
}
