package blockdisk

import (
	"math"

	"github.com/chronik-go/wal/conformance/internal/writer"
)

// recording is what a disk was told in the course of a round. Its events are numbered. A crash
// at point n is one between the events n-1 and n.
//
// A write with FUA arrives as a write and a flush behind it, because a loop device has no FUA.
//
// What counts when is chosen so that no state comes out that a disk could not be in, and none
// is left out that it could:
//
//   - A write may reach the medium from its arrival on. It is complete when its reply is about
//     to go out, and not before: a flush that arrives earlier need not cover it, because
//     whoever sent that flush did not wait for the write. The server holds some replies back
//     to let such flushes come.
//   - A flush covers the writes that were complete when it arrived, from the moment at which
//     its own reply is about to go out.
//   - Each event looks at the ack page before it counts, so before its reply. What is
//     acknowledged by then was acknowledged on the strength of the events before. For a crash
//     at point n that is the last moment before the state changes again: the page that event
//     n saw says what has to be there, and nothing on it can depend on event n itself.
//   - What was submitted is noted before it is written, so the page seen by event n knows of
//     everything that could have arrived before.
type recording struct {
	// base is how many layers of the image lie below.
	base    int
	writes  []write
	flushes []flush
	events  []event
	phase   int
}

// never is when something is done that never was.
const never = math.MaxInt

// write is one write; failed ones are never done.
type write struct {
	off           int64
	data          []byte
	arrived, done int
}

// flush is one flush that succeeded. It covers what was done before the event begun.
type flush struct{ begun, done int }

// event is what was known when something happened.
type event struct {
	phase    int
	progress []writer.Progress
}

// note adds an event and returns its number.
func (r *recording) note(p []writer.Progress) int {
	r.events = append(r.events, event{phase: r.phase, progress: p})
	return len(r.events) - 1
}

// split tells for a crash at a point which writes were durable and which may have reached the
// medium or not, each in the order of their arrival, by their index. late is where in
// volatile those begin that arrived after each durable one: their order is open.
func (r *recording) split(point int) (durable, volatile []int, late int) {
	covered := 0
	for _, f := range r.flushes {
		if f.done < point {
			covered = max(covered, f.begun)
		}
	}
	for i, w := range r.writes {
		switch {
		case w.arrived >= point:
			return durable, volatile, late
		case w.done < covered:
			durable, late = append(durable, i), len(volatile)
		default:
			volatile = append(volatile, i)
		}
	}
	return durable, volatile, late
}
