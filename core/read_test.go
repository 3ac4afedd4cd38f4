package wal_test

import (
	"context"
	"iter"
	"math"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	wal "github.com/chronik-go/wal/core"
	"github.com/chronik-go/wal/core/backend/sim"
)

// A partition can be read from each of its offsets, from batches of any size in several
// segments, while others stand between.
func TestReadFromAnyOffset(t *testing.T) {
	disk := newDisk(t, sim.Options{Depth: 4})
	m := open(t, disk, small)
	p, other := partition(t, m, "t", 0), partition(t, m, "other", 0)
	var batch []wal.Record
	for n := int64(0); n < 200; n += int64(len(batch)) {
		batch = batch[:0]
		for i := range n%7 + 1 {
			batch = append(batch, valueAt(n+i))
		}
		_, err := p.Append(bg, batch...)
		require.NoError(t, err)
		appendValues(t, other, 1)
	}
	end := p.NextOffset()
	check := func(m *wal.Manager) {
		p := lookup(t, m, "t", 0)
		for from := int64(0); from <= end; from += 2*every - 1 {
			requireValues(t, p, from, end)
		}
	}
	check(m)
	after := open(t, crash(t, disk))
	check(after)
	require.NoError(t, m.Close())
	check(open(t, disk))
}

// Outside of what there is nothing is read, and nothing is skipped in silence.
func TestReadOutOfRange(t *testing.T) {
	disk := newDisk(t, sim.Options{})
	m := open(t, disk)
	p := partition(t, m, "t", 0)
	for range 2 {
		for _, from := range []int64{-1, 1, math.MinInt64, math.MaxInt64} {
			require.ErrorIs(t, readError(p, p.NextOffset()+from), wal.ErrOffsetOutOfRange)
		}
		require.Empty(t, offsets(t, p, p.NextOffset()))
		appendValues(t, p, 10)
		require.NoError(t, p.TruncateBefore(bg, 10))
	}
	require.ErrorIs(t, readError(p, 9), wal.ErrOffsetOutOfRange)
	require.Len(t, offsets(t, p, 10), 10)
	require.Len(t, offsets(t, p, 19), 1)
}

// The records that a reader yields are the caller's: what comes later does not change
// them, and changing them changes nothing else.
func TestReadRecordsAreTheCallers(t *testing.T) {
	disk := newDisk(t, sim.Options{})
	m := open(t, disk, wal.WithBufferSize(32<<10))
	p := partition(t, m, "t", 0)
	appendSlow(t, p, 100)
	var list []wal.Record
	for r, err := range p.Read(bg, 0) {
		require.NoError(t, err)
		list = append(list, r)
		appendSlow(t, p, 1) // the memory that the record came from is used again
		if len(list) == 100 {
			break
		}
	}
	for i, r := range list {
		want := slowRecord(int64(i))
		want.Offset = int64(i)
		require.Equal(t, want, r)
		clear(r.Key)
		clear(r.Headers[0].Value)
	}
	requireSlow(t, p, 0, 200)
}

func TestReadEndsWithContext(t *testing.T) {
	disk := newDisk(t, sim.Options{})
	m := open(t, disk)
	p := partition(t, m, "t", 0)
	appendValues(t, p, 500)
	ctx, cancel := context.WithCancel(bg)
	defer cancel()
	n := 0
	var last error
	for _, err := range p.Read(ctx, 0) {
		if n++; n == 100 {
			cancel()
		}
		last = err
	}
	require.ErrorIs(t, last, context.Canceled)
	require.Less(t, n, 200)
	for _, err := range p.Read(ctx, 0) {
		require.ErrorIs(t, err, context.Canceled)
	}
	for _, err := range m.Replay(ctx) {
		require.ErrorIs(t, err, context.Canceled)
	}
}

