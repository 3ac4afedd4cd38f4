package wal

import (
	"fmt"
	"sort"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/chronik-go/wal/core/format"
)

// naive is a partition as a map of offsets: what extents, the tables of segments, their
// indexes, and recovery from footers all must agree with.
type naive struct {
	first, next int64
	cells       map[int64]cell
}

// cell is what became of an offset: a record, or one that was lost. Gaps have no cell.
type cell struct {
	record int // which one; 0: lost
	time   int64
}

// world is one partition in a log whose batches are kept as lists.
type world struct {
	model    naive
	part     *Partition
	segments []*modelSegment
	lsn      uint64
	records  int
}

type modelSegment struct {
	seg      *segment
	declared bool
	position int64
	batches  []modelBatch
}

// modelBatch is a batch as it lies in a segment.
type modelBatch struct {
	format.Entry
	lsn      uint64
	position int64
	cells    []cell
}

func newWorld() *world {
	s := &shard{cfg: &config{}, mu: newAppendLock(true)}
	w := &world{part: &Partition{topic: "t", shard: s, id: 1}, model: naive{cells: map[int64]cell{}}}
	w.rotate()
	return w
}

func (w *world) current() *modelSegment { return w.segments[len(w.segments)-1] }

func (w *world) rotate() {
	n := uint64(1)
	if len(w.segments) > 0 {
		n = w.current().seg.Number + 1
	}
	g := &segment{name: segmentName(n), path: segmentName(n), table: newTable()}
	g.Number = n
	w.segments = append(w.segments, &modelSegment{seg: g, position: format.HeaderSize})
}

// enter writes an entry at the end of the log and takes it into table and extents, as
// the committer does when a group is acknowledged.
func (w *world) enter(t *rapid.T, e format.Entry, cells []cell) {
	m := w.current()
	w.declare(m)
	w.lsn++
	e.Partition = w.part.id
	for _, c := range cells {
		e.MaxTimestamp = max(e.MaxTimestamp, c.time)
	}
	require.True(t, m.seg.table.add(e, w.lsn, m.position))
	m.seg.maxTime.Store(m.seg.table.maxTime)
	m.batches = append(m.batches, modelBatch{e, w.lsn, m.position, cells})
	m.position += 512 * rapid.Int64Range(1, 100).Draw(t, "blocks")
	require.NoError(t, w.part.extents.apply(m.seg, format.Run{
		Kind: e.Kind, Flags: e.Flags, Base: e.Base, End: e.End(), Gap: e.Gap, LSN: w.lsn,
	}))
}

func (w *world) declare(m *modelSegment) {
	if !m.declared {
		m.declared = true
		m.seg.table.declare(w.part.id, w.part.declaration())
		w.part.declared = m.seg
	}
}

func (w *world) append(t *rapid.T) {
	n := &w.model
	e := format.Entry{Kind: format.KindData, Count: rapid.IntRange(1, 5).Draw(t, "count")}
	if rapid.IntRange(0, 5).Draw(t, "jump") == 0 {
		e.Gap = rapid.Int64Range(1, 6).Draw(t, "gap")
	}
	e.Base = n.next + e.Gap
	var cells []cell
	for i := range e.Count {
		w.records++
		c := cell{w.records, rapid.Int64Range(-3, 40).Draw(t, "time")}
		n.cells[e.Base+int64(i)] = c
		cells = append(cells, c)
	}
	n.next = e.End()
	w.enter(t, e, cells)
}

func (w *world) truncateBefore(t *rapid.T) {
	n := &w.model
	at := rapid.Int64Range(n.first, n.next).Draw(t, "before")
	for ; n.first < at; n.first++ {
		delete(n.cells, n.first)
	}
	w.enter(t, format.Entry{Kind: format.KindTruncateBefore, Base: at}, nil)
}

func (w *world) truncateAfter(t *rapid.T) {
	n := &w.model
	at := rapid.Int64Range(n.first, n.next).Draw(t, "after")
	for ; n.next > at; n.next-- {
		delete(n.cells, n.next-1)
	}
	e := format.Entry{Kind: format.KindTruncateAfter, Base: at}
	gap, lost := w.part.extents.gapBelow(at)
	if e.Gap = gap; lost {
		e.Flags = format.FlagGapLost
	}
	w.enter(t, e, nil)
}

// lose gives up offsets, as a repair does.
func (w *world) lose(t *rapid.T) {
	n := &w.model
	gap := rapid.Int64Range(1, 4).Draw(t, "lost")
	for range gap {
		n.cells[n.next] = cell{}
		n.next++
	}
	w.enter(t, format.Entry{Kind: format.KindLost, Base: n.next, Gap: gap}, nil)
}

