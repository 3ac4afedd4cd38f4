package faultfs

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"time"
)

// Loss is what a crash takes of what was not synced.
type Loss uint8

// The losses.
const (
	// Everything is lost, or Nothing is: the two ends.
	Everything Loss = iota
	Nothing
	// Tail takes the last changes of each file and directory, and tears the write in between.
	Tail
	// Some takes any of them, writes by sectors.
	Some
	// Holes takes the first changes of each file rather than the last: valid data then
	// stands behind a hole.
	Holes
	// Names takes names and leaves content.
	Names
	// Losses is how many there are.
	Losses
)

func (l Loss) String() string {
	return [...]string{"everything", "nothing", "the tail", "some sectors", "holes", "names"}[l]
}

const sector = 512

// Crash is one crash.
type Crash struct {
	Loss Loss
	Seed uint64
}

func (c Crash) String() string {
	return fmt.Sprintf("%v of what was unsynced lost, seed %d", c.Loss, c.Seed)
}

// loser carries a crash out.
type loser struct {
	Crash
	random *rand.Rand
	next   uint64
	done   map[*node]*node
}

// crashed returns what a crash leaves of a tree, all of it durable.
func crashed(root *node, c Crash) (*node, uint64) {
	l := &loser{Crash: c, random: rand.New(rand.NewPCG(c.Seed, 3)), next: 1, done: map[*node]*node{}}
	return l.node(root), l.next
}

func (l *loser) node(n *node) *node {
	if left := l.done[n]; left != nil {
		return left
	}
	left := &node{ino: l.next, isDir: n.isDir, mtime: time.Now()}
	l.next++
	l.done[n] = left
	if !n.isDir {
		left.base = l.content(n)
		left.data = slices.Clone(left.base)
		left.take(0, int64(len(left.data)))
		return left
	}
	left.entries = map[string]*node{}
	names := l.names(n)
	for _, name := range slices.Sorted(maps.Keys(names)) { // the seed decides, not the map
		left.entries[name] = l.node(names[name])
	}
	left.durable = maps.Clone(left.entries)
	return left
}

// names are the entries that are left: each change of the directory by itself.
func (l *loser) names(n *node) map[string]*node {
	names := maps.Clone(n.durable)
	cut := l.random.IntN(len(n.moves) + 1)
	for i, m := range n.moves {
		keep := l.random.IntN(2) == 0
		switch l.Loss {
		case Everything:
			keep = false
		case Nothing:
			keep = true
		case Tail:
			keep = i < cut
		}
		if keep {
			m.apply(names)
		}
	}
	return names
}

// content is a file's content that is left.
func (l *loser) content(n *node) []byte {
	b := slices.Clone(n.base)
	cut := l.random.IntN(len(n.changes) + 1)
	for i, c := range n.changes {
		switch {
		case l.Loss == Nothing, l.Loss == Names, l.Loss == Tail && i < cut,
			l.Loss == Holes && i >= cut, l.Loss == Some && c.data == nil && l.random.IntN(2) == 0:
			b = c.apply(b)
		case l.Loss == Tail && i == cut && c.data != nil:
			b = change{off: c.off, data: c.data[:min(len(c.data), sector*l.random.IntN(len(c.data)/sector+1))]}.apply(b)
		case l.Loss == Some && c.data != nil:
			b = l.sectors(b, c)
		}
	}
	return b
}

func (l *loser) sectors(b []byte, c change) []byte {
	for at := 0; at < len(c.data); at += sector {
		if l.random.IntN(2) == 0 {
			b = change{off: c.off + int64(at), data: c.data[at:min(at+sector, len(c.data))]}.apply(b)
		}
	}
	return b
}
