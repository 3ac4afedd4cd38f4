package wal

import (
	"fmt"
	"slices"

	"github.com/chronik-go/wal/core/backend"
	"github.com/chronik-go/wal/core/format"
)

// carryOut carries out the plan for a log. Each step leaves a log that the next attempt can
// go on from: a file is in quarantine, durably, before it is replaced or removed, and what
// replaces it is whole and durable before it gets the name.
func (p *repairer) carryOut(r *recovery, plan *repairPlan) error {
	dir := p.dirs[r.s.name]
	if r.s.closedAt != (format.Link{}) { // it may end before that once it is repaired
		if err := putMember(p.dirs[""], p.path, r.s.name+memberSuffix, withoutEnd(*r.s.member)); err != nil {
			return err
		}
	}
	if plan.marker != nil {
		if err := p.takeAway(r.s, dir, markerName, plan.marker.file, false); err != nil {
			return err
		}
	}
	for _, x := range plan.refused {
		if err := p.takeAway(r.s, dir, segmentName(x.number), x.file, plan.rebuilds(x.number)); err != nil {
			return err
		}
	}
	for _, b := range plan.rebuild {
		if b.index >= 0 {
			if err := p.copyAway(r.s, segmentName(b.header.Number)); err != nil {
				return err
			}
		}
		if err := b.carryOut(r, dir); err != nil {
			return fmt.Errorf("rebuild segment %s: %w", r.s.path(segmentName(b.header.Number)), err)
		}
		p.did("%s", b.describe(r, plan))
	}
	return nil
}

// takeAway takes a file out of the way that says nothing about this log. One that is to be
// replaced stays until then, for the name not to be missing meanwhile.
func (p *repairer) takeAway(s *shard, dir backend.Dir, name string, regular, replaced bool) error {
	if !regular {
		if err := p.setAside(s, dir, name); err != nil {
			return err
		}
		p.did("%s: set aside as %s", s.path(name), p.report.Moved[len(p.report.Moved)-1])
		return nil
	}
	if err := p.copyAway(s, name); err != nil {
		return err
	}
	p.did("%s: moved to the quarantine", s.path(name))
	if replaced {
		return nil
	}
	if err := dir.Remove(name); err != nil {
		return fmt.Errorf("remove %s: %w", s.path(name), err)
	}
	return dir.Sync()
}

func (p *repairPlan) rebuilds(number uint64) bool {
	return slices.ContainsFunc(p.rebuild, func(b *rebuild) bool { return b.header.Number == number })
}

// describe says what a plan would do.
func (p *repairer) describe(r *recovery, plan *repairPlan) {
	moves := func(name string) {
		p.report.Moved = append(p.report.Moved, r.s.path(name))
		p.did("%s: move to the quarantine", r.s.path(name))
	}
	if plan.marker != nil {
		moves(markerName)
	}
	for _, x := range plan.refused {
		moves(segmentName(x.number))
	}
	for _, b := range plan.rebuild {
		if b.index >= 0 {
			moves(segmentName(b.header.Number))
		}
		p.did("%s", b.describe(r, plan))
	}
}
