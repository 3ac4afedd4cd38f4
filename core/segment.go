package wal

import (
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/chronik-go/wal/core/backend"
	"github.com/chronik-go/wal/core/format"
)

// The names of a log's files.
const (
	segmentSuffix = ".wal"
	tempSuffix    = ".tmp"
	preparePrefix = "prepare-"
	recyclePrefix = "recycle-"
	repairPrefix  = "repair-"
	probeName     = "quarantine-probe"
	markerName    = "close.marker"
	segmentDigits = 20
)

func segmentName(number uint64) string {
	return fmt.Sprintf("%0*d%s", segmentDigits, number, segmentSuffix)
}

// parseSegmentName returns the number that a segment's name holds.
func parseSegmentName(name string) (uint64, bool) {
	digits, ok := strings.CutSuffix(name, segmentSuffix)
	if !ok || len(digits) != segmentDigits {
		return 0, false
	}
	n, err := strconv.ParseUint(digits, 10, 64)
	return n, err == nil && n > 0
}

// segmentState is where a segment is in its life.
type segmentState int32

const (
	stateActive   segmentState = 1 + iota // frames are appended to it
	stateUnsealed                         // ended, its footer not yet written
	stateSealed                           // ended, with a footer
)

func (s segmentState) String() string {
	switch s {
	case stateActive:
		return "active"
	case stateUnsealed:
		return "unsealed"
	}
	return "sealed"
}

// segment is one segment of a log.
type segment struct {
	format.SegmentHeader
	name  string // of the file
	path  string // as users see it: relative to the data directory
	file  backend.File
	state atomic.Int32
	// guessed: the header is lost, and made up from the frames.
	guessed bool
	// sealedWith is the key that a batch of a guessed segment names, zero if none does.
	sealedWith format.KeyID
	// flawed: what is in it is damaged; a repair makes it anew.
	flawed bool
	// rebuilt by a repair: it may have LSNs that no entry has.
	rebuilt bool
	// abandoned: a write to it failed. It is read, never written or synced again.
	abandoned atomic.Bool

	// end is the position behind the last acknowledged frame: readers stop there.
	end atomic.Int64
	// size is that of the file.
	size atomic.Int64
	// live counts the extents of records that lie here; see shard.retain.
	live atomic.Int64
	// losses counts those of which this segment says that they were lost.
	losses atomic.Int64

	mu    sync.Mutex
	table *table // nil once sealed: the footer has it
	// trailer tells where the footer is; valid once sealed.
	trailer format.Trailer
	footer  *format.Footer // cached while the segment is in use; see footerCache
	// hash is the XXH64 of the segment up to its end, if hashed; chain the header CRC
	// of its last frame. Set when the segment ends.
	hash    uint64
	hashed  bool
	chain   uint32
	maxTime atomic.Int64
	lastLSN atomic.Uint64
	records atomic.Int64

	// pins counts the readers and jobs that use the file; the list of segments counts
	// as one. At 0 the file is dropped; see shard.unpin.
	pins atomic.Int64
}

func (g *segment) setState(s segmentState) { g.state.Store(int32(s)) }
func (g *segment) is(s segmentState) bool  { return segmentState(g.state.Load()) == s }

// reaches lets readers go as far as the segment is acknowledged now, and its table tells. The
// caller holds mu.
func (g *segment) reaches(end format.Link) {
	g.maxTime.Store(g.table.maxTime)
	g.records.Store(g.table.records)
	g.lastLSN.Store(end.LSN)
	g.end.Store(end.End)
}

// at says where in the log something is, for errors.
func (g *segment) at(position int64) string {
	return fmt.Sprintf("segment %s, byte %d", g.path, position)
}

// readTrailer reads the trailer of a segment of the given size, if it has one that
// belongs to it.
func (g *segment) readTrailer(size int64) (format.Trailer, bool) {
	if size < format.HeaderSize+format.TrailerSize {
		return format.Trailer{}, false
	}
	var b [format.TrailerSize]byte
	if _, err := g.file.ReadAt(b[:], size-format.TrailerSize); err != nil {
		return format.Trailer{}, false
	}
	t, err := format.ReadTrailer(b[:])
	if err != nil || t.Number != g.Number || t.Epoch != g.Epoch {
		return format.Trailer{}, false
	}
	if format.AlignUp(t.BodyAt+t.BodyLength+format.TrailerSize, g.Alignment) != size {
		return format.Trailer{}, false
	}
	return t, true
}

// loadFooter reads the footer that the trailer t describes.
func (g *segment) loadFooter(t format.Trailer) (*format.Footer, error) {
	body := make([]byte, t.BodyLength)
	if _, err := g.file.ReadAt(body, t.BodyAt); err != nil {
		return nil, fmt.Errorf("read footer of %s: %w", g.at(t.BodyAt), err)
	}
	f, err := t.ReadBody(body)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", g.at(t.BodyAt), err)
	}
	return f, nil
}

// seek returns the position from which to scan for a partition's offset.
func (g *segment) seek(cache *footerCache, id uint32, offset int64) (int64, error) {
	g.mu.Lock()
	if t := g.table; t != nil {
		defer g.mu.Unlock()
		if p := t.partitions[id]; p != nil {
			return seekOffset(p.Index, offset), nil
		}
		return format.HeaderSize, nil
	}
	g.mu.Unlock()
	p, err := cache.partition(g, id)
	if err != nil || p == nil {
		return format.HeaderSize, err
	}
	return seekOffset(p.Index, offset), nil
}

// seekTime returns an offset of the partition in this segment, not below from, up to
// which all records are older than t, nanoseconds.
func (g *segment) seekTime(cache *footerCache, id uint32, from, t int64) (int64, error) {
	var index []format.IndexEntry
	g.mu.Lock()
	if g.table != nil {
		if p := g.table.partitions[id]; p != nil {
			index = append(index, p.Index...)
		}
		g.mu.Unlock()
	} else {
		g.mu.Unlock()
		p, err := cache.partition(g, id)
		if err != nil {
			return from, err
		}
		if p != nil {
			index = p.Index
		}
	}
	for _, x := range index {
		if x.MaxTimestamp >= t {
			break
		}
		from = max(from, x.Offset)
	}
	return from, nil
}

// replaced tells whether the file has become another segment: a running writer recycled
// it under a reader of another process.
func (g *segment) replaced() bool {
	head := make([]byte, format.HeaderSize)
	if _, err := g.file.ReadAt(head, 0); err != nil {
		return false
	}
	h, err := format.ReadSegmentHeader(head)
	return err == nil && h.Epoch != g.Epoch
}