// move copies what is live in the oldest segment to the end of the log, by the mover's
// rules, or a part of it: a mover may be stopped.
func (w *world) move(t *rapid.T) {
	oldest := w.segments[0]
	for range rapid.IntRange(1, 4).Draw(t, "extents") {
		e, ok := w.part.extentIn(oldest.seg)
		if !ok || len(w.segments) == 1 {
			return
		}
		gap := e.gap
		for at := e.first; at < e.end; {
			n := min(e.end-at, rapid.Int64Range(1, 8).Draw(t, "moved"))
			b := format.Entry{Kind: format.KindData, Flags: format.FlagMoved, Base: at, Gap: gap, Count: int(n)}
			var cells []cell
			for i := range n {
				cells = append(cells, w.model.cells[at+i])
			}
			w.enter(t, b, cells)
			at, gap = at+n, 0
		}
	}
}

// drop drops the oldest segments that nothing lives in.
func (w *world) drop(*rapid.T) {
	for len(w.segments) > 1 && w.segments[0].seg.live.Load() == 0 && w.segments[0].seg.losses.Load() == 0 {
		if w.part.declared == w.segments[0].seg {
			w.declare(w.current())
		}
		w.segments = w.segments[1:]
	}
}

// check compares a partition's extents with the model, offset by offset.
func (w *world) check(t *rapid.T, p *Partition, segments map[*segment]*modelSegment) {
	x, n := &p.extents, &w.model
	require.Equal(t, n.next, x.next)
	require.Equal(t, n.first, x.first)
	x.holes(func(from, to int64) { t.Fatalf("offsets %d to %d are a hole", from, to-1) })
	count := int64(0)
	for o := n.first; o < n.next; o++ {
		want, some := n.cells[o]
		e, ok := x.find(o)
		switch {
		case ok && e.first <= o && e.lost:
			require.True(t, some, "offset %d was skipped, not lost", o)
			require.Zero(t, want.record, "offset %d is not found", o)
		case ok && e.first <= o:
			count++
			require.Equal(t, want.record, find(segments[e.seg], e, o), "offset %d in %s", o, e.seg.name)
			require.NotZero(t, want.record)
		case ok:
			require.LessOrEqual(t, e.first-e.gap, o)
			require.False(t, some, "offset %d was lost, not skipped", o)
		default:
			require.False(t, some, "offset %d is not found", o)
		}
	}
	require.Equal(t, count, x.count())
	live, losses := map[*segment]int64{}, map[*segment]int64{}
	for i, e := range x.list {
		if e.lost {
			losses[e.seg]++
		} else {
			live[e.seg]++
		}
		require.Less(t, e.first, e.end)
		if i > 0 {
			require.LessOrEqual(t, x.list[i-1].end, e.first-e.gap)
		}
	}
	for g := range segments {
		require.Equal(t, live[g], g.live.Load(), "extents in %s", g.name)
		require.Equal(t, losses[g], g.losses.Load(), "losses in %s", g.name)
	}
}

// find looks an offset up as a cursor does: from where the index says on, the first
// batch of the extent that holds it.
func find(m *modelSegment, e extent, offset int64) int {
	from, err := e.seg.seek(nil, 1, offset)
	if err != nil {
		return -1
	}
	for _, b := range m.batches {
		if b.position >= from && b.lsn >= e.lsn && b.Kind == format.KindData && b.Base <= offset && offset < b.End() {
			return b.cells[offset-b.Base].record
		}
	}
	return -2
}

// recover builds the partition anew from what the footers of the segments say.
func (w *world) recover(t *rapid.T) {
	var p *Partition
	segments := map[*segment]*modelSegment{}
	for _, m := range w.segments {
		g := &segment{name: m.seg.name, path: m.seg.path, table: m.seg.table}
		g.SegmentHeader = m.seg.SegmentHeader
		g.maxTime.Store(m.seg.maxTime.Load())
		segments[g] = m
		for _, f := range m.seg.table.footer(&m.seg.SegmentHeader, format.Link{}, 0).Partitions {
			if p == nil {
				p = &Partition{topic: f.Topic, num: f.Partition, shard: w.part.shard, id: f.ID}
				p.extents.begin(g, f.Declaration)
			}
			require.Equal(t, p.extents.next, f.Next, "the declaration in %s", g.name)
			for _, run := range f.Runs {
				require.NoError(t, p.extents.apply(g, run), "run %+v in %s", run, g.name)
			}
		}
	}
	if p == nil {
		require.Zero(t, w.model.next, "the partition is forgotten")
		return
	}
	w.check(t, p, segments)
	w.checkTimes(t, p)
}

