package conformance

import (
	"context"
	"math"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/stretchr/testify/require"

	wal "github.com/chronik-go/wal/core"
	"github.com/chronik-go/wal/core/backend"
)

func logBadInput(t *T) {
	e := t.engine(wal.WithMaxRecordSize(10_000))
	for _, o := range []wal.Option{
		wal.WithSegmentSize(0), wal.WithSegmentSize(math.MaxInt64), wal.WithBufferSize(-1), wal.WithFsyncMode(0),
		wal.WithShards(0), wal.WithMaxRecordSize(math.MaxInt64), wal.WithRotationAge(-1), wal.WithAllowDamage(), wal.WithLegacyFormat(true),
	} {
		_, err := e.tryLog(o)
		require.ErrorIs(e, err, wal.ErrInvalid)
	}
	m := e.openLog()
	p := e.part(m, "a", 0)
	e.fillLog(p, 10, 0)
	require.NoError(e, p.TruncateBefore(e.ctx, 2))
	before := m.Stats()

	for _, topic := range []string{"", ".", "..", "a/b", "/", `a\b`, "a\x00b", "a\nb", "\xff", strings.Repeat("x", 250)} {
		_, err := m.Append(e.ctx, topic, 0, wal.Record{})
		require.ErrorIs(e, err, wal.ErrInvalid, "%q", topic)
	}
	_, err := m.Partition("a", -1)
	require.ErrorIs(e, err, wal.ErrInvalid)
	_, err = m.Lookup("a", 1)
	require.ErrorIs(e, err, wal.ErrNoPartition)
	_, err = p.Append(e.ctx)
	require.ErrorIs(e, err, wal.ErrInvalid, "no record")
	_, err = p.Append(e.ctx, wal.Record{Value: make([]byte, 10_000)})
	require.ErrorIs(e, err, wal.ErrRecordTooLarge)
	_, err = p.Append(e.ctx, wal.Record{Timestamp: time.Date(1500, 1, 1, 0, 0, 0, 0, time.UTC)})
	require.ErrorIs(e, err, wal.ErrInvalid)
	_, err = p.Append(e.ctx, wal.Record{Headers: make([]wal.Header, wal.MaxHeaders+1)})
	require.Error(e, err)
	for _, at := range []int64{-1, 0, 9, math.MaxInt64} {
		_, err := p.AppendAt(e.ctx, at, wal.Record{})
		require.ErrorIs(e, err, wal.ErrOffsetOutOfRange, "append at %d", at)
	}
	for _, at := range []int64{11, math.MaxInt64} {
		require.ErrorIs(e, p.TruncateBefore(e.ctx, at), wal.ErrOffsetOutOfRange, "truncate before %d", at)
	}
	for _, at := range []int64{math.MinInt64, -1, 0, 10, math.MaxInt64} {
		require.ErrorIs(e, p.TruncateAfter(e.ctx, at), wal.ErrOffsetOutOfRange, "truncate after %d", at)
	}
	for _, at := range []int64{math.MinInt64, -1, 0, 1, 11, math.MaxInt64} {
		n := 0
		for _, err := range p.Read(e.ctx, at) {
			require.ErrorIs(e, err, wal.ErrOffsetOutOfRange, "read from %d", at)
			n++
		}
		require.Equal(e, 1, n)
	}
	require.ErrorIs(e, wal.Ack{}.Wait(e.ctx), wal.ErrInvalid)
	ended, cancel := context.WithCancel(e.ctx)
	cancel()
	_, err = p.Append(ended, wal.Record{})
	require.ErrorIs(e, err, context.Canceled)

	require.Equal(e, before.Groups, m.Stats().Groups, "nothing was written")
	e.holds(p, 2, 10, 0)
	e.closeLog(m)
	_, err = p.Append(e.ctx, wal.Record{})
	require.ErrorIs(e, err, wal.ErrClosed)
	require.ErrorIs(e, p.TruncateBefore(e.ctx, 5), wal.ErrClosed)
	_, err = m.Partition("a", 0)
	require.ErrorIs(e, err, wal.ErrClosed)
	e.holds(e.known(e.openLog(), "a", 0), 2, 10, 0)
}

func logBadFiles(t *T) {
	e := t.engine()
	m := e.openLog()
	e.fillLog(e.part(m, "a", 0), 300, 0)
	victim := e.segments(m)[1].Name
	e.closeLog(m)
	path := e.join(e.dir, victim)
	content, err := e.readFile(path)
	require.NoError(e, err)
	e.writeFile(e.join(e.dir, "elsewhere"), content)
	for _, x := range []struct {
		kind string
		make func() bool
	}{
		{"link", func() bool { e.symlink("elsewhere", path); return true }},
		{"FIFO", func() bool { return e.fifo(path) }},
		{"directory", func() bool { e.mkdir(path); return true }},
	} {
		e.remove(path)
		if !x.make() {
			continue
		}
		for _, opts := range [][]wal.Option{nil, {wal.WithReadOnly()}} {
			var err error
			e.soon("Open of a log with a "+x.kind, func() { _, err = e.tryLog(opts...) })
			require.ErrorIs(e, err, backend.ErrNotRegular, x.kind)
		}
		if x.kind == "directory" && !e.onSystem() {
			return // a machine may not know how to remove it
		}
	}
	e.remove(path)
	e.writeFile(path, content)
	if e.onSystem() { // the data directory itself may be a link
		link := filepath.Join(e.TempDir(), "link")
		e.symlink(e.dir, link)
		e.dir = link
	}
	e.holds(e.known(e.openLog(), "a", 0), 0, 300, 0)
}

