package wal

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/chronik-go/wal/core/format"
)

// What is shown at once are batches of one partition that follow each other, and nothing else: a
// gap, a truncation or a moved batch between them is an entry of its own.
func TestRunsOfAGroup(t *testing.T) {
	a, b := new(Partition), new(Partition)
	batch := func(p *Partition, base int64, count int) entry {
		return entry{part: p, Entry: format.Entry{Kind: format.KindData, Base: base, Count: count}}
	}
	gap := batch(a, 9, 1)
	gap.Gap = 4
	moved := batch(a, 5, 1)
	moved.Flags = format.FlagMoved
	cut := entry{part: a, Entry: format.Entry{Kind: format.KindTruncateAfter, Base: 5}}
	together := batch(a, 5, 1)
	together.Flags = format.FlagTransaction
	before := entry{part: a, Entry: format.Entry{Kind: format.KindTruncateBefore, Base: 5}}
	for name, x := range map[string]struct {
		entries []entry
		ends    []int
	}{
		"one producer's":     {[]entry{batch(a, 0, 2), batch(a, 2, 1), batch(a, 3, 2)}, []int{3}},
		"two partitions":     {[]entry{batch(a, 0, 2), batch(b, 2, 1), batch(a, 2, 3)}, []int{1, 2, 3}},
		"a gap":              {[]entry{batch(a, 0, 5), gap, batch(a, 10, 1)}, []int{1, 3}},
		"a moved batch":      {[]entry{batch(a, 0, 5), moved, batch(a, 6, 1)}, []int{1, 2, 3}},
		"a truncation after": {[]entry{batch(a, 0, 5), cut, batch(a, 5, 1)}, []int{1, 2, 3}},
		"two truncations":    {[]entry{before, before}, []int{1, 2}},
		"a transaction":      {[]entry{batch(a, 0, 2), batch(a, 2, 1), batch(a, 3, 2), together}, []int{2, 3, 4}},
		"offsets come again": {[]entry{batch(a, 0, 5), batch(a, 0, 5)}, []int{1, 2}},
	} {
		t.Run(name, func(t *testing.T) {
			g := &group{entries: x.entries}
			var ends []int
			for from := 0; from < len(g.entries); {
				from = g.runEnd(from)
				ends = append(ends, from)
			}
			require.Equal(t, x.ends, ends)
		})
	}
}
