package metrics

import (
	"strconv"

	"github.com/prometheus/client_golang/prometheus"

	wal "github.com/chronik-go/wal/core"
)

// otherPartition is the label of all partitions beyond the limit: it is no number, so no partition's.
const otherPartition = "other"

// lag is what the series of a partition, or of several together, show.
type lag struct{ records, bytes, unsynced int64 }

func (l *lag) add(p *wal.PartitionInfo) {
	l.records += p.Records
	l.bytes += p.Bytes
	l.unsynced += p.NextOffset - p.DurableOffset
}

// collectPartitions sends the series of partitions. That of the others is there only if there are any.
func (c *Collector) collectPartitions(ch chan<- prometheus.Metric) {
	send := func(l lag, topic, number string) {
		for _, v := range partitionValues {
			ch <- prometheus.MustNewConstMetric(v.desc, prometheus.GaugeValue, float64(v.of(l)), topic, number)
		}
	}
	list := c.manager.Partitions()
	ch <- prometheus.MustNewConstMetric(partitionCount.desc, prometheus.GaugeValue, float64(len(list)))
	var rest lag
	hidden := false
	for i := range list {
		p := &list[i]
		if !c.shows(partition{p.Topic, p.Partition}) {
			rest.add(p)
			hidden = true
			continue
		}
		var own lag
		own.add(p)
		send(own, p.Topic, strconv.Itoa(int(p.Partition)))
	}
	if hidden {
		send(rest, "", otherPartition)
	}
}

// shows tells whether a partition has series of its own, and gives them to it if there is room.
func (c *Collector) shows(p partition) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.shown[p] && len(c.shown) < c.limit {
		c.shown[p] = true
	}
	return c.shown[p]
}
