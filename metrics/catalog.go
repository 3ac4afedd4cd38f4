package metrics

import (
	"github.com/prometheus/client_golang/prometheus"

	wal "github.com/chronik-go/wal/core"
)

const prefix = "chronik_wal_"

// entry is one metric, as docs/operations.md lists it.
type entry struct {
	name, kind, help string
	labels           []string
	desc             *prometheus.Desc
}

func newEntry(name, kind, help string, labels ...string) entry {
	name = prefix + name
	return entry{name: name, kind: kind, help: help, labels: labels, desc: prometheus.NewDesc(name, help, labels, nil)}
}

// value is a metric that is one number of Stats.
type value struct {
	entry
	kind prometheus.ValueType
	of   func(*wal.Stats) float64
}

func counter(name, help string, of func(*wal.Stats) float64) value {
	return value{newEntry(name, "counter", help), prometheus.CounterValue, of}
}

func gauge(name, help string, of func(*wal.Stats) float64) value {
	return value{newEntry(name, "gauge", help), prometheus.GaugeValue, of}
}

var values = []value{
	counter("appends_total", "Batches acknowledged, truncations among them.", func(s *wal.Stats) float64 { return float64(s.Appends) }),
	counter("records_total", "Records acknowledged.", func(s *wal.Stats) float64 { return float64(s.Records) }),
	counter("raw_bytes_total", "Encoded size of the records acknowledged, before compression.", func(s *wal.Stats) float64 { return float64(s.RawBytes) }),
	counter("stored_bytes_total", "What of the raw bytes is left once they are compressed.", func(s *wal.Stats) float64 { return float64(s.Bytes) }),
	counter("written_bytes_total", "All bytes handed to the backend: frames with padding, headers, footers, zeros written ahead.", func(s *wal.Stats) float64 { return float64(s.BytesWritten) }),
	counter("moved_bytes_total", "Bytes written again so that retention could let go of a segment.", func(s *wal.Stats) float64 { return float64(s.MovedBytes) }),
	counter("groups_total", "Group commits; appends by groups is the mean size of a group.", func(s *wal.Stats) float64 { return float64(s.Groups) }),
	counter("syncs_total", "Writes and syncs that had to be durable.", func(s *wal.Stats) float64 { return float64(s.Syncs) }),
	counter("write_errors_total", "Writes and syncs of groups that failed, whether they were written again or not.", func(s *wal.Stats) float64 { return float64(s.WriteErrors) }),
	counter("buffer_full_total", "Appends that found the write buffer full.", func(s *wal.Stats) float64 { return float64(s.QueueFull) }),
	counter("lock_wait_seconds_total", "Time that appends together waited for the append lock.", func(s *wal.Stats) float64 { return s.LockWait.Seconds() }),
	counter("rotations_total", "Segments begun.", func(s *wal.Stats) float64 { return float64(s.Rotations) }),
	counter("recycled_segments_total", "Segments begun in an old file.", func(s *wal.Stats) float64 { return float64(s.Recycled) }),
	counter("dropped_segments_total", "Segments that retention let go of.", func(s *wal.Stats) float64 { return float64(s.Dropped) }),
	counter("prepare_waits_total", "Segments whose file was not ready when it was needed; a log's first one after an open never is.", func(s *wal.Stats) float64 { return float64(s.PrepareWaits) }),
	counter("memory_read_frames_total", "Frames that readers got from memory.", func(s *wal.Stats) float64 { return float64(s.MemoryReads) }),
	counter("disk_read_frames_total", "Frames that readers got from disk.", func(s *wal.Stats) float64 { return float64(s.DiskReads) }),
	gauge("logs", "Logs of the data directory.", func(s *wal.Stats) float64 { return float64(s.Logs) }),
	gauge("failed_logs", "Logs that a failure made read-only until they are opened again: alert above 0.", func(s *wal.Stats) float64 { return float64(s.FailedLogs) }),
	gauge("queued_appends", "Batches on their way: neither acknowledged nor failed.", func(s *wal.Stats) float64 { return float64(s.Queued) }),
	gauge("blocked_appends", "Appends that wait for room in the write buffer.", func(s *wal.Stats) float64 { return float64(s.Blocked) }),
	gauge("unsynced_bytes", "Stored bytes acknowledged that a power failure would take; 0 but in mode periodic.", func(s *wal.Stats) float64 { return float64(s.UnsyncedBytes) }),
	gauge("segments", "Segments that are there.", func(s *wal.Stats) float64 { return float64(s.Segments) }),
	gauge("spare_segment_files", "Old files kept to become segments.", func(s *wal.Stats) float64 { return float64(s.Spare) }),
	gauge("recovery_duration_seconds", "How long the open took, recovery included.", func(s *wal.Stats) float64 { return s.RecoveryTime.Seconds() }),
	gauge("torn_tails", "Logs of which recovery cut off an unfinished end.", func(s *wal.Stats) float64 { return float64(s.TornTails) }),
	gauge("torn_tail_bytes", "Bytes that recovery cut off.", func(s *wal.Stats) float64 { return float64(s.TornTailBytes) }),
}

// distribution is a metric that is a histogram of Stats.
type distribution struct {
	entry
	of func(*wal.Stats) wal.Histogram
}

var histograms = []distribution{
	{
		newEntry("append_duration_seconds", "histogram", "From the call of an append to its acknowledgement."),
		func(s *wal.Stats) wal.Histogram { return s.AppendLatency },
	},
	{
		newEntry("group_commit_duration_seconds", "histogram", "A group's write, with its sync unless in mode periodic."),
		func(s *wal.Stats) wal.Histogram { return s.SyncLatency },
	},
}

var (
	damages = newEntry("damages", "gauge", "Places of damage found by an open that allows it; without that, damage fails the open.")

	backendInfo = newEntry("backend_info", "gauge", "Always 1; the labels name the IO backend and why it was chosen.", "backend", "reason")

	partitionCount = newEntry("partitions", "gauge", "Partitions that exist.")
)

// partitionValue is a metric of each partition.
type partitionValue struct {
	entry
	of func(lag) int64
}

var partitionValues = []partitionValue{
	{
		newEntry("partition_retained_records", "gauge", "Records of the partition that no truncation took: how far retention is behind.", "topic", "partition"),
		func(l lag) int64 { return l.records },
	},
	{
		newEntry("partition_retained_bytes", "gauge", "Estimate of what those records take in the log.", "topic", "partition"),
		func(l lag) int64 { return l.bytes },
	},
	{
		newEntry("partition_unsynced_offsets", "gauge", "Offsets of the partition that a power failure would take; 0 but in mode periodic.", "topic", "partition"),
		func(l lag) int64 { return l.unsynced },
	},
}

// catalog lists all metrics, in the order of docs/operations.md.
func catalog() []entry {
	var list []entry
	for _, v := range values {
		list = append(list, v.entry)
	}
	for _, h := range histograms {
		list = append(list, h.entry)
	}
	list = append(list, damages, backendInfo, partitionCount)
	for _, v := range partitionValues {
		list = append(list, v.entry)
	}
	return list
}