// checkTimes asks for points in time: all that is skipped must be older.
func (w *world) checkTimes(t *rapid.T, p *Partition) {
	n := &w.model
	for at := int64(-4); at < 42; at += 3 {
		want := n.next
		for o := n.first; o < n.next; o++ {
			if c, ok := n.cells[o]; ok && c.record > 0 && c.time >= at {
				want = o
				break
			}
		}
		p.lowest.Store(p.extents.first)
		p.visible.Store(p.extents.next)
		got, err := p.seekTime(time.Unix(0, at))
		require.NoError(t, err)
		require.LessOrEqual(t, got, want, "from %v on", at)
		require.GreaterOrEqual(t, got, n.first)
	}
}

func (w *world) run(t *rapid.T) {
	steps := map[string]func(*rapid.T){
		"append": w.append, "append 2": w.append, "append 3": w.append,
		"truncate before": w.truncateBefore, "truncate after": w.truncateAfter,
		"rotate": func(*rapid.T) { w.rotate() }, "move": w.move, "drop": w.drop,
		"recover": w.recover,
		"lose": func(t *rapid.T) {
			if rapid.IntRange(0, 3).Draw(t, "rarely") == 0 {
				w.lose(t)
			}
		},
		"": func(t *rapid.T) {
			all := map[*segment]*modelSegment{}
			for _, m := range w.segments {
				all[m.seg] = m
			}
			w.check(t, w.part, all)
			w.checkTimes(t, w.part)
		},
	}
	t.Repeat(steps)
}

// Whatever was appended, truncated, lost, moved and dropped: a partition knows of each
// offset where it is, and a recovery from the segments that are left knows the same.
func TestExtentsAgainstModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) { newWorld().run(t) })
}

// Neighbours in one segment are one extent: its memory does not grow with the appends.
func TestExtentsJoin(t *testing.T) {
	g, h := &segment{}, &segment{}
	var x extents
	for i := range int64(1000) {
		require.NoError(t, x.apply(g, format.Run{Kind: format.KindData, Base: i, End: i + 1, LSN: uint64(i + 1)}))
	}
	require.Len(t, x.list, 1)
	require.NoError(t, x.apply(h, format.Run{Kind: format.KindData, Base: 1000, End: 1001, LSN: 1001}))
	require.Len(t, x.list, 2)
	require.EqualValues(t, 1, g.live.Load())
	require.EqualValues(t, 1, h.live.Load())
}

// What does not follow from the state before is an error that names the offsets.
func TestExtentsReportWhatDoesNotFollow(t *testing.T) {
	begin := func() (*extents, *segment) {
		x, g := &extents{}, &segment{}
		require.NoError(t, x.apply(g, format.Run{Kind: format.KindData, Base: 0, End: 10, LSN: 1}))
		return x, g
	}
	x, g := begin()
	require.ErrorContains(t, x.apply(g, format.Run{Kind: format.KindData, Base: 12, End: 13, LSN: 2}), "offsets 10 to 11 are missing")
	var holes []string
	x.holes(func(from, to int64) { holes = append(holes, fmt.Sprintf("%d-%d", from, to)) })
	require.Equal(t, []string{"10-12"}, holes)
	require.EqualValues(t, 13, x.next)
	x, g = begin()
	require.ErrorContains(t, x.apply(g, format.Run{Kind: format.KindData, Base: 8, End: 12, LSN: 2}), "offsets 8 to 9 come a second time")
	require.EqualValues(t, 10, x.next)
	require.ErrorContains(t, x.apply(g, format.Run{Kind: format.KindLost, Base: 14, End: 14, Gap: 2, LSN: 3}), "offsets 12 to 13 were given up where 10 is next")
}

// The index leads to the last batch at or before an offset, or in front of it.
func TestSeekOffset(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		list := rapid.SliceOfNDistinct(rapid.Int64Range(0, 60), 0, 12, rapid.ID).Draw(t, "offsets")
		sort.Slice(list, func(i, j int) bool { return list[i] < list[j] })
		index := make([]format.IndexEntry, len(list))
		for i, o := range list {
			index[i] = format.IndexEntry{Offset: o, Position: format.HeaderSize + int64(i+1)*512}
		}
		at := rapid.Int64Range(0, 70).Draw(t, "offset")
		want := int64(format.HeaderSize)
		for _, x := range index {
			if x.Offset <= at {
				want = x.Position
			}
		}
		require.Equal(t, want, seekOffset(index, at))
	})
}
