package wal_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	wal "github.com/chronik-go/wal/core"
	"github.com/chronik-go/wal/core/backend/sim"
	"github.com/chronik-go/wal/core/format"
)

// A declared gap is cut off and filled with records, and damage takes both. What comes behind
// it, and tells of less gap than there was, shows that there were records: they are lost, and
// one repair is enough to say so.
func TestRepairOfAFilledGap(t *testing.T) {
	for name, behind := range map[string]func(t *testing.T, p *wal.Partition){
		"append":           func(t *testing.T, p *wal.Partition) { appendValues(t, p, 1) },
		"cut at the end":   func(t *testing.T, p *wal.Partition) { require.NoError(t, p.TruncateAfter(bg, p.NextOffset()-1)) },
		"cut of one":       func(t *testing.T, p *wal.Partition) { require.NoError(t, p.TruncateAfter(bg, p.NextOffset()-2)) },
		"start in the gap": func(t *testing.T, p *wal.Partition) { require.NoError(t, p.TruncateBefore(bg, p.NextOffset()-1)) },
	} {
		for _, filled := range []int{2, 4, 6} { // of the gap's four offsets; six reach beyond it
			for _, declared := range []bool{true, false} { // what is behind the damage, in another segment or not
				disk := newDisk(t, sim.Options{})
				m := open(t, disk)
				p := partition(t, m, "t", 0)
				appendValues(t, p, 6)
				appendAt(t, p, 10, 5)
				reopen := func() {
					require.NoError(t, m.Close())
					m = open(t, disk)
					p = lookup(t, m, "t", 0)
				}
				reopen()
				require.NoError(t, p.TruncateAfter(bg, 5))
				appendAt(t, p, 6, filled) // one batch
				if declared {
					reopen()
				}
				next := p.NextOffset()
				behind(t, p)
				first, next := p.FirstOffset(), min(next, p.NextOffset())
				require.NoError(t, m.Close())
				if declared {
					require.NoError(t, disk.Truncate(segmentFile(2), 1))
				} else {
					require.NoError(t, disk.Edit(segmentFile(2), func(b []byte) []byte {
						b[len(b)-1]++ // the footer would tell what is lost
						require.Equal(t, 2, spoilFrames(t, b, func(e format.Entry) bool { return e.Kind != format.KindDeclare && e.Base == 6 }))
						return b
					}))
				}
				report, err := wal.Repair(bg, dataDir, wal.RepairOptions{Quarantine: "/q"}, wal.WithBackend(disk))
				require.NoError(t, err, "%s, %d filled", name, filled)
				m = open(t, disk)
				p = lookup(t, m, "t", 0)
				lost := report.Lost
				if filled > 4 || !declared && !strings.HasPrefix(name, "cut") {
					first = 10 // nothing tells of the gap: only that entries are lost is known
				}
				for o := max(first, 6); o < min(next, 10); o++ {
					require.Len(t, lost, 1, "%s, %d filled, declared %v: offset %d", name, filled, declared, o)
					require.True(t, lost[0].From <= o && o < lost[0].To, "%s, %d filled, declared %v: offset %d of %v %v", name, filled, declared, o, lost, report.Actions)
					var told *wal.LostError
					require.ErrorAs(t, readError(p, o), &told)
				}
				require.NoError(t, m.Close())
			}
		}
	}
}
