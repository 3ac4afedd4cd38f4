package sim

import (
	"bytes"
	"sync/atomic"

	"github.com/cespare/xxhash/v2"
)

// SectorSize is the unit, in bytes, in which the simulated medium keeps or loses data.
const SectorSize = 512

// chunkSectors is how many sectors a chunk holds: 16 KiB of a file.
const chunkSectors = 32

// token marks who may change a shared piece of memory in place: the state whose token
// it carries. A state that is shared takes a new token, and from then on copies
// what it changes. That makes a crash image cheap.
type token uint64

var tokens atomic.Uint64

func newToken() token { return token(tokens.Add(1)) }

// sector is the content of one sector, never changed once made. Zeros are the zero
// sector, so that equal content always has the equal hash.
type sector struct {
	p *[SectorSize]byte
	h uint64
}

var zeroSector [SectorSize]byte

func makeSector(p *[SectorSize]byte) sector {
	if *p == zeroSector {
		return sector{}
	}
	return sector{p: p, h: xxhash.Sum64(p[:]) | 1}
}

// makeSectors copies b, of which the last sector is filled up with zeros.
func makeSectors(b []byte) []sector {
	n := (len(b) + SectorSize - 1) / SectorSize
	mem := make([]byte, n*SectorSize)
	copy(mem, b)
	out := make([]sector, n)
	for i := range out {
		out[i] = makeSector((*[SectorSize]byte)(mem[i*SectorSize:]))
	}
	return out
}

// holds reports whether the sectors hold b.
func holds(ss []sector, b []byte) bool {
	for i, s := range ss {
		p := s.p
		if p == nil {
			p = &zeroSector
		}
		if !bytes.Equal(p[:], b[i*SectorSize:(i+1)*SectorSize]) {
			return false
		}
	}
	return true
}

// cut returns the sector with everything from byte n on zeroed.
func (s sector) cut(n int64) sector {
	if s.p == nil || n >= SectorSize {
		return s
	}
	p := new([SectorSize]byte)
	copy(p[:n], s.p[:n])
	return makeSector(p)
}

type chunk struct {
	own token
	s   [chunkSectors]sector
}

// content is what a file holds: size bytes, zeros where there is no chunk. It may be
// copied by value once its token is given up.
type content struct {
	own    token
	chunks []*chunk
	size   int64
	sum    uint64 // sum over all sectors of place(index, hash)
}

// place is the share of a sector in the sum of its file. Zeros have none.
func place(i int64, h uint64) uint64 {
	if h == 0 {
		return 0
	}
	return mix2(uint64(i), h)
}

func (c *content) at(i int64) sector {
	k := i / chunkSectors
	if k >= int64(len(c.chunks)) || c.chunks[k] == nil {
		return sector{}
	}
	return c.chunks[k].s[i%chunkSectors]
}

// set changes sector i. What lies beyond the size is ignored.
func (c *content) set(t token, i int64, s sector) {
	start := i * SectorSize
	if start >= c.size {
		return
	}
	s = s.cut(c.size - start)
	old := c.at(i)
	if old.h == s.h {
		return
	}
	c.sum += place(i, s.h) - place(i, old.h)
	c.chunk(t, i/chunkSectors).s[i%chunkSectors] = s
}

// chunk returns chunk k for changing.
func (c *content) chunk(t token, k int64) *chunk {
	if c.own != t {
		c.chunks, c.own = append([]*chunk(nil), c.chunks...), t
	}
	for int64(len(c.chunks)) <= k {
		c.chunks = append(c.chunks, nil)
	}
	old := c.chunks[k]
	if old != nil && old.own == t {
		return old
	}
	fresh := &chunk{own: t}
	if old != nil {
		fresh.s = old.s
	}
	c.chunks[k] = fresh
	return fresh
}

// write sets the sectors from first on, but for those that gone names.
func (c *content) write(t token, first int64, ss []sector, gone []bool) {
	for i, s := range ss {
		if gone == nil || !gone[i] {
			c.set(t, first+int64(i), s)
		}
	}
}

// resize sets the size; what is cut off reads as zeros should the file grow again.
func (c *content) resize(t token, size int64) {
	end := min((c.size+SectorSize-1)/SectorSize, int64(len(c.chunks))*chunkSectors)
	for i := size / SectorSize; i < end; i++ {
		if s := c.at(i); s.p != nil {
			c.set(t, i, s.cut(max(0, size-i*SectorSize)))
		}
	}
	c.size = size
}

// readAt fills b from offset off on; the range lies within the size.
func (c *content) readAt(b []byte, off int64) {
	for len(b) > 0 {
		in := off % SectorSize
		n := min(int64(len(b)), SectorSize-in)
		if s := c.at(off / SectorSize); s.p != nil {
			copy(b[:n], s.p[in:])
		} else {
			clear(b[:n])
		}
		b, off = b[n:], off+n
	}
}

// nextData returns where the first sector begins, from the one at off on, that is not
// all zeros; the size if there is none.
func (c *content) nextData(off int64) int64 {
	for i := off / SectorSize; i < int64(len(c.chunks))*chunkSectors; i++ {
		if c.chunks[i/chunkSectors] == nil {
			i += chunkSectors - 1 - i%chunkSectors
			continue
		}
		if c.at(i).p != nil {
			return i * SectorSize
		}
	}
	return c.size
}
