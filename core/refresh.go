package wal

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/chronik-go/wal/core/format"
)

// Refresh takes in what a running writer has added to a log that is open read-only, and
// wakes followers. It is not for concurrent use with itself; readers may go on meanwhile.
// On a log that is open for writing it does nothing.
func (m *Manager) Refresh(ctx context.Context) error {
	if !m.cfg.readOnly {
		return nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return ErrClosed
	}
	for _, s := range m.shards {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := m.refreshShard(s); err != nil {
			return err
		}
	}
	return nil
}

func (m *Manager) refreshShard(s *shard) error {
	r := &recovery{s: s, pool: s.pool, salvage: m.cfg.allowDamage}
	numbers, err := r.list()
	if err != nil {
		return err
	}
	list := s.segments.all()
	newest := uint64(0)
	if len(list) > 0 {
		newest = list[len(list)-1].Number
	}
	numbers = slices.DeleteFunc(numbers, func(n uint64) bool { return n <= newest })
	for _, n := range numbers {
		if err := r.open(n); err != nil {
			if !errors.Is(err, fs.ErrNotExist) {
				return err
			}
			// Dropped meanwhile, and so are those before it.
			for _, g := range r.segments {
				s.segments.remove(g)
				_ = g.file.Close()
			}
			r.segments = nil
		}
	}
	if len(list) > 0 {
		r.segments = append([]*segment{list[len(list)-1]}, r.segments...)
	}
	for i := range r.segments {
		end, exact := r.end(i)
		if err := m.follow(s, r.segments[i], end, exact && i+1 < len(r.segments)); err != nil {
			return err
		}
	}
	m.forgetDropped(s)
	return nil
}

// follow reads on where the last look at a segment ended. What it finds is made durable,
// unless the writer says that it is, before it is shown.
func (m *Manager) follow(s *shard, g *segment, end format.Link, exact bool) error {
	if g.is(stateSealed) {
		return nil
	}
	size, err := g.file.Size()
	if err != nil {
		return fmt.Errorf("size of segment %s: %w", g.path, err)
	}
	g.size.Store(size)
	limit := size
	if exact {
		limit = end.End
	}
	if g.table == nil {
		g.table = newTable()
		g.end.Store(format.HeaderSize)
		g.chain = g.Predecessor.Chain
		g.lastLSN.Store(g.Predecessor.LSN)
		g.setState(stateUnsealed)
	}
	sc := newScan(g, limit, s.pool)
	sc.exact = exact
	sc.reader.position, sc.reader.lsn, sc.reader.chain = g.end.Load(), g.lastLSN.Load()+1, g.chain
	var found []newEntry
	sc.each = func(f *frame) error {
		return f.each(func(e format.Entry, lsn uint64, data []byte) error {
			n := newEntry{entry: e, lsn: lsn, position: f.Position}
			if e.Kind == format.KindDeclare {
				d, _, err := format.ReadDeclaration(data)
				if err != nil {
					return err
				}
				n.declaration = d
			}
			found = append(found, n)
			return nil
		})
	}
	sc.known = func(id uint32) (format.Declaration, bool) {
		g.mu.Lock()
		defer g.mu.Unlock()
		if p := g.table.partitions[id]; p != nil {
			return p.Declaration, true
		}
		return format.Declaration{}, false
	}
	sc.salvage = true // only so that known is asked: what was declared before this look
	err = sc.run()
	if (err != nil || len(sc.flaws) > 0) && s.gone(g) {
		return nil // what was not read of it is in no segment any more, or was moved
	}
	if err != nil {
		return err
	}
	if len(sc.flaws) > 0 && !m.cfg.allowDamage {
		return &DamageError{Damage: (&recovery{flaws: sc.flaws}).damage()}
	}
	if len(found) == 0 {
		return nil
	}
	last := sc.end()
	if last.LSN > sc.durable {
		if err := g.file.Sync(); err != nil {
			return fmt.Errorf("sync segment %s: %w", g.path, err)
		}
	}
	m.show(s, g, found, last)
	return nil
}

// gone tells whether a running writer, of another process, has dropped a segment: its file
// may be another segment by now, or about to become one.
func (s *shard) gone(g *segment) bool {
	if g.replaced() {
		return true
	}
	f, err := s.dir.Open(g.name)
	if err != nil {
		return errors.Is(err, fs.ErrNotExist)
	}
	_ = f.Close()
	return false
}

// newEntry is an entry that a refresh found.
type newEntry struct {
	entry       format.Entry
	lsn         uint64
	position    int64
	declaration format.Declaration
}

// show makes what a refresh found visible. The caller holds m.mu.
func (m *Manager) show(s *shard, g *segment, found []newEntry, end format.Link) {
	g.mu.Lock()
	for _, n := range found {
		if n.entry.Kind == format.KindDeclare {
			g.table.declare(n.entry.Partition, n.declaration)
			continue
		}
		g.table.add(n.entry, n.lsn, n.position)
	}
	g.maxTime.Store(g.table.maxTime)
	g.records.Store(g.table.records)
	g.mu.Unlock()
	g.chain = end.Chain
	g.lastLSN.Store(end.LSN)
	g.end.Store(end.End)
	byID := map[uint32]*Partition{}
	for _, p := range s.partitions {
		byID[p.id] = p
	}
	for _, n := range found {
		p := byID[n.entry.Partition]
		if p == nil {
			d := n.declaration
			p = &Partition{topic: d.Topic, num: d.Partition, shard: s, id: n.entry.Partition}
			p.extents.begin(d)
			byID[p.id] = p
			s.mu.Lock()
			s.partitions = append(s.partitions, p)
			s.mu.Unlock()
			m.partitions[partitionKey{p.topic, p.num}] = p
			p.exists.Store(true)
		}
		p.take(g, n)
	}
}

// take applies an entry that a refresh found.
func (p *Partition) take(g *segment, n newEntry) {
	p.mu.Lock()
	defer p.mu.Unlock()
	x := &p.extents
	if n.entry.Kind == format.KindDeclare {
		x.meet(n.declaration)
	} else {
		e := n.entry
		// A gap that is not declared shows as a hole to readers.
		_ = x.apply(g, format.Run{Kind: e.Kind, Flags: e.Flags, Base: e.Base, End: e.End(), Gap: e.Gap, LSN: n.lsn})
	}
	p.cut.Store(x.cuts.count)
	p.lowest.Store(x.first)
	p.visible.Store(x.next)
	p.stable.Store(x.next)
	p.notify()
}

// forgetDropped closes the oldest segments once nothing live is left in them: the writer
// drops them, or has.
func (m *Manager) forgetDropped(s *shard) {
	for {
		g, only := s.segments.oldest()
		if g == nil || only || g.live.Load() > 0 || g.losses.Load() > 0 || g.pins.Load() > 1 {
			return
		}
		s.segments.dropOldest()
		_ = g.file.Close()
	}
}
