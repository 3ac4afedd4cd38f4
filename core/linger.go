package wal

import "time"

// linger decides how long groups of mode batch wait for more entries.
//
// Waiting pays while entries arrive that would else be a group of their own. It is lost time
// where all producers wait for this very group. Which of the two it is shows only by waiting:
// so now and then a group is kept for the whole delay, as a probe. How many entries that
// brought is what the groups after it wait for. A probe that brings no more than is known
// makes the next one come later, twice as late each time.
type linger struct {
	group *group // the one decided on last
	// goal is how many entries the group waits for.
	goal int
	// usual is how many entries groups are known to get.
	usual int
	// skip is how many groups are left up to the next probe, step how many come after that.
	skip, step int
}

// maxProbeStep bounds how many groups lie between two probes: a probe costs the delay, about
// ten groups' time, which is a hundredth of the time of so many.
const maxProbeStep = 1023

// wants reports whether a group is to wait on. The committer holds the append lock.
func (l *linger) wants(g *group, delay time.Duration) bool {
	if l.group != g {
		l.group, l.goal = g, l.usual
		if l.skip == 0 {
			l.goal = maxGroupEntries + 1
		}
	}
	return time.Since(g.opened) < delay
}

// enough reports whether a group that waits has what it waits for. The caller holds the
// append lock.
func (l *linger) enough(g *group) bool { return l.group == g && len(g.entries) >= l.goal }

// sent takes in how many entries a group has that is not to wait on.
func (l *linger) sent(g *group) {
	n := len(g.entries)
	switch {
	case l.group != g || l.skip > 0:
		l.skip = max(0, l.skip-1)
	case n > l.usual:
		l.step = 0
	default:
		l.step = min(2*l.step+1, maxProbeStep)
		l.skip = l.step
	}
	l.usual, l.group, l.goal = n, nil, 0
}
