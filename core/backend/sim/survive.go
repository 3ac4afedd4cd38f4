package sim

import (
	"math"
	"slices"
)

// image returns the state after a crash. items is what unsynced returned. The caller
// retires s afterwards. In the result caches and media share their chunks: it is the
// start of a trace, so that only forks of it change.
func (s *state) image(im Image, items []item) *state {
	out := s.fork()
	for len(items) > 0 {
		n := 1
		for n < len(items) && items[n].dir == items[0].dir && items[n].owner == items[0].owner {
			n++
		}
		switch i := items[0].owner; {
		case im.Mode == Kill && !items[0].dir:
			out.inodes[i] = s.inodes[i].killed(out, im, items[:n])
		case im.Mode == Kill: // the cached entries stay as they are
		case items[0].dir:
			out.dirs[i] = s.dirs[i].survivor(out, im, items[:n])
		default:
			out.inodes[i] = s.inodes[i].survivor(out, im, items[:n])
		}
		items = items[n:]
	}
	return out
}

// survivor is the directory after a power failure.
func (d *dirState) survivor(s *state, im Image, items []item) *dirState {
	out := &dirState{own: s.tok, path: d.path, dur: d.dur}
	lost := blocked(d.pend, func(i int) bool { return im.fate(items[i].first, items[i].first) != kept })
	for i := range d.pend {
		if !lost[i] {
			out.dur = d.pend[i].applyTo(out.dur)
		}
	}
	out.vol = out.dur
	return out
}

// survivor is the file after a power failure.
func (n *inode) survivor(s *state, im Image, items []item) *inode {
	out := &inode{own: s.tok, dur: n.dur}
	// What was written beyond a size that is lost, or into a space that a lost shrinking
	// had freed, was written to blocks that the file does not have.
	limit := int64(math.MaxInt64)
	resized := true
	for i := range n.pend {
		p, it := &n.pend[i], items[i]
		if !p.resize {
			out.receive(s.tok, im, p, it, limit)
			continue
		}
		if resized = resized && im.fate(it.first, it.first) == kept; resized {
			out.dur.resize(s.tok, p.size)
		} else {
			limit = min(limit, p.size)
		}
	}
	out.vol = out.dur
	return out
}

// receive takes in what survives of one write.
func (n *inode) receive(t token, im Image, p *pending, it item, limit int64) {
	for k, fresh := range p.sectors {
		at := p.first + int64(k)
		if at*SectorSize >= limit || p.gone != nil && p.gone[k] {
			continue
		}
		switch im.fate(it.first, it.first+k) {
		case kept:
			n.dur.set(t, at, fresh)
		case garbled:
			n.dur.set(t, at, im.garbage(it.first+k, n.dur.at(at), fresh))
		}
	}
}

// killed is the file after the death of its process: its writes in flight have reached
// the cache, or have not.
func (n *inode) killed(s *state, im Image, items []item) *inode {
	out := *n
	out.own, out.pend = s.tok, nil
	for i := range n.pend {
		p, it := n.pend[i], items[i]
		if p.done == 0 {
			p.done = s.n
			p.gone = slices.Grow([]bool(nil), len(p.sectors))
			some := false
			for k := range p.sectors {
				landed := im.fate(it.first, it.first+k) == kept
				p.gone = append(p.gone, !landed)
				some = some || landed
			}
			if !some {
				continue
			}
			out.vol.write(s.tok, p.first, p.sectors, p.gone)
		}
		out.pend = append(out.pend, p)
	}
	return &out
}
