package wal_test

import (
	"fmt"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	wal "github.com/chronik-go/wal/core"
	"github.com/chronik-go/wal/core/backend/sim"
)

// once appends so many values of a producer from a sequence number on, and demands the offset.
func once(t tester, p *wal.Partition, producer uint64, sequence int64, n int, want int64) wal.Ack {
	t.Helper()
	var records []wal.Record
	for i := range n {
		records = append(records, record("%d of %d", sequence+int64(i), producer))
	}
	ack, err := p.AppendOnce(bg, producer, sequence, records...)
	require.NoError(t, err)
	require.Equal(t, want, ack.Offset())
	require.NoError(t, ack.Wait(bg))
	return ack
}

func requireNext(t tester, p *wal.Partition, producer uint64, want int64) {
	t.Helper()
	next, ok := p.NextSequence(producer)
	require.Equal(t, want >= 0, ok)
	require.Equal(t, max(0, want), next)
}

// What was appended before is not appended again; the offset told is that of the first time,
// for all that the producer has appended without others between.
func TestAppendOnce(t *testing.T) {
	disk := newDisk(t, sim.Options{})
	m := open(t, disk)
	p := partition(t, m, "t", 0)
	requireNext(t, p, 7, -1)
	require.False(t, once(t, p, 7, 100, 2, 0).Duplicate(), "an unknown producer begins with any number")
	once(t, p, 7, 102, 3, 2)
	requireNext(t, p, 7, 105)
	repeat := func(p *wal.Partition) {
		for sequence, offset := range map[int64]int64{100: 0, 101: 1, 102: 2, 104: 4} {
			require.True(t, once(t, p, 7, sequence, 1, offset).Duplicate())
		}
		require.True(t, once(t, p, 7, 99, 1, -1).Duplicate(), "before what is known")
		require.True(t, once(t, p, 7, 101, 3, 1).Duplicate(), "with other bounds of batches")
		require.EqualValues(t, 5, p.NextOffset())
		requireNext(t, p, 7, 105)
	}
	repeat(p)
	for _, x := range []struct {
		sequence int64
		n        int
	}{{106, 1}, {200, 2}, {104, 2}} { // a gap, and what is there in part
		_, err := p.AppendOnce(bg, 7, x.sequence, make([]wal.Record, x.n)...)
		var wrong *wal.SequenceError
		require.ErrorAs(t, err, &wrong)
		require.ErrorIs(t, err, wal.ErrSequence)
		require.Equal(t, wal.SequenceError{Topic: "t", Producer: 7, Sequence: x.sequence, Next: 105}, *wrong)
	}
	for _, bad := range []struct {
		producer uint64
		sequence int64
	}{{0, 1}, {7, -1}, {7, 1<<63 - 1}} {
		_, err := p.AppendOnce(bg, bad.producer, bad.sequence, record("bad"))
		require.ErrorIs(t, err, wal.ErrInvalid)
	}
	repeat(lookup(t, open(t, crash(t, disk)), "t", 0))
	require.NoError(t, m.Close())
	m = open(t, disk) // by the footer
	repeat(lookup(t, m, "t", 0))
	once(t, lookup(t, m, "t", 0), 7, 105, 1, 5)

	ro := openReadOnly(t, disk)
	requireNext(t, lookup(t, ro, "t", 0), 7, 106)
	once(t, lookup(t, m, "t", 0), 7, 106, 1, 6)
	require.NoError(t, ro.Refresh(bg))
	requireNext(t, lookup(t, ro, "t", 0), 7, 107)
	_, err := lookup(t, ro, "t", 0).AppendOnce(bg, 7, 106, record("x"))
	require.ErrorIs(t, err, wal.ErrReadOnly)
}

// Producers that take turns do not mix, and one that was interrupted is known by its last row.
func TestAppendOnceOfSeveralProducers(t *testing.T) {
	m := open(t, newDisk(t, sim.Options{}))
	p := partition(t, m, "t", 0)
	once(t, p, 1, 0, 2, 0)
	once(t, p, 2, 0, 1, 2)
	appendOne := func() { _, err := p.Append(bg, record("of nobody")); require.NoError(t, err) }
	appendOne()
	once(t, p, 1, 2, 1, 4)
	require.True(t, once(t, p, 1, 0, 2, -1).Duplicate(), "it is there, where is not known any more")
	require.True(t, once(t, p, 1, 2, 1, 4).Duplicate())
	require.True(t, once(t, p, 2, 0, 1, 2).Duplicate())
	require.False(t, once(t, partition(t, m, "t", 1), 1, 0, 1, 0).Duplicate(), "each partition has its own numbers")
	require.EqualValues(t, 5, p.NextOffset())
}

