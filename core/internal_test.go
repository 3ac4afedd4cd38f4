package wal

import (
	"math"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/chronik-go/wal/core/backend"
	"github.com/chronik-go/wal/core/format"
)

// pass lets n nanoseconds of a bubble's time pass.
func pass(t *testing.T, n time.Duration) {
	t.Helper()
	<-time.After(n)
}

// Each duration falls into one bucket whose bound is above it by at most an eighth.
func TestHistogramBuckets(t *testing.T) {
	last := histogramBound(histogramSlots - 1)
	require.InDelta(t, 70, last.Minutes(), 5, "as the comment says")
	rapid.Check(t, func(t *rapid.T) {
		d := time.Duration(rapid.Int64Range(0, int64(last)-1).Draw(t, "duration"))
		slot := histogramSlot(d)
		require.Less(t, d, histogramBound(slot))
		if slot > 0 {
			require.GreaterOrEqual(t, d, histogramBound(slot-1))
		}
		require.LessOrEqual(t, histogramBound(slot), max(d+d/8, d)+2*time.Microsecond)
	})
	for slot := 1; slot < histogramSlots; slot++ {
		require.Greater(t, histogramBound(slot), histogramBound(slot-1))
		require.Equal(t, slot, histogramSlot(histogramBound(slot-1)))
	}
	for _, d := range []time.Duration{-1, math.MinInt64} {
		require.Zero(t, histogramSlot(d))
	}
	require.Equal(t, histogramSlots-1, histogramSlot(math.MaxInt64))
}

// A snapshot has all that was recorded, and its quantiles are those of the durations, to
// an eighth.
func TestHistogramAgainstModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		list := rapid.SliceOfN(rapid.Int64Range(0, int64(time.Minute)), 1, 200).Draw(t, "durations")
		var a, b histogram
		sum, most := time.Duration(0), time.Duration(0)
		for i, n := range list {
			d := time.Duration(n)
			[]*histogram{&a, &b}[i%2].record(d)
			sum, most = sum+d, max(most, d)
		}
		a.merge(&b)
		s := a.snapshot()
		require.EqualValues(t, len(list), s.Count)
		require.Equal(t, sum, s.Sum)
		require.Equal(t, most, s.Max)
		count, last := uint64(0), time.Duration(0)
		for _, x := range s.Buckets {
			require.Greater(t, x.UpTo, last)
			require.Positive(t, x.Count)
			count, last = count+x.Count, x.UpTo
		}
		require.Equal(t, s.Count, count)
		for _, q := range []float64{0, 0.01, 0.5, 0.9, 0.99, 1} {
			got := s.Quantile(q)
			below := 0
			for _, n := range list {
				if time.Duration(n) <= got {
					below++
				}
			}
			require.GreaterOrEqual(t, float64(below), q*float64(len(list)))
			require.LessOrEqual(t, got, most)
		}
		require.Equal(t, most, s.Quantile(1))
	})
	require.Zero(t, Histogram{}.Quantile(0.5))
}

// The ring hands out space that nothing else uses: not a group that is not done, nor one
// that a reader copies from. It is all there again once they are.
func TestRing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const size = 64 << 10
		slab := &backend.Buffer{Bytes: make([]byte, size)}
		depth := rapid.IntRange(1, maxDepth).Draw(t, "depth")
		r := newRing(slab, size, depth)
		require.LessOrEqual(t, r.full*depth, r.batchMax())
		var open *group
		var busy []*group // closed, not done, or being read
		seg := &segment{}
		seg.Number = 1
		position := int64(0)
		check := func() {
			owner := make([]int, size/format.MaxAlignment)
			for i, g := range r.groups {
				if g.large != nil || g.buf == nil || g.done && g.readers == 0 {
					continue
				}
				at := int(g.start%size) / format.MaxAlignment
				for b := range len(g.buf) / format.MaxAlignment {
					require.Zero(t, owner[at+b], "block %d has two owners", at+b)
					owner[at+b] = i + 1
				}
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"open": func(t *rapid.T) {
				if open != nil {
					return
				}
				need := rapid.IntRange(200, r.batchMax()).Draw(t, "need")
				if open = r.open(need, 1); open != nil {
					require.GreaterOrEqual(t, len(open.buf), need)
					require.LessOrEqual(t, len(open.buf), max(r.full, need+format.MaxAlignment-1))
					open.n += rapid.IntRange(1, need-format.FrameHeaderSize-format.EntrySize).Draw(t, "used")
					open.entries = append(open.entries, entry{})
				} else {
					require.NotEmpty(t, busy, "there is no space, and nobody has it")
				}
			},
			"close": func(*rapid.T) {
				if open != nil {
					r.close(open)
					busy = append(busy, open)
					open = nil
				}
			},
			"finish": func(t *rapid.T) {
				for i, g := range busy {
					if !g.done {
						g.seg, g.position, g.frame = seg, position, g.buf
						position += int64(len(g.buf))
						r.finish(g)
						if g.readers == 0 {
							busy = append(busy[:i:i], busy[i+1:]...)
						}
						found := r.find(seg, g.position)
						require.Same(t, g, found)
						return
					}
				}
			},
			"read": func(t *rapid.T) {
				for _, g := range r.groups {
					if g.done && g.readers == 0 && g.frame != nil {
						require.Same(t, g, r.find(seg, g.position))
						g.readers++
						busy = append(busy, g)
						return
					}
				}
			},
			"end read": func(*rapid.T) {
				for i, g := range busy {
					if g.done && g.readers > 0 {
						g.readers--
						busy = append(busy[:i:i], busy[i+1:]...)
						return
					}
				}
			},
			"": func(*rapid.T) { check() },
		})
	})
}

func TestCuts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var c cuts
		type event struct{ next, first int64 }
		events := []event{{math.MaxInt64, 0}} // by number
		first := int64(0)
		for range rapid.IntRange(0, 30).Draw(t, "events") {
			at := rapid.Int64Range(first, 40).Draw(t, "at")
			if rapid.Bool().Draw(t, "before") {
				first = at
				c.before(at)
				events = append(events, event{math.MaxInt64, first})
			} else {
				c.after(at)
				events = append(events, event{at, first})
			}
			require.EqualValues(t, len(events)-1, c.count)
			for number := range events {
				want := int64(math.MaxInt64)
				for _, e := range events[number+1:] {
					want = min(want, e.next)
				}
				require.Equal(t, max(want, first), c.since(uint64(number)))
			}
		}
	})
}

// However long a disk stays full, remembering what failed takes no memory; and what became of
// each append is still told.
func TestRollbacksAreBounded(t *testing.T) {
	full, dead := noSpace(syscall.ENOSPC), ErrFailed
	var r rollbacks
	for g := range uint32(1000) {
		r.add(g, 5, full)
	}
	r.add(1000, 9, full)
	r.add(1001, 9, dead)
	require.Len(t, r, 3)
	for _, c := range []struct {
		generation uint32
		lsn        uint64
		want       error
	}{{0, 5, nil}, {0, 6, full}, {999, 5, nil}, {999, 6, full}, {1000, 9, nil}, {1000, 10, full}, {1001, 9, nil}, {1001, 10, dead}} {
		require.Equal(t, c.want, r.outcome(c.generation, c.lsn), "generation %d, LSN %d", c.generation, c.lsn)
	}
}
