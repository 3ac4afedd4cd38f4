package wal

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/cespare/xxhash/v2"

	"github.com/chronik-go/wal/core/backend"
	"github.com/chronik-go/wal/core/format"
)

// makeRoom sees to it that the active segment has room for a group and for the
// declarations it needs; where there is none it ends the segment and begins the next.
//
// It is not ready if something was in flight and room has to be made: that may have
// failed, and this group with it.
func (c *committer) makeRoom(g *group) (ready bool, err error) {
	need := format.AlignUp(int64(g.n+g.directory()*format.EntrySize), c.s.alignment)
	spare := c.spareFor(g)
	n, _ := c.undeclared(g)
	if c.active != nil && n == 0 && c.position+need+spare <= c.active.size.Load() {
		c.awaitZeros(need)
		return true, nil
	}
	// Declarations state what is acknowledged, and a segment begins where the one
	// before it ends for good: nothing may be in flight.
	if len(c.inflight) > 0 {
		c.drain()
		return false, nil
	}
	if c.active != nil {
		n, known := c.undeclared(g)
		need := need + c.preludeSize(n, known)
		if c.position+need+spare <= c.active.size.Load() {
			c.awaitZeros(need)
			return true, nil
		}
	}
	_, known := c.declares(g, nil)
	if err := c.begin(need+c.preludeSize(len(g.entries), known)+spare, spare == 0); err != nil {
		return false, err
	}
	return true, nil
}

// spareFor is how much of the active segment a group has to leave free: records may not
// take the space that it takes to truncate partitions and to drop the segments that
// are useless then. Without it there were no way back from a full disk.
func (c *committer) spareFor(g *group) int64 {
	for i := range g.entries {
		if e := &g.entries[i]; e.Kind == format.KindData && e.Flags&format.FlagMoved == 0 {
			return max(2*c.s.alignment, min(c.s.cfg.segmentSize/8, c.preludeSize(c.known, c.producers)))
		}
	}
	return 0
}

// completeCut fills in what a truncation of the suffix, which comes first in its group,
// tells of the gap that it cuts into. That is known once all before it is acknowledged; it
// is not ready if something was in flight, as in makeRoom.
func (c *committer) completeCut(g *group) (ready bool) {
	e := &g.entries[0]
	if e.Kind != format.KindTruncateAfter {
		return true
	}
	if len(c.inflight) > 0 {
		c.drain()
		return false
	}
	e.part.mu.RLock()
	gap, lost := e.part.extents.gapBelow(e.Base)
	e.part.mu.RUnlock()
	e.Gap, e.Flags = gap, 0
	if lost {
		e.Flags = format.FlagGapLost
	}
	return true
}

// undeclared counts the entries of a group whose partition the active segment has not
// declared, and the producers that those partitions know.
func (c *committer) undeclared(g *group) (n, known int) { return c.declares(g, c.active) }

// declares is undeclared for a segment; none for one that is to come.
func (c *committer) declares(g *group, seg *segment) (n, known int) {
	c.counts++
	for i := range g.entries {
		if p := g.entries[i].part; seg == nil || p.declared != seg {
			n++
			if p.counted != c.counts {
				p.counted = c.counts
				known += len(p.known)
			}
		}
	}
	return n, known
}

// preludeSize is an upper bound for the frame that declares n partitions which know so many
// producers together.
func (c *committer) preludeSize(n, producers int) int64 {
	if n == 0 {
		return 0
	}
	per := int64(format.DeclarationSize(format.Declaration{}) + format.MaxTopic + format.EntrySize)
	size := format.FrameHeaderSize + int64(n)*per + int64(producers)*format.EntrySize + int64(format.KeySize(c.s.sealKey()))
	return format.AlignUp(size, c.s.alignment)
}

// begin ends the active segment, if there is one, and starts the next with room for at
// least need bytes of frames. Creating it may fail once, like any write. The one before
// ends only once there is a file: without space it is still good for a truncation. The next
// one may be a small one if it is for retention.
func (c *committer) begin(need int64, retention bool) error {
	for {
		file, err := c.takePrepared(format.HeaderSize+need, retention)
		if err == nil {
			if err := c.endSegment(); err != nil {
				c.s.prepare.discard(file)
				return err
			}
			err = c.activate(file)
		}
		switch {
		case err == nil:
			return nil
		case c.s.sticky() != nil:
			return err
		case isNoSpace(err):
			return noSpace(err)
		case c.failures > 0:
			return err
		}
		c.failures++
		c.s.cfg.logger.Warn("cannot begin a segment, trying another file", "error", err)
		c.s.cfg.hooks.failed(err, false)
	}
}

