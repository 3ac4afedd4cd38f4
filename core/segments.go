package wal

import (
	"slices"
	"sync"
)

// segmentList is the segments of a log, oldest first.
type segmentList struct {
	mu   sync.Mutex
	list []*segment
}

func (l *segmentList) add(g *segment) {
	g.pins.Add(1)
	l.mu.Lock()
	l.list = append(l.list, g)
	l.mu.Unlock()
}

// remove takes a segment off the list.
func (l *segmentList) remove(g *segment) {
	l.mu.Lock()
	l.list = slices.DeleteFunc(l.list, func(other *segment) bool { return other == g })
	l.mu.Unlock()
}

// clear empties the list.
func (l *segmentList) clear() {
	l.mu.Lock()
	l.list = nil
	l.mu.Unlock()
}

// all returns a copy of the list.
func (l *segmentList) all() []*segment {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.list)
}

// oldest returns the oldest segment and whether it is the only one.
func (l *segmentList) oldest() (g *segment, only bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.list) == 0 {
		return nil, true
	}
	return l.list[0], len(l.list) == 1
}

// dropOldest takes the oldest segment off the list; its file stays until nobody uses it.
func (l *segmentList) dropOldest() {
	l.mu.Lock()
	l.list = l.list[1:]
	l.mu.Unlock()
}

// pinAll returns the segments, each pinned: their files stay until unpinned.
func (l *segmentList) pinAll() []*segment {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, g := range l.list {
		g.pins.Add(1)
	}
	return slices.Clone(l.list)
}

// unpin gives up a use of a segment's file. The last one lets the keeper drop it.
func (s *shard) unpin(g *segment) {
	if g.pins.Add(-1) == 0 {
		s.keeper.wake()
	}
}