// What is truncated while it is read ends the reading: no truncated record is yielded
// any more, also if there are others at its offset by then.
func TestTruncationEndsReaders(t *testing.T) {
	for name, c := range map[string]struct {
		truncate func(p *wal.Partition) error
		more     int // records appended afterwards
	}{
		"before":                  {func(p *wal.Partition) error { return p.TruncateBefore(bg, 50) }, 0},
		"before, all":             {func(p *wal.Partition) error { return p.TruncateBefore(bg, 100) }, 0},
		"before, append":          {func(p *wal.Partition) error { return p.TruncateBefore(bg, 100) }, 50},
		"after":                   {func(p *wal.Partition) error { return p.TruncateAfter(bg, 5) }, 0},
		"after, append":           {func(p *wal.Partition) error { return p.TruncateAfter(bg, 5) }, 200},
		"after, append, again":    {truncateTwice, 200},
		"after all, append":       {func(p *wal.Partition) error { return p.TruncateAfter(bg, -1) }, 200},
		"before and after, equal": {truncateBoth, 200},
	} {
		for _, follow := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					disk := newDisk(t, sim.Options{})
					m := open(t, disk, small)
					p := partition(t, m, "t", 0)
					appendValues(t, p, 100)
					read := p.Read
					if follow {
						read = p.Follow
					}
					for _, at := range []int64{10, 40} {
						next, stop := iter.Pull2(read(bg, 0))
						for o := range at {
							r, err, ok := next()
							require.True(t, ok)
							require.NoError(t, err)
							require.Equal(t, o, r.Offset)
						}
						if at == 10 {
							stop()
							continue
						}
						require.NoError(t, c.truncate(p))
						for range c.more {
							_, err := p.Append(bg, record("new"))
							require.NoError(t, err)
						}
						_, err, ok := next()
						require.True(t, ok)
						require.ErrorIs(t, err, wal.ErrOffsetOutOfRange)
						_, _, ok = next()
						require.False(t, ok)
						stop()
					}
				})
			})
		}
	}
}

func truncateTwice(p *wal.Partition) error {
	if err := p.TruncateAfter(bg, 5); err != nil {
		return err
	}
	appendAndTruncateAfter(p, 60, 30)
	return nil
}

func truncateBoth(p *wal.Partition) error {
	if err := p.TruncateBefore(bg, 30); err != nil {
		return err
	}
	return p.TruncateAfter(bg, 35)
}

func appendAndTruncateAfter(p *wal.Partition, n int, after int64) {
	for range n {
		must(p.Append(bg, record("new")))
	}
	if err := p.TruncateAfter(bg, after); err != nil {
		panic(err)
	}
}

// A truncation that leaves alone what is being read does not disturb it.
func TestTruncationElsewhereLetsReadersBe(t *testing.T) {
	disk := newDisk(t, sim.Options{})
	m := open(t, disk, small)
	p := partition(t, m, "t", 0)
	appendValues(t, p, 100)
	next := int64(0)
	for r, err := range p.Read(bg, 0) {
		require.NoError(t, err)
		require.Equal(t, next, r.Offset)
		next++
		require.NoError(t, p.TruncateBefore(bg, next))
		if next%10 == 0 {
			require.NoError(t, p.TruncateAfter(bg, max(next, 100-next)))
		}
		if next > 49 {
			break
		}
	}
	require.EqualValues(t, 50, next)
}