// activate makes a prepared file the active segment. Once the directory is synced
// the segment is part of the log: whatever stands in its predecessor behind the end that
// its header names is not.
func (c *committer) activate(file prepared) error {
	s := c.s
	h := format.SegmentHeader{
		Checksum: s.cfg.checksum, Alignment: s.alignment, Log: s.logID(), Number: c.tail.Segment + 1, Epoch: randomEpoch(),
		FirstLSN: c.tail.LSN + 1, Created: time.Now().UnixNano(), Predecessor: c.tail, Key: s.sealKey(),
	}
	name := segmentName(h.Number)
	format.PutSegmentHeader(c.header.Bytes, h)
	head := c.header.Bytes[:format.HeaderSize]
	err := c.fileKey()
	if err == nil {
		err = c.writeNow(backend.Write{File: file.file, Data: head, Buffer: c.header, Sync: true})
	}
	if err == nil {
		err = s.dir.Rename(file.name, name)
	}
	if err != nil {
		s.prepare.discard(file)
		return fmt.Errorf("begin segment %s: %w", s.path(name), err)
	}
	if err := c.enterDirectory(); err != nil {
		_ = file.file.Close()
		c.fail(fmt.Errorf("begin segment %s: %w", s.path(name), err)) // whether it is there is unknown: no second try
		return c.s.sticky()
	}
	seg := &segment{SegmentHeader: h, name: name, path: s.path(name), file: file.file, table: newTable()}
	seg.setState(stateActive)
	seg.size.Store(file.size)
	seg.end.Store(format.HeaderSize)
	seg.lastLSN.Store(c.tail.LSN)
	s.segments.add(seg)
	c.active, c.position, c.chain = seg, format.HeaderSize, c.tail.Chain
	// The log ends in this segment from now on. Were it given up before anything is
	// acknowledged in it, its successor would else take the same name.
	c.tail.Segment, c.tail.End = seg.Number, format.HeaderSize
	c.zeroed = file.written
	c.hash = xxhash.New()
	_, _ = c.hash.Write(head)
	s.count.bytesWritten.Add(format.HeaderSize)
	s.count.rotations.Add(1)
	if file.recycled {
		s.count.recycled.Add(1)
	}
	s.cfg.hooks.rotated(seg.path)
	return nil
}

// enterDirectory makes the new segment's name durable, and takes the close marker away:
// the log no longer ends there.
func (c *committer) enterDirectory() error {
	if c.s.marker {
		if err := c.s.dir.Remove(markerName); err != nil {
			return fmt.Errorf("remove %s: %w", markerName, err)
		}
		c.s.marker = false
	}
	return c.s.dir.Sync()
}

// endSegment ends the active segment, if there is one, with nothing in flight; the
// keeper seals it.
func (c *committer) endSegment() error {
	if err := c.syncNow(); err != nil {
		return err
	}
	if seg := c.active; seg != nil {
		c.awaitZeros(seg.size.Load())
		seg.abandoned.Store(c.zerosFailed() != nil)
		c.zeroing = nil
		seg.hash, seg.hashed = c.hash.Sum64(), true
		seg.chain = c.tail.Chain
		seg.setState(stateUnsealed)
		c.active = nil
		c.s.keeper.wake()
	}
	return nil
}

// declare makes a frame that declares those of the group's partitions that the active
// segment has not declared yet; nil if there are none.
func (c *committer) declare(g *group) ([]byte, error) {
	n, known := c.undeclared(g)
	if n == 0 {
		return nil, nil
	}
	if err := c.growPrelude(n, known); err != nil {
		return nil, err
	}
	var parts []*Partition
	for i := range g.entries {
		if p := g.entries[i].part; p.declared != c.active {
			p.declared = c.active
			parts = append(parts, p)
		}
	}
	return c.declaration(parts, g.firstLSN), nil
}

// growPrelude makes the buffer for declarations large enough for n of them, and
// what their partitions know of so many producers.
func (c *committer) growPrelude(n, producers int) error {
	size := int(c.preludeSize(n, producers))
	if c.prelude != nil {
		if len(c.prelude.Bytes) >= size {
			return nil
		}
		c.queue.Release(c.prelude)
		c.prelude = nil
	}
	b, err := c.queue.Buffer(size)
	if err != nil {
		return fmt.Errorf("buffer for %d declarations: %w", n, err)
	}
	c.prelude = b
	return nil
}

