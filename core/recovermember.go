package wal

import (
	"fmt"

	"github.com/chronik-go/wal/core/format"
)

// checkOwner tells whether a log that is known by its member file is the one that is there.
func (r *recovery) checkOwner() error {
	m, found := r.s.member, map[format.LogID]bool{}
	if m == nil {
		return nil
	}
	for _, g := range r.segments {
		if !g.guessed {
			found[g.Log] = true
		}
	}
	if r.marker != nil {
		found[r.marker.Log] = true
	}
	if found[m.Log] || len(found) == 0 {
		return nil
	}
	return &MemberError{
		Path: r.s.home, Reason: fmt.Sprintf("its segments are those of another log than %x, the one of its %s", m.Log, ownMember),
		Advice: "put each log's segments where they belong",
	}
}

// checkAge tells whether a log goes as far as it did when it was closed last. A damaged one may
// not, and is told of as such.
func (r *recovery) checkAge() error {
	known, end := r.s.closedAt.LSN, uint64(0)
	if n := len(r.segments); n > 0 {
		end = r.segments[n-1].lastLSN.Load()
	} else if r.marker != nil {
		end = r.marker.End.LSN
	}
	if end >= known || len(r.flaws) > 0 {
		return nil
	}
	return &MemberError{
		Path:   r.s.home,
		Reason: fmt.Sprintf("it ends at LSN %d, but did at LSN %d when it was closed: it is an older copy, or lost its newest segments", end, known),
		Advice: fmt.Sprintf("mount, or put back, the newest one; to give up what is missing copy its %s over %s%s", ownMember, r.s.home, memberSuffix),
	}
}
