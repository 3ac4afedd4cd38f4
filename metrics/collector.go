package metrics

import (
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	wal "github.com/chronik-go/wal/core"
)

// DefaultPartitions is how many partitions have series of their own, unless WithPartitions says
// otherwise.
const DefaultPartitions = 100

// Option is a setting of New.
type Option func(*Collector)

// WithPartitions sets how many partitions at most have series of their own; 0 or less is none. Those beyond
// are added up in one, whose labels are topic="" and partition="other". Each has three series.
//
// The first ones that a scrape meets, in the order of topic and number, keep theirs: no series changes its
// meaning because a partition came into being.
func WithPartitions(n int) Option {
	return func(c *Collector) { c.limit = n }
}

// Collector is a prometheus.Collector of one log. Its methods may be called concurrently.
type Collector struct {
	manager *wal.Manager
	limit   int

	mu    sync.Mutex
	shown map[partition]bool // partitions with series of their own, limit at most
}

type partition struct {
	topic  string
	number int32
}

var _ prometheus.Collector = (*Collector)(nil)

// New makes a Collector of an open log, closed or not. It is to be registered by the caller.
func New(m *wal.Manager, opts ...Option) *Collector {
	c := &Collector{manager: m, limit: DefaultPartitions, shown: map[partition]bool{}}
	for _, o := range opts {
		o(c)
	}
	return c
}

// Describe implements prometheus.Collector.
func (c *Collector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range catalog() {
		ch <- d.desc
	}
}

// Collect implements prometheus.Collector.
func (c *Collector) Collect(ch chan<- prometheus.Metric) {
	st := c.manager.Stats()
	for _, v := range values {
		ch <- prometheus.MustNewConstMetric(v.desc, v.kind, v.of(&st))
	}
	for _, h := range histograms {
		ch <- newHistogram(h.desc, h.of(&st))
	}
	ch <- prometheus.MustNewConstMetric(damages.desc, prometheus.GaugeValue, float64(len(c.manager.Damage())))
	ch <- prometheus.MustNewConstMetric(backendInfo.desc, prometheus.GaugeValue, 1, c.manager.Backend(), c.manager.BackendReason())
	c.collectPartitions(ch)
}
