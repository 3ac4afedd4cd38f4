package wal

import (
	"runtime"
	"sync/atomic"
	"time"

	"github.com/chronik-go/wal/core/backend"
	"github.com/chronik-go/wal/core/format"
)

// group is one group commit: the batches that arrive while the group before it is being
// written. It becomes a frame.
//
// Its life: open (batches join), closed (waiting for its turn), in flight, done
// (acknowledged, its bytes kept for readers until the ring needs the space).
type group struct {
	buf   []byte // its place in the ring, or a buffer of its own if it is large
	start uint64 // ring position of buf
	large *backend.Buffer

	// Guarded by the append lock while the group is open.
	n       int // bytes used: frame header and data, without the directory
	entries []entry
	marks   []mark
	waiters []*waiter
	opened  time.Time

	firstLSN uint64
	records  int
	raw      int64 // bytes of the data before it was compressed
	// encoding counts the producers still writing into buf.
	encoding atomic.Int32

	// Set by the committer.
	seg      *segment
	position int64
	frame    []byte // the bytes written, padding included
	chain    uint32 // the header CRC
	batch    backend.Batch
	sent     time.Time
	complete bool
	done     bool

	readers int // readers that copy out of buf; guarded by the append lock
}

// entry is a batch or control entry in a group.
type entry struct {
	format.Entry
	part  *Partition
	start time.Time // of the append
}

// fits reports whether more entries have room that come with size bytes of data. The entries stay
// where they are: producers hold them.
func (g *group) fits(size, entries int) bool {
	return len(g.buf)-g.n-(g.directory()+entries)*format.EntrySize >= size && len(g.entries)+entries <= cap(g.entries)
}

// lastLSN is the LSN of the group's last entry.
func (g *group) lastLSN() uint64 { return g.firstLSN + uint64(len(g.entries)) - 1 }

// awaitEncoders makes the committer wait until all data is in place. Producers copy
// memory meanwhile, they wait for nothing, so giving way to them is enough.
func (g *group) awaitEncoders() {
	for g.encoding.Load() != 0 {
		runtime.Gosched()
	}
}
