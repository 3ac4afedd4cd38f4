package sim

import (
	"github.com/cespare/xxhash/v2"
)

// Hash returns a fingerprint of the disk: names, sizes and contents, as a reader sees
// them and as they are on the medium. Two disks of equal content have equal hashes,
// however they came about. It costs no pass over the contents.
func (d *Disk) Hash() uint64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.st.hash()
}

func (s *state) hash() uint64 {
	var cache, medium uint64
	for _, d := range s.dirs {
		p := xxhash.Sum64String(d.path)
		cache += mix(p)
		medium += mix(p)
		for _, e := range d.vol {
			cache += mix2(p, s.hashEntry(e, false))
		}
		for _, e := range d.dur {
			medium += mix2(p, s.hashEntry(e, true))
		}
	}
	return mix2(cache, medium)
}

func (s *state) hashEntry(e entry, medium bool) uint64 {
	h := mix2(xxhash.Sum64String(e.name), uint64(e.kind))
	switch {
	case e.kind == kindLink:
		return mix2(h, xxhash.Sum64String(e.target))
	case e.kind != kindFile:
		return h
	}
	n := s.inodes[e.ino]
	c := &n.vol
	switch {
	case s.flat:
		return mix2(h, xxhash.Sum64(n.flat))
	case medium:
		c = &n.dur
	}
	return mix2(mix2(h, uint64(c.size)), c.sum)
}
