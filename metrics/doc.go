// Package metrics shows what a log does to Prometheus.
//
//	registry.MustRegister(metrics.New(manager))
//
// A Collector reads Stats, Partitions, Damage and Backend of one wal.Manager when it is scraped; between
// scrapes it does nothing. What a scrape holds up an append for is what those do: locks that are held while
// numbers are copied, never across I/O. It registers nowhere by itself. Where a program has several logs, each registers through
// prometheus.WrapRegistererWith and a label of its own.
//
// After Manager.Close a Collector goes on to show the last numbers, until it is unregistered.
//
// All metrics are listed in docs/operations.md.
package metrics