// A repetition is not acknowledged before what it repeats, and fails with it.
func TestAppendOnceWhileItIsUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := newDisk(t, sim.Options{})
		m := open(t, disk)
		p := partition(t, m, "t", 0)
		once(t, p, 7, 0, 1, 0)
		disk.Stall()
		first, err := p.AppendOnce(bg, 7, 1, record("a"))
		require.NoError(t, err)
		again, err := p.AppendOnce(bg, 7, 1, record("a"))
		require.NoError(t, err)
		require.True(t, again.Duplicate())
		require.Equal(t, first.Offset(), again.Offset())
		done := run(func() error { return again.Wait(bg) })
		synctest.Wait()
		require.Empty(t, done)
		requireNext(t, p, 7, 1)
		disk.Resume()
		require.NoError(t, <-done)
		requireNext(t, p, 7, 2)

		disk.Inject(sim.Fault{Op: sim.OpWrite, Name: anySegment, Err: errNoSpace})
		first, err = p.AppendOnce(bg, 7, 2, record("b"))
		require.NoError(t, err)
		again, err = p.AppendOnce(bg, 7, 2, record("b"))
		require.NoError(t, err)
		require.ErrorIs(t, first.Wait(bg), wal.ErrNoSpace)
		require.ErrorIs(t, again.Wait(bg), wal.ErrNoSpace)
		require.False(t, once(t, p, 7, 2, 1, 2).Duplicate(), "it never got into the log")
	})
}

// What TruncateAfter drops may be appended again; what TruncateBefore drops is not.
func TestAppendOnceAndTruncation(t *testing.T) {
	disk := newDisk(t, sim.Options{})
	m := open(t, disk)
	p := partition(t, m, "t", 0)
	once(t, p, 7, 0, 6, 0)
	once(t, p, 8, 0, 2, 6)
	require.NoError(t, p.TruncateBefore(bg, 3))
	require.NoError(t, p.TruncateAfter(bg, 4))
	check := func(p *wal.Partition) {
		requireNext(t, p, 7, 5)
		requireNext(t, p, 8, -1)
		require.True(t, once(t, p, 7, 1, 1, 1).Duplicate())
		_, err := p.AppendOnce(bg, 7, 6, record("a gap"))
		require.ErrorIs(t, err, wal.ErrSequence)
	}
	check(p)
	check(lookup(t, open(t, crash(t, disk)), "t", 0))
	require.NoError(t, m.Close())
	p = lookup(t, open(t, disk), "t", 0)
	check(p)
	once(t, p, 7, 5, 1, 5)
	once(t, p, 8, 0, 1, 6)
}

// A partition knows so many producers, whatever becomes of the segments in which they appended.
func TestProducersOutliveSegments(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := newDisk(t, sim.Options{})
		m := open(t, disk, small)
		p, busy := partition(t, m, "t", 0), partition(t, m, "busy", 0)
		const more = 3
		for id := range uint64(wal.MaxProducers + more) {
			once(t, p, id+1, 5, 1, int64(id))
		}
		require.NoError(t, p.TruncateBefore(bg, p.NextOffset()))
		first := segments(t, m)[0].Number
		for segments(t, m)[0].Number < first+4 {
			churn(t, busy, 60)
		}
		check := func(m *wal.Manager) {
			p := lookup(t, m, "t", 0)
			for id := range uint64(wal.MaxProducers + more) {
				if id < more {
					requireNext(t, p, id+1, -1)
					continue
				}
				requireNext(t, p, id+1, 6)
				if m != nil && id%7 == 0 {
					require.True(t, once(t, p, id+1, 5, 1, int64(id)).Duplicate())
				}
			}
		}
		check(m)
		check(open(t, crash(t, disk)))
		require.NoError(t, m.Close())
		check(open(t, disk))
	})
}

// A repair keeps what is known of producers, whichever segment is damaged, but for those whose
// newest append it takes.
func TestProducersAndRepair(t *testing.T) {
	for _, damaged := range []int{1, 2, 3} {
		disk := newDisk(t, sim.Options{})
		m := open(t, disk, small)
		p, other := partition(t, m, "t", 0), partition(t, m, "other", 0)
		for i := range int64(80) {
			once(t, p, 7, i, 1, i)
			_, err := other.Append(bg, big(400, 'x'))
			require.NoError(t, err)
		}
		require.NoError(t, m.Close())
		require.Greater(t, len(names(disk, ".wal")), 3)
		require.NoError(t, disk.Edit(segmentFile(damaged), func(b []byte) []byte {
			b[len(b)/2]++
			b[len(b)-1]++ // nor is the footer left
			return b
		}))
		require.NotEmpty(t, repair(t, disk).Damage)
		for _, item := range dump(t, disk, uint64(damaged)) {
			require.Empty(t, item.Error, fmt.Sprint(item))
		}
		p = lookup(t, open(t, disk), "t", 0)
		requireNext(t, p, 7, 80)
		require.True(t, once(t, p, 7, 79, 1, 79).Duplicate())
		once(t, p, 7, 80, 1, 80)
	}
}
