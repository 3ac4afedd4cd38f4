package wal

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/chronik-go/wal/core/format"
)

// Refresh takes in what a running writer has added to a log that is open read-only, and
// wakes followers. It is not for concurrent use with itself; readers may go on meanwhile.
// On a log that is open for writing it does nothing.
//
// Followers are told of every truncation of what they have seen, also of those that the log
// does not hold any more, but for one: where the writer has dropped all segments that the last
// Refresh knew, it cannot be told whether records that were moved meanwhile replace others.
func (m *Manager) Refresh(ctx context.Context) error {
	if !m.cfg.readOnly {
		return nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return ErrClosed
	}
	known := m.shards
	for _, s := range known {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := m.refreshShard(ctx, s); err != nil {
			return err
		}
	}
	return m.findLogs(known)
}

// findLogs opens the logs that a running writer has begun beside the known ones. The
// caller holds m.mu.
func (m *Manager) findLogs(known []*shard) error {
	names, err := m.root.List()
	if err != nil {
		return fmt.Errorf("list: %w", err)
	}
	for _, name := range names {
		log, ok := strings.CutSuffix(name, memberSuffix)
		if !ok || slices.ContainsFunc(known, func(s *shard) bool { return s.name == log }) {
			continue
		}
		before := m.shards
		err := m.openLog(log)
		if err == nil && len(m.shards) > len(before) {
			err = m.recoverShard(m.shards[len(before)])
		}
		if err != nil {
			for _, s := range m.shards[len(before):] {
				err = errors.Join(err, s.release())
			}
			m.shards = before
			return err
		}
	}
	return nil
}

func (m *Manager) refreshShard(ctx context.Context, s *shard) error {
	for {
		looks, err := m.lookAt(ctx, s)
		switch {
		case errors.Is(err, errOvertaken):
			continue
		case errors.Is(err, errVoid):
			return m.rebuild(s)
		case err != nil:
			return err
		}
		m.show(s, looks)
		m.forgetDropped(s)
		return nil
	}
}

// errOvertaken: the writer dropped a segment between the listing and the reading of it.
// What of it was moved may be in a segment that the listing does not have.
var errOvertaken = errors.New("a segment was dropped meanwhile")

// look is what is new in a segment.
type look struct {
	seg   *segment
	found []newEntry
	end   format.Link
	fresh bool // the log's readers do not have the segment yet
}

// newEntry is an entry that a refresh found.
type newEntry struct {
	entry       format.Entry
	lsn         uint64
	position    int64
	declaration format.Declaration
}

// lookAt reads what was added to a log, and shows nothing of it yet: records that were
// moved are nowhere until all of it is known.
func (m *Manager) lookAt(ctx context.Context, s *shard) (looks []look, err error) {
	r := &recovery{s: s, pool: s.pool, salvage: m.cfg.allowDamage, apart: true}
	if r.numbers, err = r.list(); err != nil {
		return nil, err
	}
	var newest *segment
	if list := s.segments.all(); len(list) > 0 {
		newest = list[len(list)-1]
	}
	defer func() {
		if err != nil { // forget what was opened
			for _, g := range r.segments {
				if g != newest {
					_ = g.file.Close()
				}
			}
		}
	}()
	if newest != nil && !r.continues(newest.Number) {
		return nil, errVoid
	}
	if err := r.openNewer(newest); err != nil {
		return nil, err
	}
	if newest != nil {
		r.segments = append([]*segment{newest}, r.segments...)
	}
	for i, g := range r.segments {
		end, exact := r.end(i)
		exact = exact && i+1 < len(r.segments)
		if exact && g == newest && g.end.Load() > end.End {
			return nil, errVoid
		}
		l, err := m.follow(ctx, s, g, end, exact)
		if err != nil && s.gone(g) {
			return nil, errOvertaken
		}
		if err != nil {
			return nil, err
		}
		l.fresh = g != newest
		looks = append(looks, l)
	}
	return looks, nil
}

// continues reports whether the segments that are there begin with one, or before, and go on
// without a gap. What the writer has dropped before a reader looked may have held truncations;
// only a recovery tells what they left.
func (r *recovery) continues(number uint64) bool {
	i := slices.Index(r.numbers, number)
	if i < 0 {
		return false
	}
	for _, n := range r.numbers[i:] {
		if n != number {
			return false
		}
		number++
	}
	return true
}

// openNewer opens the segments behind the newest one that is known, all of them for nil.
func (r *recovery) openNewer(newest *segment) error {
	for _, n := range r.numbers {
		if newest != nil && n <= newest.Number {
			continue
		}
		if err := r.open(n); err != nil {
			if errors.Is(err, fs.ErrNotExist) {
				err = errOvertaken
			}
			return err
		}
	}
	if len(r.flaws) > 0 && !r.salvage {
		return &DamageError{Damage: r.damage()}
	}
	return nil
}

