package bench

import (
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// The range and resolution of latencies: units of 100 ns up to 100 s, 3 digits.
const (
	latencyUnit   = 100 * time.Nanosecond
	latencyMax    = int64(100 * time.Second / latencyUnit)
	latencyDigits = 3
)

// latencies collects what several workers measure.
type latencies struct {
	shards  []latencyShard // several, so that workers seldom meet
	counted atomic.Bool    // false while warming up
}

type latencyShard struct {
	mu      sync.Mutex
	hist    *hdrhistogram.Histogram
	records int64
}

func newLatencies() *latencies {
	l := &latencies{shards: make([]latencyShard, 4*runtime.GOMAXPROCS(0))}
	for i := range l.shards {
		l.shards[i].hist = hdrhistogram.New(1, latencyMax, latencyDigits)
	}
	return l
}

// observe counts so many records that took so long together.
func (l *latencies) observe(worker int, took time.Duration, records int) {
	if !l.counted.Load() {
		return
	}
	s := &l.shards[worker%len(l.shards)]
	s.mu.Lock()
	defer s.mu.Unlock()
	// A value in range always fits.
	_ = s.hist.RecordValues(min(max(int64(took/latencyUnit), 1), latencyMax), int64(records))
	s.records += int64(records)
}

// total returns all of it in one histogram.
func (l *latencies) total() (h *hdrhistogram.Histogram, records int64) {
	h = hdrhistogram.New(1, latencyMax, latencyDigits)
	for i := range l.shards {
		s := &l.shards[i]
		s.mu.Lock()
		h.Merge(s.hist)
		records += s.records
		s.mu.Unlock()
	}
	return h, records
}

// quantile returns a quantile (0 to 1) in microseconds.
func quantile(h *hdrhistogram.Histogram, q float64) float64 {
	return micros(h.ValueAtQuantile(100 * q))
}

func micros(units int64) float64 {
	return float64(units) * float64(latencyUnit) / float64(time.Microsecond)
}
