package wal

import (
	"fmt"
	"slices"
	"strings"
)

// describe says what comes of the segment.
func (b *rebuild) describe(r *recovery, plan *repairPlan) string {
	name := r.s.path(segmentName(b.header.Number))
	what := "make it anew, it was missing"
	switch {
	case b.index >= 0:
		n := uint64(0)
		for _, u := range b.used {
			n += u.end - u.first
		}
		what = fmt.Sprintf("rebuild it from %d sound entries", n)
	case plan.refuses(b.header.Number):
		what = "make it anew in place of the file that was there"
	}
	return name + ": " + what + b.losses(r)
}

// losses says what the segment has lost.
func (b *rebuild) losses(r *recovery) string {
	lost := b.lost(r)
	if len(lost) == 0 && len(b.mends) == 0 {
		return ""
	}
	text := ""
	if len(lost) > 0 {
		text = "; " + lsnText(lost) + " are lost"
	}
	if len(b.mends) == 0 {
		return text + ", and nothing tells which partitions had them"
	}
	say := "entries say"
	if len(b.mends) == 1 {
		say = "entry says"
	}
	return fmt.Sprintf("%s; %d %s what is lost, as far as is known", text, len(b.mends), say)
}

// lost returns the LSNs whose entries the segment has lost by the damage at hand.
func (b *rebuild) lost(r *recovery) (list []LSNSpan) {
	if b.anywhere || b.index >= 0 && !r.losesEntries(r.segments[b.index]) {
		return nil
	}
	for _, free := range b.free() {
		list = append(list, LSNSpan{free.first, free.end - 1})
	}
	return list
}

// losesEntries reports whether damage in a segment may have cost entries.
func (r *recovery) losesEntries(g *segment) bool {
	return slices.ContainsFunc(r.flaws, func(f flaw) bool { return f.Segment == g.path && f.lsn > 0 })
}

// unknown returns the lost LSNs of which nothing tells what they were.
func (p *repairPlan) unknown(r *recovery) (list []LSNSpan) {
	for _, b := range p.rebuild {
		if len(b.mends) == 0 {
			list = append(list, b.lost(r)...)
		}
	}
	return list
}

func (p *repairPlan) refuses(number uint64) bool {
	return slices.ContainsFunc(p.refused, func(x refused) bool { return x.number == number })
}

// mostLSNSpans is how many ranges of LSNs a line names.
const mostLSNSpans = 4

// lsnText lists ranges of LSNs in a line.
func lsnText(list []LSNSpan) string {
	var text []string
	for i, s := range list {
		if i == mostLSNSpans {
			text = append(text, fmt.Sprintf("and %d more ranges", len(list)-i))
			break
		}
		text = append(text, s.String())
	}
	return "the entries with LSN " + strings.Join(text, ", ")
}

func (s LSNSpan) String() string { return fmt.Sprintf("%d to %d", s.First, s.Last) }
