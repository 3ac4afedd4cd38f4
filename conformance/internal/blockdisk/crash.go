package blockdisk

import (
	"fmt"
	"math/rand/v2"
)

// Mode is what a crash leaves of the writes that no flush had covered.
type Mode uint8

// The modes.
const (
	// None leaves nothing of them, All everything.
	None Mode = iota
	All
	// Prefix leaves the first ones, in the order of their arrival, and part of the next.
	Prefix
	// Subset leaves some.
	Subset
	// Torn leaves some of their sectors.
	Torn
	// Reordered leaves some, and of those that overlap any one on top.
	Reordered
	// Modes is how many there are.
	Modes
)

func (m Mode) String() string {
	return [...]string{"none", "all", "prefix", "subset", "torn", "reordered"}[m]
}

// Atomic says whether no block is left half written: file systems themselves rely on some of
// theirs being written whole.
func (m Mode) Atomic() bool { return m == None || m == All || m == Subset }

const sector = 512

// Crash names a state that a crash may leave.
type Crash struct {
	// Point is the number of the event before which the crash is.
	Point int
	Mode  Mode
	// Seed decides what the mode leaves to chance.
	Seed uint64
}

func (c Crash) String() string {
	return fmt.Sprintf("crash before event %d, %v of the unflushed writes left, image seed %d", c.Point, c.Mode, c.Seed)
}

// random draws what the mode leaves to chance.
func (c Crash) random() *rand.Rand { return rand.New(rand.NewPCG(c.Seed, 7)) }

// build writes the state onto an image.
func (r *recording) build(m *image, c Crash) {
	durable, volatile, late := r.split(c.Point)
	kept := r.choose(c.Mode, volatile, late, c.random())
	for _, i := range durable {
		for len(kept) > 0 && kept[0].order < i {
			m.write(kept[0].data, kept[0].off)
			kept = kept[1:]
		}
		m.write(r.writes[i].data, r.writes[i].off)
	}
	for _, k := range kept {
		m.write(k.data, k.off)
	}
}

// piece is a part of a write that is left.
type piece struct {
	order int // of the write
	off   int64
	data  []byte
}

func (r *recording) choose(mode Mode, volatile []int, late int, random *rand.Rand) []piece {
	var kept []piece
	keep := func(i, from, to int) {
		w := r.writes[i]
		from, to = min(from, len(w.data)), min(to, len(w.data))
		kept = append(kept, piece{order: i, off: w.off + int64(from), data: w.data[from:to]})
	}
	cut := random.IntN(len(volatile) + 1)
	share := 1 + random.IntN(9) // of ten
	for n, i := range volatile {
		w := r.writes[i]
		switch {
		case mode == All, mode == Prefix && n < cut,
			(mode == Subset || mode == Reordered) && random.IntN(10) < share:
			keep(i, 0, len(w.data))
		case mode == Prefix && n == cut:
			keep(i, 0, sector*random.IntN(len(w.data)/sector+1))
		case mode == Torn:
			for at := 0; at < len(w.data); at += sector {
				if random.IntN(10) < share {
					keep(i, at, at+sector)
				}
			}
		}
	}
	if mode == Reordered && late < len(volatile) {
		first := 0
		for first < len(kept) && kept[first].order < volatile[late] {
			first++
		}
		open := kept[first:]
		random.Shuffle(len(open), func(a, b int) { open[a], open[b] = open[b], open[a] })
	}
	return kept
}
