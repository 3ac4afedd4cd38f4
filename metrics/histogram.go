package metrics

import (
	"math"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	wal "github.com/chronik-go/wal/core"
)

// Classic buckets end at powers of two of a microsecond. Each is a bound of the log's own, finer
// buckets, so their counts are exact, except that a duration of exactly a bound counts above it.
const (
	firstClassic = 16 * time.Microsecond
	lastClassic  = 1 << 26 * time.Microsecond // 67 s
)

// nativeSchema has eight buckets to a doubling, as the log's own ones, whose bounds are others: each of
// those is counted as its upper bound.
const nativeSchema = 3

// histogram is a metric with classic and native buckets.
type histogram struct{ classic, native prometheus.Metric }

// newHistogram makes a metric of a snapshot. Its count is that of the buckets: an append that ends
// meanwhile may be in those already, and not yet in the snapshot's count.
func newHistogram(desc *prometheus.Desc, h wal.Histogram) prometheus.Metric {
	classic, native := map[float64]uint64{}, map[int]int64{}
	bound, count := firstClassic, uint64(0)
	for _, b := range h.Buckets {
		for ; b.UpTo > bound && bound <= lastClassic; bound *= 2 {
			classic[bound.Seconds()] = count
		}
		count += b.Count
		native[nativeBucket(b.UpTo)] += int64(b.Count)
	}
	for ; bound <= lastClassic; bound *= 2 {
		classic[bound.Seconds()] = count
	}
	c, err := prometheus.NewConstHistogram(desc, count, h.Sum.Seconds(), classic)
	if err != nil {
		return prometheus.NewInvalidMetric(desc, err)
	}
	n, err := prometheus.NewConstNativeHistogram(desc, count, h.Sum.Seconds(), native, nil, 0, nativeSchema, prometheus.DefNativeHistogramZeroThreshold, time.Time{})
	if err != nil {
		return prometheus.NewInvalidMetric(desc, err)
	}
	return histogram{c, n}
}

// nativeBucket is the native bucket that a duration above 0 falls into: the one whose bound,
// 2^(i/8) s, is the least that is not below it.
func nativeBucket(d time.Duration) int {
	return int(math.Ceil(math.Log2(d.Seconds()) * (1 << nativeSchema)))
}

// Desc implements prometheus.Metric.
func (h histogram) Desc() *prometheus.Desc { return h.classic.Desc() }

// Write implements prometheus.Metric.
func (h histogram) Write(out *dto.Metric) error {
	var classic dto.Metric
	if err := h.classic.Write(&classic); err != nil {
		return err
	}
	if err := h.native.Write(out); err != nil {
		return err
	}
	out.Histogram.Bucket = classic.Histogram.Bucket
	out.Histogram.CreatedTimestamp = nil // it would be the year 1
	return nil
}
