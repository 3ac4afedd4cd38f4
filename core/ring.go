package wal

import (
	"github.com/chronik-go/wal/core/backend"
	"github.com/chronik-go/wal/core/format"
)

// The bounds of how many batches a group holds; it grows with what arrives.
const (
	minGroupEntries = 64
	maxGroupEntries = 16 << 10
)

// ring is the write buffer: groups one behind the other in one slab of memory, used
// again and again. A group's bytes are written from where producers encoded them, and
// stay for readers until the space is needed.
//
// Positions count bytes since the start of the log's life; modulo the size of the slab
// they are places in it. The append lock guards all of it.
type ring struct {
	slab   *backend.Buffer
	size   uint64
	full   int      // bytes at which a group is full
	head   uint64   // end of the newest closed group
	groups []*group // oldest first, the open one last
	spare  []*group
	// entries and waiters are memory of done groups, used again.
	entries    [][]entry
	waiters    [][]*waiter
	entriesCap int
}

// newRing makes a ring for a queue that takes depth groups at a time.
//
// Where it takes one, the larger a group the better: a device is faster with one write of 1 MiB
// than with four of 256 KiB, each durable before the next. Where several are in flight it is as fast
// with those four, and while the first ones are being written, and acknowledged, the last ones
// still gather.
func newRing(slab *backend.Buffer, size, depth int) ring {
	r := ring{slab: slab, size: uint64(size), entriesCap: minGroupEntries}
	r.full = max(r.batchMax()/depth&^(format.MaxAlignment-1), format.MaxAlignment)
	return r
}

// batchMax is the most that a batch takes of the ring, with the frame around it; a larger one gets
// a buffer of its own.
func (r *ring) batchMax() int { return int(r.size/4) &^ (format.MaxAlignment - 1) }

// open makes a new group with room for at least need bytes and so many entries, nil if there is no
// space.
func (r *ring) open(need, entries int) *group {
	start := r.head
	contiguous := r.size - start%r.size
	if contiguous < uint64(need) {
		start += contiguous
		contiguous = r.size
	}
	want := min(max(uint64(r.full), uint64(format.AlignUp(int64(need), format.MaxAlignment))), contiguous)
	for r.free(start) < want && r.retire() {
	}
	limit := min(want, r.free(start)) &^ (format.MaxAlignment - 1)
	if limit < uint64(need) {
		return nil
	}
	at := start % r.size
	g := r.newGroup(entries)
	g.start, g.buf = start, r.slab.Bytes[at:at+limit]
	r.groups = append(r.groups, g)
	return g
}

// openLarge makes a group with a buffer of its own.
func (r *ring) openLarge(b *backend.Buffer, entries int) *group {
	g := r.newGroup(entries)
	g.start, g.buf, g.large = r.head, b.Bytes, b
	r.groups = append(r.groups, g)
	return g
}

func (r *ring) newGroup(entries int) *group {
	var g *group
	if n := len(r.spare); n > 0 {
		g, r.spare = r.spare[n-1], r.spare[:n-1]
	} else {
		g = new(group)
	}
	if n := len(r.entries); n > 0 {
		g.entries, r.entries = r.entries[n-1], r.entries[:n-1]
	}
	if least := max(r.entriesCap, entries); cap(g.entries) < least {
		g.entries = make([]entry, 0, least)
	}
	if n := len(r.waiters); n > 0 {
		g.waiters, r.waiters = r.waiters[n-1], r.waiters[:n-1]
	}
	g.n = format.FrameHeaderSize
	return g
}

// close ends a group: what it does not use of its space is free again.
func (r *ring) close(g *group) {
	if len(g.entries) == cap(g.entries) {
		r.entriesCap = min(2*cap(g.entries), maxGroupEntries)
	}
	if g.large == nil {
		used := format.AlignUp(int64(g.n+g.directory()*format.EntrySize), format.MaxAlignment)
		r.head = g.start + uint64(used)
		g.buf = g.buf[:used:used]
	}
}

// free is how much space lies between start and the oldest group.
func (r *ring) free(start uint64) uint64 {
	if len(r.groups) == 0 {
		return r.size
	}
	if used := start - r.groups[0].start; used < r.size {
		return r.size - used
	}
	return 0
}

// retire gives up the oldest group, if it is done and no reader copies from it.
func (r *ring) retire() bool {
	if len(r.groups) == 0 {
		return false
	}
	g := r.groups[0]
	if !g.done || g.readers > 0 {
		return false
	}
	copy(r.groups, r.groups[1:])
	r.groups = r.groups[:len(r.groups)-1]
	batch := backend.Batch{Writes: g.batch.Writes[:0]}
	*g = group{batch: batch}
	r.spare = append(r.spare, g)
	return true
}

// finish takes back what a done group does not need to serve readers.
func (r *ring) finish(g *group) {
	clear(g.entries)
	r.entries = append(r.entries, g.entries[:0])
	clear(g.waiters)
	r.waiters = append(r.waiters, g.waiters[:0])
	g.entries, g.marks, g.waiters, g.done = nil, nil, nil, true
	if g.large != nil {
		g.buf, g.frame, g.large = nil, nil, nil
	}
}

// find returns the done group whose frame stands at a position of a segment.
func (r *ring) find(seg *segment, position int64) *group {
	low, high := 0, len(r.groups)
	for low < high {
		mid := (low + high) / 2
		g := r.groups[mid]
		if g.done && (g.seg == nil || g.seg.Number < seg.Number ||
			g.seg == seg && g.position+int64(len(g.frame)) <= position) {
			low = mid + 1
		} else {
			high = mid
		}
	}
	if low == len(r.groups) {
		return nil
	}
	if g := r.groups[low]; g.done && g.seg == seg && g.position == position && g.frame != nil {
		return g
	}
	return nil
}

// waiter is one goroutine that waits for a group.
type waiter struct {
	ch    chan struct{}
	group *group // nil once it was signalled
}
