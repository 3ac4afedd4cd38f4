// Package faultfs is a file system in memory, served by FUSE, that fails as real ones do and
// loses in a crash what was not synced. Each file and each directory has what programs see,
// and what of that is on stable storage. It needs root, and a process with a mount namespace
// of its own.
package faultfs

import (
	"math/rand/v2"
	"slices"
	"time"
)

// node is a file or a directory. The tree's lock guards it.
type node struct {
	ino   uint64
	isDir bool
	mtime time.Time

	// data is a file's content, as programs see it.
	data []byte
	// base is what of it is durable for good, changes what was done since.
	base    []byte
	changes []change
	seq     uint64
	// taken are the pages of a file that it has space for.
	taken []bool

	// entries are a directory's, as programs see them; durable are those of the last sync.
	entries, durable map[string]*node
	moves            []move
}

// change is one change of a file's content: bytes written, or a size set.
type change struct {
	off  int64 // the size, if data is nil
	data []byte
	seq  uint64 // later changes have larger ones
}

// apply returns content with the change made.
func (c change) apply(b []byte) []byte {
	end := c.off + int64(len(c.data))
	switch grow := end - int64(len(b)); {
	case c.data == nil && grow <= 0:
		return b[:end:end]
	case grow > 0:
		b = append(b, make([]byte, grow)...)
	}
	copy(b[c.off:], c.data)
	return b
}

// change makes a change that a crash may take back.
func (n *node) change(c change) {
	n.seq++
	c.seq = n.seq
	n.data, n.mtime = c.apply(n.data), time.Now()
	n.changes = append(n.changes, c)
	if left := pages(int64(len(n.data))); left < int64(len(n.taken)) {
		n.taken = n.taken[:left:left]
	}
}

// page is the unit in which files take space.
const page = 4096

// pages is how many a size takes.
func pages(size int64) int64 { return (size + page - 1) / page }

// grows says whether a file has no space yet for some of a part.
func (n *node) grows(off, size int64) bool {
	end := pages(off + size)
	return size > 0 && (end > int64(len(n.taken)) || slices.Contains(n.taken[off/page:end], false))
}

// take takes space for a part of a file.
func (n *node) take(off, size int64) {
	end := pages(off + size)
	if missing := end - int64(len(n.taken)); missing > 0 {
		n.taken = append(n.taken, make([]bool, missing)...)
	}
	for i := off / page; i < end; i++ {
		n.taken[i] = true
	}
}

// sync makes the changes up to one durable.
func (n *node) sync(last uint64) {
	for len(n.changes) > 0 && n.changes[0].seq <= last {
		n.base, n.changes = n.changes[0].apply(n.base), n.changes[1:]
	}
}

// fail is what a sync does that fails: of the writes up to one, some are lost for good, as if
// they had never been. The kernel above still has them in its cache. No later sync brings them
// back, and it does not say so.
func (n *node) fail(last uint64, random *rand.Rand) {
	n.changes = slices.DeleteFunc(n.changes, func(c change) bool {
		return c.data != nil && c.seq <= last && random.IntN(3) > 0
	})
	n.data = slices.Clone(n.base)
	for _, c := range n.changes {
		n.data = c.apply(n.data)
	}
}

// move is one change of a directory: a name goes, a name comes, or both at once.
type move struct {
	gone, come string
	node       *node
}

func (m move) apply(entries map[string]*node) {
	if m.gone != "" {
		delete(entries, m.gone)
	}
	if m.come != "" {
		entries[m.come] = m.node
	}
}

// move makes a change that a crash may take back.
func (n *node) move(m move) {
	m.apply(n.entries)
	n.moves = append(n.moves, m)
	n.mtime = time.Now()
}

// syncNames makes the first changes of a directory durable.
func (n *node) syncNames(first int) {
	first = min(first, len(n.moves))
	for _, m := range n.moves[:first] {
		m.apply(n.durable)
	}
	n.moves = n.moves[first:]
}