// ReadFrom begins with the first record that is not older, whatever the order of the
// timestamps, and yields all that follow it.
func TestReadFromAgainstModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		disk := newDisk(t, sim.Options{})
		m := open(t, disk, small, aLittle)
		p, busy := partition(t, m, "t", 0), partition(t, m, "busy", 0)
		times := map[int64]int64{}
		disorder := rapid.Int64Range(0, 50).Draw(t, "disorder")
		for range rapid.IntRange(0, 12).Draw(t, "steps") {
			switch rapid.SampledFrom([]string{"append", "append", "large", "after", "before", "busy"}).Draw(t, "step") {
			case "append", "large":
				n := rapid.IntRange(1, 30).Draw(t, "records")
				var batch []wal.Record
				next := p.NextOffset()
				for i := range int64(n) {
					at := (next+i)*10 + rapid.Int64Range(-disorder, disorder).Draw(t, "time")*10
					times[next+i] = at
					batch = append(batch, wal.Record{Timestamp: time.Unix(at, 0), Value: make([]byte, 1000)})
				}
				_, err := p.Append(bg, batch...)
				require.NoError(t, err)
			case "after":
				at := rapid.Int64Range(p.FirstOffset()-1, p.NextOffset()-1).Draw(t, "after")
				require.NoError(t, p.TruncateAfter(bg, at))
			case "before":
				at := rapid.Int64Range(p.FirstOffset(), p.NextOffset()).Draw(t, "before")
				require.NoError(t, p.TruncateBefore(bg, at))
			case "busy":
				appendAndTruncate(busy, 60)
			}
		}
		check := func(p *wal.Partition) {
			for _, at := range rapid.SliceOfN(rapid.Int64Range(-600, 4000), 5, 5).Draw(t, "from") {
				var want, got []int64
				for o := p.FirstOffset(); o < p.NextOffset(); o++ {
					if len(want) > 0 || times[o] >= at {
						want = append(want, o)
					}
				}
				for r, err := range p.ReadFrom(bg, time.Unix(at, 0)) {
					require.NoError(t, err)
					got = append(got, r.Offset)
				}
				require.Equal(t, want, got, "from %d on", at)
			}
		}
		check(p)
		require.NoError(t, m.Close())
		m = open(t, disk, small)
		if p, err := m.Lookup("t", 0); err == nil {
			check(p)
		}
		require.NoError(t, m.Close())
	})
}

func TestReadFromExtremes(t *testing.T) {
	disk := newDisk(t, sim.Options{})
	m := open(t, disk)
	p := partition(t, m, "t", 0)
	for _, err := range p.ReadFrom(bg, time.Now()) {
		require.NoError(t, err)
		t.Fatal("nothing is there")
	}
	for _, at := range []int64{-5, 0, 5} {
		_, err := p.Append(bg, wal.Record{Timestamp: time.Unix(at, 0)})
		require.NoError(t, err)
	}
	for _, c := range []struct {
		at   time.Time
		want int
	}{
		{time.Time{}, 3}, {time.Unix(-1<<40, 0), 3}, {time.Unix(-5, 0), 3}, {time.Unix(-5, 1), 2},
		{time.Unix(5, 0), 1}, {time.Unix(5, 1), 0}, {time.Unix(1<<40, 0), 0},
	} {
		n := 0
		for _, err := range p.ReadFrom(bg, c.at) {
			require.NoError(t, err)
			n++
		}
		require.Equal(t, c.want, n, "%v", c.at)
	}
}

// Replay yields what the partitions hold, each record once and each partition in order.
func TestReplayIsTheUnionOfPartitions(t *testing.T) {
	disk := newDisk(t, sim.Options{Depth: 4})
	m := open(t, disk, small)
	fill(t, m, 4, 80)
	require.NoError(t, lookup(t, m, "t", 1).TruncateBefore(bg, 30))
	require.NoError(t, lookup(t, m, "t", 2).TruncateAfter(bg, 40))
	appendValues(t, lookup(t, m, "t", 2), 3)
	require.NoError(t, lookup(t, m, "t", 3).TruncateBefore(bg, 80))
	appendAt(t, lookup(t, m, "t", 0), 100, 3)
	check := func(m *wal.Manager) {
		want, got := collect(t, m), map[string]map[int64]string{"t/3": {}}
		last := map[string]int64{}
		for e, err := range m.Replay(bg) {
			require.NoError(t, err)
			p := lookup(t, m, e.Topic, e.Partition).String()
			if got[p] == nil {
				got[p] = map[int64]string{}
				last[p] = -1
			}
			require.Greater(t, e.Offset, last[p])
			last[p] = e.Offset
			got[p][e.Offset] = string(e.Value)
		}
		require.Equal(t, want, got)
	}
	check(m)
	require.NoError(t, m.Close())
	check(open(t, disk))
	check(open(t, disk, wal.WithReadOnly()))
}

