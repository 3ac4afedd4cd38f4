package sim

// lose marks the covered writes as never becoming durable. Changes of size stay as
// they are: they are in the journal, not in the data that failed.
func (n *inode) lose(covered func(*pending) bool) {
	for i := range n.pend {
		if p := &n.pend[i]; !p.resize && covered(p) {
			p.lost = true
		}
	}
}

// persist moves the covered changes to the medium, in order.
func (n *inode) persist(t token, covered func(*pending) bool) {
	kept := n.pend[:0]
	for i := range n.pend {
		p := n.pend[i]
		if !covered(&p) {
			kept = append(kept, p)
			continue
		}
		if p.resize {
			n.dur.resize(t, p.size)
		} else {
			n.dur.write(t, p.first, p.sectors, p.gone)
		}
		kept = supersede(kept, &p)
	}
	clear(n.pend[len(kept):])
	n.pend = kept
}

// supersede takes out of older changes what q, which is durable now, has overwritten:
// else a crash could bring it back.
func supersede(older []pending, q *pending) []pending {
	kept := older[:0]
	for i := range older {
		p := older[i]
		from, to := q.first, q.first+int64(len(q.sectors))
		if q.resize {
			from, to = (q.size+SectorSize-1)/SectorSize, p.first+int64(len(p.sectors))
		}
		if p.resize || !p.drop(from, to) {
			kept = append(kept, p)
		}
	}
	return kept
}

// drop takes sectors from..to-1 out of the write and reports whether nothing is left.
func (p *pending) drop(from, to int64) bool {
	from, to = max(from, p.first)-p.first, min(to-p.first, int64(len(p.sectors)))
	if from >= to {
		return false
	}
	gone := make([]bool, len(p.sectors)) // fresh: the old one may be shared
	copy(gone, p.gone)
	left := false
	for i := range gone {
		gone[i] = gone[i] || int64(i) >= from && int64(i) < to
		left = left || !gone[i]
	}
	p.gone = gone
	return !left
}
