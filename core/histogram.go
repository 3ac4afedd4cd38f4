package wal

import (
	"math/bits"
	"sync/atomic"
	"time"
)

// histogram counts durations in buckets whose width is at most 1/8 of their value, from
// 1 µs to about 70 minutes; it records without a lock or an allocation.
type histogram struct {
	count atomic.Uint64
	sum   atomic.Int64
	max   atomic.Int64
	slots [histogramSlots]atomic.Uint64
}

const (
	histogramSub   = 8 // buckets to a doubling
	histogramBits  = 3 // log2 of it
	histogramSlots = 30 * histogramSub
)

func (h *histogram) record(d time.Duration) {
	h.slots[histogramSlot(d)].Add(1)
	h.add(1, d, d)
}

// recordEntries counts how long entries took until now. Those that came together mostly fall into
// one bucket: it is added to once for all of them, for an atomic addition takes longer than
// the rest.
func (h *histogram) recordEntries(entries []entry, now time.Time) {
	var sum, longest time.Duration
	slot, in := 0, uint64(0)
	for i := range entries {
		d := now.Sub(entries[i].start)
		sum, longest = sum+d, max(longest, d)
		if s := histogramSlot(d); s != slot {
			h.slots[slot].Add(in)
			slot, in = s, 0
		}
		in++
	}
	h.slots[slot].Add(in)
	h.add(uint64(len(entries)), sum, longest)
}

// add takes n durations into what there is besides buckets.
func (h *histogram) add(n uint64, sum, longest time.Duration) {
	h.count.Add(n)
	h.sum.Add(int64(sum))
	for m := h.max.Load(); int64(longest) > m && !h.max.CompareAndSwap(m, int64(longest)); m = h.max.Load() {
	}
}

// histogramSlot maps microseconds below 8 to themselves, and beyond, the three bits
// behind the leading one to a bucket of its doubling.
func histogramSlot(d time.Duration) int {
	us := uint64(max(d, 0) / time.Microsecond)
	if us < histogramSub {
		return int(us)
	}
	exp := bits.Len64(us) - 1 - histogramBits
	return min(exp*histogramSub+int(us>>exp), histogramSlots-1)
}

// histogramBound is the upper bound of a bucket.
func histogramBound(slot int) time.Duration {
	if slot < histogramSub {
		return time.Duration(slot+1) * time.Microsecond
	}
	exp := slot/histogramSub - 1
	return time.Duration(uint64(slot%histogramSub+histogramSub+1)<<exp) * time.Microsecond
}

// Histogram is a snapshot of the durations of something.
type Histogram struct {
	Count uint64        `json:"count"`
	Sum   time.Duration `json:"sum_ns"`
	Max   time.Duration `json:"max_ns"`
	// Buckets are the counts of durations up to each bound and above the bound before
	// it; empty ones are left out.
	Buckets []Bucket `json:"buckets"`
}

// Bucket is one bucket of a Histogram.
type Bucket struct {
	UpTo  time.Duration `json:"up_to_ns"`
	Count uint64        `json:"count"`
}

func (h *histogram) snapshot() Histogram {
	s := Histogram{Count: h.count.Load(), Sum: time.Duration(h.sum.Load()), Max: time.Duration(h.max.Load())}
	for i := range h.slots {
		if n := h.slots[i].Load(); n > 0 {
			s.Buckets = append(s.Buckets, Bucket{histogramBound(i), n})
		}
	}
	return s
}

// Quantile returns a duration that the share q (0 to 1) of all did not exceed, at most
// 1/8 too high.
func (s Histogram) Quantile(q float64) time.Duration {
	total := uint64(0)
	for _, b := range s.Buckets {
		total += b.Count
	}
	need, seen := q*float64(total), uint64(0)
	for _, b := range s.Buckets {
		if seen += b.Count; float64(seen) >= need {
			return min(b.UpTo, s.Max)
		}
	}
	return s.Max
}

// merge adds the counts of another histogram.
func (h *histogram) merge(o *histogram) {
	h.count.Add(o.count.Load())
	h.sum.Add(o.sum.Load())
	h.max.Store(max(h.max.Load(), o.max.Load()))
	for i := range h.slots {
		h.slots[i].Add(o.slots[i].Load())
	}
}
