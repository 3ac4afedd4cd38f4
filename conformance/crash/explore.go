package crash

import (
	"fmt"
	"math/rand/v2"

	"github.com/chronik-go/wal/core/backend"
	"github.com/chronik-go/wal/core/backend/sim"
)

// maxDepth is how many crashes one after the other are tried.
const maxDepth = 3

// explorer makes crash images along the trace of a history and checks each.
type explorer struct {
	h     *history
	c     *counts
	wrap  func(*sim.Disk) backend.Backend
	depth int
	// sparse looks at fewer points and images.
	sparse bool
	// reboot: a process that dies takes the machine with it.
	reboot bool
	// before judges what is recovered before the open for writing, with which the history
	// begins, has returned: nil if that must be the base.
	before func(*recovered) *Violation

	r *rand.Rand
	v *views
	// nests is how many more images are to be written to, one in nestOneIn of those seen.
	nests, nestOneIn int
	seen             map[uint64]*recovered
}

// budget is how many images to make at a point.
type budget struct{ prefixes, holes, randoms int }

func newExplorer(h *history, c *counts, wrap func(*sim.Disk) backend.Backend, depth int) *explorer {
	e := &explorer{
		h: h, c: c, wrap: wrap, depth: depth, r: newRand(h.plan.seed, 1000+uint64(depth)),
		v: newViews(h), seen: map[uint64]*recovered{}, nests: nestings[depth],
	}
	e.nestOneIn = max(1, h.trace.Len()*3/max(1, e.nests))
	return e
}

// run walks along the trace. It stops at the first violation.
func (e *explorer) run() *Violation {
	e.advance(nil)
	for c := e.h.trace.Cursor(); ; {
		e.advance(c.Marks())
		if e.depth == 0 && !e.sparse || e.r.IntN(3) == 0 {
			if v := e.point(c); v != nil {
				return v
			}
		}
		if !c.Next() {
			return nil
		}
	}
}

// advance takes in the notes up to the cursor.
func (e *explorer) advance(marks []sim.Mark) {
	for ; e.v.taken < len(marks); e.v.taken++ {
		if n, ok := marks[e.v.taken].Value.(note); ok {
			e.v.take(n)
		}
	}
}

// point checks images of one point.
func (e *explorer) point(c *sim.Cursor) *Violation {
	for _, im := range e.images(c.Units()) {
		if v := e.image(c, im); v != nil {
			return v.in(fmt.Sprintf("%v, image %v, hash %016x%s", c, im, c.Image(im).Hash(), e.dump()))
		}
	}
	return nil
}

// Verbose adds to a violation what was submitted to each partition up to the crash.
var Verbose bool

func (e *explorer) dump() string {
	if !Verbose {
		return ""
	}
	text := ""
	for k, x := range e.v.list {
		text += fmt.Sprintf("\n\t\t%v: at first %v", k, x.part.base)
		for i, o := range x.part.ops[:x.hi] {
			mark := ""
			if i < x.lo {
				mark = "*"
			}
			text += fmt.Sprintf("; %v%s", o, mark)
		}
		for _, l := range x.part.lost {
			text += fmt.Sprintf("; lost behind %d: %v (%v) %v", l.base, l.op, x.lost[l.op], l.states)
		}
	}
	return text
}

// images draws the images to make where so many units are unsynced.
func (e *explorer) images(units int) []sim.Image {
	list := []sim.Image{{Mode: sim.DropAll}}
	if e.r.IntN(2) == 0 && !e.reboot {
		list = append(list, sim.Image{Mode: sim.Kill, Seed: e.r.Uint64(), Torn: true})
	}
	if units == 0 {
		return list
	}
	list = append(list, sim.Image{Mode: sim.KeepAll})
	b := budget{4, 3, 6}
	if e.depth > 0 || e.sparse {
		b = budget{1, 1, 2}
	}
	for _, x := range []struct {
		mode sim.Mode
		n    int
	}{{sim.Prefix, b.prefixes}, {sim.Hole, b.holes}} {
		for range min(x.n, units) {
			list = append(list, sim.Image{Mode: x.mode, N: e.r.IntN(units), Seed: e.r.Uint64(), Garbage: e.r.IntN(2) == 0})
		}
	}
	if units > 1 {
		for i := range b.randoms {
			list = append(list, sim.Image{Mode: sim.Random, Seed: e.r.Uint64(), Torn: i%3 > 0, Garbage: e.r.IntN(2) == 0})
		}
	}
	return list
}

// image makes one image and checks it, unless an equal one was recovered before: then what
// came of it is compared with what must be there now.
func (e *explorer) image(c *sim.Cursor, im sim.Image) *Violation {
	d := c.Image(im)
	e.c.raw++
	hash, kill := d.Hash(), im.Mode == sim.Kill
	r, ok := e.seen[hash]
	if !ok {
		r = readOnly(e.wrap(d), e.r.IntN(8) == 0, e.h.known)
		e.c.recoveries++
		e.c.add(hash, r)
		e.seen[hash] = r
	}
	if v := e.check(r, kill); v != nil {
		return v
	}
	if ok {
		return nil
	}
	if v := unchanged(d); v != nil {
		return v
	}
	if kill {
		if v := e.served(d, r); v != nil {
			return v
		}
	}
	if e.nests > 0 && e.r.IntN(e.nestOneIn) == 0 {
		e.nests--
		return e.goOn(c.Image(im), im, r)
	}
	return nil
}

// nestings is how many images of a history are written to and crashed again, by depth.
var nestings = [maxDepth + 1]int{16, 2, 1, 0}

func (e *explorer) check(r *recovered, kill bool) *Violation {
	if !e.v.opened && e.before != nil {
		return e.before(r)
	}
	return e.v.check(r, kill)
}

// unchanged checks that a read-only open has only synced.
func unchanged(d *sim.Disk) *Violation {
	t := d.Trace()
	for i := range t.Len() {
		if o := t.Op(i); o.Op != sim.OpFileSync && o.Op != sim.OpDirSync {
			return violation(ReadOnlyNoChange, "it did: %v", o)
		}
	}
	return nil
}

// served checks that what a read-only open showed survives a power failure after it.
func (e *explorer) served(d *sim.Disk, r *recovered) *Violation {
	again := readOnly(e.wrap(d.Image(sim.Image{Mode: sim.DropAll})), false, nil)
	e.c.recoveries++
	if again.err != nil || !again.equal(r) {
		return violation(SyncedFirst, "what a read-only open showed is not there after a power failure: %v, then %v",
			r.parts, again.parts)
	}
	return nil
}

// goOn opens the image for writing, writes to it, and explores the crashes of that.
func (e *explorer) goOn(d *sim.Disk, im sim.Image, r *recovered) *Violation {
	p := e.h.plan.again(e.r.Uint64())
	w := newWorkload(p, d, e.wrap(d), e.h.known, r)
	h, found := w.run()
	e.c.continued++
	if len(found) > 0 {
		return found[0].in(fmt.Sprintf("open for writing with seed %#x", p.seed))
	}
	if v := verify(e.wrap(d.Image(sim.Image{Mode: sim.DropAll}))); v != nil {
		return v.in(fmt.Sprintf("open for writing with seed %#x, a power failure at its end", p.seed))
	}
	x := newExplorer(h, e.c, e.wrap, e.depth+1)
	if im.Mode == sim.Kill {
		// The recovery may have begun with more than a power failure in it leaves.
		x.before = func(r *recovered) *Violation { return e.check(r, false) }
	}
	if v := x.run(); v != nil {
		return v.in(fmt.Sprintf("open for writing with seed %#x", p.seed))
	}
	return nil
}