// follow reads on where the last look at a segment ended. What it finds is made durable,
// unless the writer says that it is.
func (m *Manager) follow(ctx context.Context, s *shard, g *segment, end format.Link, exact bool) (look, error) {
	l := look{seg: g}
	if g.is(stateSealed) {
		return l, nil
	}
	size, err := g.file.Size()
	if err != nil {
		return l, fmt.Errorf("size of segment %s: %w", g.path, err)
	}
	g.size.Store(size)
	limit := size
	if exact {
		limit = end.End
	}
	g.mu.Lock()
	if g.table == nil {
		g.table = newTable()
		g.end.Store(format.HeaderSize)
		g.chain = g.Predecessor.Chain
		g.lastLSN.Store(g.Predecessor.LSN)
		g.setState(stateUnsealed)
	}
	g.mu.Unlock()
	sc := newScan(g, limit, s.pool)
	sc.exact = exact
	sc.reader.position, sc.reader.lsn, sc.reader.chain = g.end.Load(), g.lastLSN.Load()+1, g.chain
	sc.each = func(f *frame) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		return f.each(func(e format.Entry, lsn uint64, data []byte) error {
			n := newEntry{entry: e, lsn: lsn, position: f.Position}
			if e.Kind == format.KindDeclare {
				d, _, err := format.ReadDeclaration(data)
				if err != nil {
					return err
				}
				n.declaration = d
			}
			l.found = append(l.found, n)
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
	if err := sc.run(); err != nil {
		return l, err
	}
	if len(sc.flaws) > 0 && (!m.cfg.allowDamage || s.gone(g)) {
		return l, &DamageError{Damage: (&recovery{flaws: sc.flaws}).damage()}
	}
	l.end = sc.end()
	if len(l.found) > 0 && l.end.LSN > sc.durable {
		if err := g.file.Sync(); err != nil {
			return l, fmt.Errorf("sync segment %s: %w", g.path, err)
		}
	}
	return l, nil
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

// errDropped: a running writer dropped a segment that is being read. What was live in it was
// moved.
var errDropped = fmt.Errorf("%w: the writer dropped the segment while it was read: refresh and read again", ErrOffsetOutOfRange)

// dropped is gone for any log: one that is open for writing drops its segments itself.
func (s *shard) dropped(g *segment) bool { return s.cfg.readOnly && s.gone(g) }

// show makes what a refresh found visible, to all readers in one step. The
// caller holds m.mu.
func (m *Manager) show(s *shard, looks []look) {
	byID := map[uint32]*Partition{}
	for _, p := range s.partitions {
		byID[p.id] = p
	}
	var order []uint32
	news := map[uint32][]change{}
	for _, l := range looks {
		if l.fresh {
			s.segments.add(l.seg)
		}
		if len(l.found) > 0 {
			l.seg.mu.Lock()
			defer l.seg.mu.Unlock()
			l.enter()
		}
		for _, n := range l.found {
			id := n.entry.Partition
			if news[id] == nil {
				order = append(order, id)
			}
			news[id] = append(news[id], change{l.seg, n})
		}
	}
	var parts []*Partition
	for _, id := range order {
		p := byID[id]
		if p == nil && news[id][0].entry.Kind != format.KindDeclare {
			continue // its declaration is damaged
		}
		if p == nil {
			d := news[id][0].declaration
			p = m.adopt(s, &Partition{topic: d.Topic, num: d.Partition, shard: s, id: id})
			p.mu.Lock()
			p.extents.begin(news[id][0].seg, d)
			p.mu.Unlock()
			s.mu.Lock()
			s.partitions = append(s.partitions, p)
			s.mu.Unlock()
		}
		parts = append(parts, p)
	}
	s.together(parts, func() {
		for _, p := range parts {
			p.take(news[p.id])
		}
	})
}

// enter takes what was found into the segment's table and lets readers go that far. The caller
// holds the segment's lock until that is visible; see committer.show.
func (l *look) enter() {
	g := l.seg
	for _, n := range l.found {
		if n.entry.Kind == format.KindDeclare {
			g.table.declare(n.entry.Partition, n.declaration)
			continue
		}
		g.table.add(n.entry, n.lsn, n.position)
	}
	g.chain = l.end.Chain
	g.reaches(l.end)
}

// change is a new entry and where it stands.
type change struct {
	seg *segment
	newEntry
}

// take applies what a refresh found of a partition, whose lock is held.
func (p *Partition) take(list []change) {
	x := &p.extents
	for _, c := range list {
		if c.entry.Kind == format.KindDeclare {
			x.meet(c.seg, c.declaration)
			continue
		}
		e := c.entry
		p.known.apply(e)
		// A gap that is not declared shows as a hole to readers.
		_ = x.apply(c.seg, format.Run{Kind: e.Kind, Flags: e.Flags, Base: e.Base, End: e.End(), Gap: e.Gap, LSN: c.lsn})
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
	s.closeRetired()
	for {
		g, only := s.segments.oldest()
		if g == nil || only || g.live.Load() > 0 || g.losses.Load() > 0 || g.pins.Load() > 1 {
			return
		}
		s.segments.dropOldest()
		_ = g.file.Close()
	}
}
