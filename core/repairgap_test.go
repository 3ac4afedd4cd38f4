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

// What a repair has said of such a gap is no damage to the next repair: that one mends what is
// damaged elsewhere, and takes nothing that is sound.
func TestRepairAfterARepairedGap(t *testing.T) {
	disk := newDisk(t, sim.Options{})
	m := open(t, disk)
	appendValues(t, partition(t, m, "t", 0), 6)
	appendAt(t, partition(t, m, "t", 0), 10, 5)
	appendValues(t, partition(t, m, "other", 0), 1)
	appendValues(t, partition(t, m, "other", 0), 1)
	require.NoError(t, m.Close())
	m = open(t, disk)
	p := lookup(t, m, "t", 0)
	require.NoError(t, p.TruncateAfter(bg, 5))
	appendAt(t, p, 6, 4)
	require.NoError(t, p.TruncateAfter(bg, 8))
	appendValues(t, partition(t, m, "sound", 0), 1)
	require.NoError(t, m.Close())
	spoil := func(segment int, match func(format.Entry) bool) {
		require.NoError(t, disk.Edit(segmentFile(segment), func(b []byte) []byte {
			b[len(b)-1]++
			require.Positive(t, spoilFrames(t, b, match))
			return b
		}))
	}
	lost := wal.PartitionSpan{Topic: "t", From: 6, To: 9}
	spoil(2, func(e format.Entry) bool { return e.Kind != format.KindDeclare && e.Base == 6 })
	require.Equal(t, []wal.PartitionSpan{lost}, repair(t, disk).Lost)
	spoil(1, func(e format.Entry) bool { return e.Kind == format.KindData && e.Partition == 2 && e.Base == 0 })
	require.Equal(t, []wal.PartitionSpan{{Topic: "other", To: 1}}, repair(t, disk).Lost)
	m = open(t, disk)
	requireValues(t, lookup(t, m, "sound", 0), 0, 1)
	p = lookup(t, m, "t", 0)
	require.EqualValues(t, 9, p.NextOffset())
	var told *wal.LostError
	require.ErrorAs(t, readError(p, 6), &told)
	require.Equal(t, lost, told.PartitionSpan)
}

// A gap that is smaller since its beginning was truncated, by an entry that is lost, had no
// records.
func TestRepairOfATruncatedGap(t *testing.T) {
	disk := newDisk(t, sim.Options{})
	m := open(t, disk)
	p := partition(t, m, "t", 0)
	appendValues(t, p, 6)
	appendAt(t, p, 10, 5)
	appendValues(t, partition(t, m, "other", 0), 1) // keeps the segment
	reopen := func() {
		require.NoError(t, m.Close())
		m = open(t, disk)
		p = lookup(t, m, "t", 0)
	}
	reopen()
	require.NoError(t, p.TruncateAfter(bg, 7))
	require.NoError(t, p.TruncateBefore(bg, 7))
	reopen()
	appendValues(t, p, 1)
	require.NoError(t, m.Close())
	require.NoError(t, disk.Truncate(segmentFile(2), 1))
	require.Empty(t, repair(t, disk).Lost)
	p = lookup(t, open(t, disk), "t", 0)
	require.Equal(t, []int64{8}, offsets(t, p, 7))
}
