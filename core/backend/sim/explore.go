package sim

import "iter"

// Explore is a plan for Trace.CrashStates: which images to make at each point, besides
// DropAll and KeepAll. Where nothing is unsynced these are the same, and the only one.
type Explore struct {
	// Seed decides what Random draws, and which N are taken where there are too many.
	Seed uint64
	// From and To bound the crash points; To is exclusive, and 0 is the end of the trace.
	From, To int
	// Prefixes and Holes are how many images of these modes to make at most at each
	// point; negative is one for each unit. They cover single sectors of a write.
	Prefixes, Holes int
	// Randoms is how many Random images to make at each point, half of them torn.
	Randoms int
	// Kill adds an image of each point after the death of the process alone.
	Kill bool
	// Garbage makes every second of the images Prefix, Hole and Random with garbage.
	Garbage bool
}

// CrashState is one disk that a crash may leave behind. Point and Image are all it
// takes to make it again: t.At(Point).Image(Image).
type CrashState struct {
	Point int
	Image Image
	// Marks are the marks at or before the point.
	Marks []Mark
	// Disk is the image, for the receiver to use as it likes.
	Disk *Disk
}

// CrashStates enumerates crash images along the trace. The same plan gives the same
// images.
func (t *Trace) CrashStates(e Explore) iter.Seq[CrashState] {
	return func(yield func(CrashState) bool) {
		to := len(t.ops) + 1
		if e.To > 0 {
			to = min(to, e.To)
		}
		for c := t.At(e.From); c.point >= e.From && c.point < to; {
			for im := range e.images(c.point, c.Units()) {
				if !yield(CrashState{Point: c.point, Image: im, Marks: c.Marks(), Disk: c.Image(im)}) {
					return
				}
			}
			if !c.Next() {
				return
			}
		}
	}
}

// images enumerates the images of one point, at which so many units are unsynced.
func (e *Explore) images(point, units int) iter.Seq[Image] {
	return func(yield func(Image) bool) {
		r := rng(mix2(e.Seed, uint64(point)))
		if !yield(Image{Mode: DropAll}) {
			return
		}
		if e.Kill && !yield(Image{Mode: Kill, Seed: r.next(), Torn: true}) {
			return
		}
		if units == 0 {
			return
		}
		if !yield(Image{Mode: KeepAll}) {
			return
		}
		// Prefix 0 drops all, unless its first sector is garbage.
		for _, mode := range []struct {
			Mode
			most int
		}{{Prefix, e.Prefixes}, {Hole, e.Holes}} {
			for k, n := range picks(&r, mode.most, units) {
				garbage := e.Garbage && (k+point)%2 == 0
				if mode.Mode == Prefix && n == 0 && !garbage {
					continue
				}
				if !yield(Image{Mode: mode.Mode, N: n, Seed: r.next(), Garbage: garbage}) {
					return
				}
			}
		}
		for k := range e.Randoms {
			im := Image{Mode: Random, Seed: r.next(), Torn: k%2 == 0, Garbage: e.Garbage && k%4 < 2}
			if !yield(im) {
				return
			}
		}
	}
}

// picks yields at most so many numbers below units, spread evenly, with their count.
func picks(r *rng, most, units int) iter.Seq2[int, int] {
	return func(yield func(int, int) bool) {
		if most < 0 || most > units {
			most = units
		}
		for k := range most {
			lo, hi := k*units/most, (k+1)*units/most
			if !yield(k, lo+r.below(hi-lo)) {
				return
			}
		}
	}
}