// declaration makes a frame at the committer's position that declares partitions as
// they stand, and takes them into the segment's table.
func (c *committer) declaration(parts []*Partition, lsn uint64) []byte {
	frame := c.prelude.Bytes
	data := frame[format.FrameHeaderSize:format.FrameHeaderSize]
	entries := make([]format.Entry, 0, len(parts))
	seg := c.active
	seg.mu.Lock()
	for _, p := range parts {
		d := p.declaration()
		at := len(data)
		data = format.AppendDeclaration(data, d)
		flags := uint16(0)
		if len(entries) == 0 && seg.Key != nil {
			data, flags = format.AppendKey(data, seg.Key), format.FlagKey
		}
		n := int64(len(data) - at)
		entries = append(entries, format.Entry{
			Partition: p.id, Kind: format.KindDeclare, Base: d.Next, Flags: flags,
			Length: n, RawLength: n, CRC: seg.Checksum.Sum(data[at:]),
		})
		seg.table.declare(p.id, d)
		for _, known := range p.known { // nobody else changes it
			e := known.Entry(p.id)
			entries = append(entries, e)
			seg.table.add(e, lsn, c.position)
		}
	}
	seg.table.frames++
	seg.mu.Unlock()
	at := format.FrameHeaderSize + len(data)
	for _, e := range entries {
		format.PutEntry(frame[at:], e)
		at += format.EntrySize
	}
	end := int(format.AlignUp(int64(at), c.s.alignment))
	clear(frame[at:end])
	c.seal(frame[:end], at, len(entries), lsn, c.position)
	return frame[:end]
}

// declaration is the partition's acknowledged state.
func (p *Partition) declaration() format.Declaration {
	p.mu.RLock()
	defer p.mu.RUnlock()
	x := &p.extents
	gap, lost := x.gapBelow(x.next)
	return format.Declaration{
		Topic: p.topic, Partition: p.num, First: x.first, Next: x.next, Gap: gap, GapLost: lost,
	}
}

// redeclare declares again, in the active segment, the partitions whose newest
// declaration stands in seg, so that seg can go; also those whose newest one may have
// been in a write that failed.
func (c *committer) redeclare(seg *segment) error {
	if err := c.syncNow(); err != nil {
		return err
	}
	c.s.mu.Lock()
	var parts []*Partition
	for _, p := range c.s.partitions {
		if p.exists.Load() && (p.declared == seg || p.declared.abandoned.Load()) {
			parts = append(parts, p)
		}
	}
	c.s.mu.Unlock()
	for len(parts) > 0 {
		n := min(len(parts), redeclareAtOnce)
		if err := c.redeclareSome(parts[:n]); err != nil {
			return err
		}
		parts = parts[n:]
	}
	return nil
}

// redeclareAtOnce bounds the memory that redeclaring takes.
const redeclareAtOnce = 1024

func (c *committer) redeclareSome(parts []*Partition) error {
	known := 0
	for _, p := range parts {
		known += len(p.known)
	}
	need := c.preludeSize(len(parts), known)
	if c.active == nil || c.position+need > c.active.size.Load() {
		if err := c.begin(need, true); err != nil {
			return err
		}
	}
	if err := c.growPrelude(len(parts), known); err != nil {
		return err
	}
	c.awaitZeros(need)
	seg, position := c.active, c.position
	w := c.newWrite(c.declaration(parts, c.tail.LSN+1), c.prelude)
	w.Sync = true
	c.sum(w)
	err := c.writeNow(w)
	if err == nil {
		err = c.zerosFailed()
	}
	if err != nil {
		err = fmt.Errorf("%s: %w", seg.at(position), err)
		if c.s.sticky() != nil {
			return err
		}
		c.abandon()
		if !isNoSpace(err) { // lack of space is no failure, and takes nothing from the one retry
			if c.failures++; c.failures > 1 {
				c.fail(err)
			}
		}
		return err
	}
	c.tail = format.Link{Segment: seg.Number, End: c.position, LSN: c.tail.LSN, Chain: c.chain}
	seg.end.Store(c.position)
	for _, p := range parts {
		p.declared = seg
	}
	return nil
}

func randomEpoch() uint64 {
	var b [8]byte
	for {
		_, _ = rand.Read(b[:]) // never fails
		if e := binary.LittleEndian.Uint64(b[:]); e != 0 {
			return e
		}
	}
}

// logID returns the log's identity, made with its first segment or before.
func (s *shard) logID() format.LogID {
	if s.id == (format.LogID{}) {
		s.id = randomLogID()
	}
	return s.id
}
