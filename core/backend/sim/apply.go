package sim

import (
	"maps"
	"path"
	"slices"
)

// apply carries out one operation. It is the only way in which a state changes, and
// depends on nothing but the state and the operation.
func (s *state) apply(o *op) {
	s.n++
	switch o.Op {
	case OpMkdir:
		s.mkdir(o.Dir, o.Name)
	case OpCreate:
		s.create(o)
	case OpRename, OpRemove:
		s.changeDir(o.Dir, dirPending{seq: s.n, op: o.Op, name: o.Name, newName: o.NewName})
	case OpDirSync:
		s.syncDir(o)
	case OpResize:
		s.resize(o)
	case OpSubmit:
		s.submit(o)
	case OpWrite, OpSync:
		s.complete(o)
	case OpFileSync:
		s.syncFile(o)
	case OpEdit:
		*s = *o.after.fork()
	}
}

// mkdir makes a directory, durable at once: as a backend does it, by a sync of the
// parent, which makes the parent's other entries durable too.
func (s *state) mkdir(dir, name string) {
	parent, p := s.dir(dir), path.Join(dir, name)
	parent.vol = with(parent.vol, entry{name: name, kind: kindDir})
	parent.dur, parent.pend = parent.vol, nil
	s.byPath = maps.Clone(s.byPath)
	s.byPath[p] = len(s.dirs)
	s.dirs = append(s.dirs, &dirState{own: s.tok, path: p})
}

func (s *state) create(o *op) {
	n := &inode{own: s.tok}
	s.inodes = append(s.inodes, n)
	if s.flat {
		n.flat = make([]byte, o.Len)
	} else {
		n.vol.size = o.Len
		n.pend = []pending{{seq: s.n, done: s.n, resize: true, size: o.Len}}
	}
	e := entry{name: o.Name, ino: len(s.inodes) - 1}
	s.changeDir(o.Dir, dirPending{seq: s.n, op: OpCreate, name: o.Name, entry: e})
}

func (s *state) changeDir(dir string, p dirPending) {
	d := s.dir(dir)
	d.vol = p.applyTo(d.vol)
	if s.flat {
		d.dur = d.vol
		return
	}
	d.pend = append(d.pend, p)
}

// applyTo returns the entries after the change.
func (p *dirPending) applyTo(es []entry) []entry {
	switch p.op {
	case OpCreate:
		return with(es, p.entry)
	case OpRemove:
		return without(es, p.name)
	}
	e, ok := find(es, p.name)
	if !ok {
		return es
	}
	e.name = p.newName
	return with(without(es, p.name), e)
}

// blocked returns which of the changes cannot survive because one before them, on one
// of the same names, does not survive.
func blocked(pend []dirPending, dropped func(i int) bool) []bool {
	out := make([]bool, len(pend))
	var names []string
	for i := range pend {
		p := &pend[i]
		if dropped(i) || slices.Contains(names, p.name) ||
			p.op == OpRename && slices.Contains(names, p.newName) {
			out[i] = true
			names = append(names, p.name)
			if p.op == OpRename {
				names = append(names, p.newName)
			}
		}
	}
	return out
}

func (s *state) syncDir(o *op) {
	d := s.dir(o.Dir)
	if o.gate {
		for i := range d.pend {
			d.pend[i].lost = true
		}
	}
	if !o.durable || len(d.pend) == 0 {
		return
	}
	lost := blocked(d.pend, func(i int) bool { return d.pend[i].lost })
	var keep []dirPending
	for i := range d.pend {
		if lost[i] {
			keep = append(keep, d.pend[i])
		} else {
			d.dur = d.pend[i].applyTo(d.dur)
		}
	}
	d.pend = keep
}

func (s *state) resize(o *op) {
	n := s.inode(o.ino)
	if s.flat {
		mem := make([]byte, o.Len)
		copy(mem, n.flat)
		n.flat = mem
		return
	}
	n.vol.resize(s.tok, o.Len)
	n.pend = append(n.pend, pending{seq: s.n, done: s.n, resize: true, size: o.Len})
}

func (s *state) submit(o *op) {
	if !s.flat && len(o.sectors) > 0 {
		n := s.inode(o.ino)
		n.pend = append(n.pend, pending{seq: s.n, first: o.Offset / SectorSize, sectors: o.sectors})
	}
}

// complete ends a write: what landed of it becomes visible, and what its sync covers
// becomes durable.
func (s *state) complete(o *op) {
	n := s.inode(o.ino)
	if s.flat {
		if end := o.landed * SectorSize; o.Offset+int64(end) <= int64(len(n.flat)) {
			copy(n.flat[o.Offset:], o.data[:end])
		}
		return
	}
	if i := slices.IndexFunc(n.pend, func(p pending) bool { return p.seq == o.submit && !p.resize }); i >= 0 {
		n.land(s, i, o)
	}
	covered := func(p *pending) bool {
		return p.done != 0 && !p.lost && (p.seq == o.submit && !p.resize ||
			p.done < o.submit && (p.resize || !s.perWrite || o.Len == 0))
	}
	if o.gate {
		n.lose(covered)
	}
	if o.durable {
		n.persist(s.tok, covered)
	}
}

// land completes pending write i: its first sectors are in the cache, the others are
// nowhere, or perhaps on the medium.
func (n *inode) land(s *state, i int, o *op) {
	p := &n.pend[i]
	landed, rest := p.sectors[:o.landed], p.sectors[o.landed:]
	n.vol.write(s.tok, p.first, landed, nil)
	failed := *p
	failed.first, failed.sectors = p.first+int64(o.landed), rest
	failed.done, failed.lost = s.n, true
	p.sectors, p.done = landed, s.n
	if len(rest) > 0 && o.unsure {
		n.pend = append(n.pend, failed)
	}
	if len(landed) == 0 {
		n.pend = slices.Delete(n.pend, i, i+1)
	}
}

func (s *state) syncFile(o *op) {
	n := s.inode(o.ino)
	if s.flat {
		return
	}
	covered := func(p *pending) bool { return p.done != 0 && !p.lost }
	if o.gate {
		n.lose(covered)
	}
	if !o.durable {
		return
	}
	n.persist(s.tok, covered)
	kept := slices.DeleteFunc(n.pend, func(p pending) bool { return p.lost })
	if len(kept) < len(n.pend) {
		// The cache holds what never reached the medium: read the medium again.
		n.pend, n.vol = kept, n.dur
		s.retire()
	}
}