// remove takes a file, link, FIFO or, on a system, an empty directory away.
func (e *engine) remove(path string) {
	e.Helper()
	if !e.onSystem() {
		m, ok := e.Backend.(interface{ Delete(path string) error })
		if !ok {
			e.Skipf("a machine that cannot remove a file")
		}
		require.NoError(e, m.Delete(path))
		return
	}
	require.NoError(e, os.Remove(path))
}

func logFileModes(t *T) {
	t.needSystem()
	if !hasModes {
		t.Skipf("there are no modes here")
	}
	t.engine(wal.WithShards(2), wal.WithRecycleLimit(1), wal.WithMoveLimit(1)).fileModes()
}

// logFileModesUmask is logFileModes under other umasks.
func logFileModesUmask(t *T) {
	if !hasModes {
		return
	}
	for _, mask := range masks {
		e := t.engine(wal.WithShards(2), wal.WithRecycleLimit(1), wal.WithMoveLimit(1))
		umask(mask)
		e.fileModes()
		umask(0o022)
	}
}

// fileModes has a log make files and directories of all kinds, and looks at their modes.
func (e *engine) fileModes() {
	e.Helper()
	e.dir = filepath.Join(e.dir, "new")
	m := e.openLog()
	for i := range 8 {
		e.fillLog(e.part(m, "a", i), 200, 0)
		require.NoError(e, e.part(m, "a", i).TruncateBefore(e.ctx, 190))
	}
	e.closeLog(m)
	files := 0
	for path, what := range e.fingerprint() {
		want := "drwx------"
		if !strings.HasPrefix(what, "d") {
			want = "-rw-------"
			files++
		}
		require.True(e, strings.HasPrefix(what, want), "%s has mode %.10s", path, what)
	}
	require.Greater(e, files, 3)
}

// heldBackend is a backend that carries nothing out while it is held.
type heldBackend struct {
	backend.Backend
	gate *gate
}

// gate is open or closed.
type gate struct {
	mu     sync.Mutex
	opened chan struct{} // closed while the gate is open
}

func newGate() *gate {
	g := &gate{opened: make(chan struct{})}
	close(g.opened)
	return g
}

func (g *gate) shut() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.opened = make(chan struct{})
}

func (g *gate) open() {
	g.mu.Lock()
	defer g.mu.Unlock()
	close(g.opened)
}

func (g *gate) pass() {
	g.mu.Lock()
	opened := g.opened
	g.mu.Unlock()
	<-opened
}

func (h heldBackend) OpenDir(path string, o backend.DirOptions) (backend.Dir, error) {
	d, err := h.Backend.OpenDir(path, o)
	if err != nil {
		return nil, err
	}
	return heldDir{d, h.gate}, nil
}

type heldDir struct {
	backend.Dir
	gate *gate
}

func (d heldDir) Queue(o backend.QueueOptions) (backend.Queue, error) {
	q, err := d.Dir.Queue(o)
	if err != nil {
		return nil, err
	}
	return heldQueue{q, d.gate}, nil
}

type heldQueue struct {
	backend.Queue
	gate *gate
}

func (q heldQueue) Submit(b *backend.Batch) error {
	q.gate.pass()
	return q.Queue.Submit(b)
}

func logBoundedQueue(t *T) {
	const size = 64 << 10
	for _, noWait := range []bool{true, false} {
		e := t.engine(wal.WithBufferSize(size))
		g := newGate()
		opts := []wal.Option{wal.WithBackend(heldBackend{e.Backend, g})}
		if noWait {
			opts = append(opts, wal.WithNoWait())
		}
		m := e.openLog(opts...)
		p := e.part(m, "a", 0)
		e.fillLog(p, 1, 0)
		g.shut()
		acks, refused := e.fillQueue(p, noWait)
		require.LessOrEqual(e, len(acks)*100, 2*size, "bytes that wait to be written")
		require.Positive(e, m.Stats().QueueFull)
		g.open()
		for i, ack := range acks {
			require.NoError(e, ack.Wait(e.ctx))
			require.EqualValues(e, i+1, ack.Offset())
		}
		if noWait {
			require.ErrorIs(e, refused, wal.ErrBackpressure)
		} else {
			require.ErrorIs(e, refused, context.DeadlineExceeded)
		}
		next := int64(len(acks) + 1)
		e.holds(p, 0, next, 0)
		e.fillLog(p, 10, 0) // there is space again, and the refused append is nowhere
		e.holds(p, 0, next+10, 0)
		e.closeLog(m)
	}
}

// fillQueue appends until an append is refused, and returns those that were not.
func (e *engine) fillQueue(p *wal.Partition, noWait bool) (acks []wal.Ack, refused error) {
	e.Helper()
	for next := int64(1); next < 100_000; next++ {
		ctx, cancel := context.WithTimeout(e.ctx, 50*time.Millisecond)
		if noWait {
			ctx = e.ctx
		}
		ack, err := p.AppendAsync(ctx, logRecord(p, next, 0))
		cancel()
		if err != nil {
			return acks, err
		}
		acks = append(acks, ack)
	}
	require.Fail(e, "the queue has no bound")
	return nil, nil
}