// A reader at the end of the log gets what comes from memory, also when there is more than
// the memory holds behind it; one further back reads from disk.
func TestTailIsReadFromMemory(t *testing.T) {
	disk := newDisk(t, sim.Options{})
	m := open(t, disk, wal.WithBufferSize(32<<10), wal.WithSegmentSize(1<<20))
	p := partition(t, m, "t", 0)
	appendValues(t, p, 200)
	next, stop := iter.Pull2(p.Follow(bg, 0))
	defer stop()
	read := func(from, to int64) {
		for o := from; o < to; o++ {
			r, err, ok := next()
			require.True(t, ok)
			require.NoError(t, err)
			require.Equal(t, o, r.Offset)
			require.Equal(t, string(valueAt(o).Value), string(r.Value))
		}
	}
	read(0, 200)
	before := m.Stats()
	require.Positive(t, before.DiskReads)
	disk.Inject(sim.Fault{Op: sim.OpRead, Times: sim.Forever})
	for o := int64(200); o < 400; o += 4 {
		appendValues(t, p, 4)
		read(o, o+4)
	}
	after := m.Stats()
	require.EqualValues(t, 200, after.MemoryReads-before.MemoryReads, "a frame each")
	require.Equal(t, before.DiskReads, after.DiskReads)
	require.Error(t, readError(p, 0))
}

// No reader sees a record that is not acknowledged: not while it is being written, nor
// after its write failed.
func TestUnacknowledgedRecordsAreInvisible(t *testing.T) {
	for _, depth := range []int{1, 4} {
		synctest.Test(t, func(t *testing.T) {
			disk := newDisk(t, sim.Options{Depth: depth})
			m := open(t, disk)
			p := partition(t, m, "t", 0)
			appendValues(t, p, 3)
			disk.Stall()
			var acks []wal.Ack
			for i := range int64(6) {
				ack, err := p.AppendAsync(bg, valueAt(3+i))
				require.NoError(t, err)
				acks = append(acks, ack)
				synctest.Wait()
				requireValues(t, p, 0, 3)
				n := 0
				for _, err := range m.Replay(bg) {
					require.NoError(t, err)
					n++
				}
				require.Equal(t, 3, n)
				require.EqualValues(t, 3, m.Partitions()[0].NextOffset)
			}
			ctx, cancel := context.WithCancel(bg)
			var seen recorder[int64]
			done := run(func() error {
				for r, err := range p.Follow(ctx, 0) {
					if err != nil {
						return err
					}
					seen.add(r.Offset)
				}
				return nil
			})
			synctest.Wait()
			require.Len(t, seen.all(), 3)
			disk.Resume()
			for _, ack := range acks {
				require.NoError(t, ack.Wait(bg))
			}
			synctest.Wait()
			require.Len(t, seen.all(), 9)
			cancel()
			require.ErrorIs(t, <-done, context.Canceled)
		})
	}
}

// A reader may stop anywhere, and go on elsewhere.
func TestReadersStop(t *testing.T) {
	disk := newDisk(t, sim.Options{})
	m := open(t, disk, small)
	p := partition(t, m, "t", 0)
	appendValues(t, p, 100)
	for stop := range int64(100) {
		var got []int64
		for r, err := range p.Read(bg, 0) {
			require.NoError(t, err)
			got = append(got, r.Offset)
			if r.Offset == stop {
				break
			}
		}
		require.Len(t, got, int(stop)+1)
		require.True(t, slices.IsSorted(got))
	}
}
