package sim

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"slices"
)

// Mode is how a crash treats the unsynced units.
type Mode uint8

// The modes of an Image.
const (
	DropAll Mode = iota // no unit survives
	KeepAll             // every unit survives
	Prefix              // the first N units survive, in the order in which they were made
	Hole                // every unit survives but unit N, counted from 0
	Random              // Seed decides, at a density that Seed decides too
	Kill                // only the process dies; Seed decides for the writes in flight
)

var modeNames = [...]string{"drop-all", "keep-all", "prefix", "hole", "random", "kill"}

// String returns the mode's name.
func (m Mode) String() string {
	if int(m) < len(modeNames) {
		return modeNames[m]
	}
	return fmt.Sprintf("mode(%d)", uint8(m))
}

// Image says what a crash makes of what was not yet durable.
type Image struct {
	Mode Mode
	// N is the unit that Prefix and Hole are about, from 0 to Cursor.Units.
	N int
	// Seed decides in Random and Kill, decides what garbage is, and seeds the image's
	// own life.
	Seed uint64
	// Torn lets Random and Kill decide for each sector of a write, not for the write.
	Torn bool
	// Garbage lets sectors end up as neither old nor new: unit N of Prefix and Hole,
	// and a quarter of what survives Random. It goes for sectors being written only.
	Garbage bool
}

// String returns the image as one word, for messages.
func (im Image) String() string {
	s := im.Mode.String()
	switch im.Mode {
	case Prefix, Hole:
		s += fmt.Sprintf("-%d", im.N)
	case Random, Kill:
		s += fmt.Sprintf("-seed-%#x", im.Seed)
		if im.Torn {
			s += "-torn"
		}
	}
	if im.Garbage && im.Mode != Kill {
		s += fmt.Sprintf("-garbage-%#x", im.Seed)
	}
	return s
}

// Image makes the disk that a crash now leaves behind. The Disk itself lives on; it
// may also have crashed already. Nobody holds the image's locks or handles, it has no
// faults, and the Options of d.
func (d *Disk) Image(im Image) *Disk {
	d.mu.Lock()
	defer d.mu.Unlock()
	items, _ := d.st.unsynced(nil)
	st := d.st.image(im, items)
	d.st.retire()
	return imageDisk(d.opt, im, st)
}

// Clone returns a copy of the disk as it is, unsynced changes included, but without
// its writes in flight, faults, handles and trace.
func (d *Disk) Clone() *Disk { return d.Image(Image{Mode: Kill, N: -1}) }

func imageDisk(o Options, im Image, st *state) *Disk {
	o.Seed = mix2(o.Seed, im.Seed)
	return newDisk(o, st)
}

// fate is what becomes of one unit.
type fate uint8

const (
	dropped fate = iota
	kept
	garbled
)

// densities are the shares, in sixteenths, of the units that survive Random.
var densities = [...]uint64{1, 4, 8, 12, 15}

// fate decides for a unit, which is one of the item that starts at unit first.
func (im *Image) fate(first, unit int) fate {
	switch im.Mode {
	case KeepAll:
		return kept
	case Prefix:
		if unit < im.N {
			return kept
		}
	case Hole:
		if unit != im.N {
			return kept
		}
	case Random, Kill:
		return im.draw(first, unit)
	default:
		return dropped
	}
	if im.Garbage && unit == im.N {
		return garbled
	}
	return dropped
}

func (im *Image) draw(first, unit int) fate {
	if im.Mode == Kill && im.N < 0 {
		return dropped // Clone
	}
	who := first
	if im.Torn {
		who = unit
	}
	share := densities[mix2(im.Seed, 1)%uint64(len(densities))]
	if mix2(im.Seed, uint64(who)<<2|2)>>60 >= share {
		return dropped
	}
	if im.Garbage && im.Mode == Random && mix2(im.Seed, uint64(unit)<<2|3)>>62 == 0 {
		return garbled
	}
	return kept
}

// garbage is a sector that was being written when the power failed: random bytes,
// zeros, or a part of the new content before a part of the old, or before noise.
func (im *Image) garbage(unit int, old, fresh sector) sector {
	r := rng(mix2(im.Seed, uint64(unit)<<2))
	p := new([SectorSize]byte)
	how, cut := r.below(4), 1+r.below(SectorSize-1)
	if how == 0 {
		return sector{}
	}
	if how != 1 || old.p == nil {
		for i := 0; i < SectorSize; i += 8 {
			binary.LittleEndian.PutUint64(p[i:], r.next())
		}
	} else {
		*p = *old.p
	}
	if how != 2 && fresh.p != nil {
		copy(p[:cut], fresh.p[:cut])
	}
	return makeSector(p)
}

// item is one unsynced change and where its units are counted.
type item struct {
	seq   uint64
	dir   bool // of a directory, else of a file
	owner int  // index of the directory or inode
	first int  // its first unit
	units int
}

// unsynced appends the unsynced changes to items, those of each directory and inode
// together and in the order of its pend, and returns how many units they are.
func (s *state) unsynced(items []item) ([]item, int) {
	for i, d := range s.dirs {
		for k := range d.pend {
			items = append(items, item{seq: d.pend[k].seq, dir: true, owner: i, units: 1})
		}
	}
	named := s.named()
	for i, n := range s.inodes {
		if !named[i] {
			continue
		}
		for k := range n.pend {
			p := &n.pend[k]
			items = append(items, item{seq: p.seq, owner: i, units: max(1, len(p.sectors))})
		}
	}
	// Count in the order of seq, but leave the items where they are.
	order := make([]int, len(items))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(items[a].seq, items[b].seq) })
	n := 0
	for _, i := range order {
		items[i].first = n
		n += items[i].units
	}
	return items, n
}

// named returns which inodes a crash can leave with a name.
func (s *state) named() []bool {
	out := make([]bool, len(s.inodes))
	for _, d := range s.dirs {
		for _, e := range d.dur {
			if e.kind == kindFile {
				out[e.ino] = true
			}
		}
		for _, e := range d.vol {
			if e.kind == kindFile {
				out[e.ino] = true
			}
		}
		for i := range d.pend {
			if p := &d.pend[i]; p.op == OpCreate {
				out[p.entry.ino] = true
			}
		}
	}
	return out
}
