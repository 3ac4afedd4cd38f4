package wal

import (
	"sync/atomic"
	"time"
)

// Stats is a snapshot of what a Manager did since it was opened.
type Stats struct {
	// Appends counts acknowledged batches, Records their records, RawBytes the encoded
	// size of those, Bytes what of that is left once they are compressed.
	Appends  uint64 `json:"appends"`
	Records  uint64 `json:"records"`
	Bytes    uint64 `json:"bytes"`
	RawBytes uint64 `json:"raw_bytes"`
	// Groups counts group commits, Syncs the writes and syncs that had to be durable.
	Groups uint64 `json:"groups"`
	Syncs  uint64 `json:"syncs"`
	// BytesWritten counts all bytes handed to the backend: frames with their padding,
	// headers, footers, zeros written ahead.
	BytesWritten uint64 `json:"bytes_written"`
	// AppendLatency is from the call of an append to its acknowledgement, SyncLatency
	// that of a group commit's write.
	AppendLatency Histogram `json:"append_latency"`
	SyncLatency   Histogram `json:"sync_latency"`
	// LockWait is the time that appends together spent waiting for the append lock.
	LockWait time.Duration `json:"lock_wait_ns"`
	// QueueFull counts appends that found the write buffer full.
	QueueFull uint64 `json:"queue_full"`
	// Rotations counts segments begun, Recycled those among them that reuse an old file.
	Rotations uint64 `json:"rotations"`
	Recycled  uint64 `json:"recycled"`
	// Dropped counts segments that retention let go of, MovedBytes what was written
	// again so that it could.
	Dropped    uint64 `json:"dropped"`
	MovedBytes uint64 `json:"moved_bytes"`
	// TornTailBytes counts what recovery cut off.
	TornTailBytes int64 `json:"torn_tail_bytes"`
	// MemoryReads counts frames that readers got from memory, DiskReads those from disk.
	MemoryReads uint64 `json:"memory_reads"`
	DiskReads   uint64 `json:"disk_reads"`
}

// counters are the live numbers behind Stats, one set a log.
type counters struct {
	appends, records, bytes          atomic.Uint64
	rawBytes                         atomic.Uint64
	groups, syncs, bytesWritten      atomic.Uint64
	queueFull, rotations, recycled   atomic.Uint64
	dropped, movedBytes              atomic.Uint64
	memoryReads, diskReads           atomic.Uint64
	tornTail                         atomic.Int64
	appendLatency, groupWriteLatency histogram
}

// Stats returns a snapshot. It is cheap enough to call every second.
func (m *Manager) Stats() Stats {
	var st Stats
	var appends, syncs histogram
	for _, s := range m.allShards() {
		c := &s.count
		st.Appends += c.appends.Load()
		st.Records += c.records.Load()
		st.Bytes += c.bytes.Load()
		st.RawBytes += c.rawBytes.Load()
		st.Groups += c.groups.Load()
		st.Syncs += c.syncs.Load()
		st.BytesWritten += c.bytesWritten.Load()
		st.QueueFull += c.queueFull.Load()
		st.Rotations += c.rotations.Load()
		st.Recycled += c.recycled.Load()
		st.Dropped += c.dropped.Load()
		st.MovedBytes += c.movedBytes.Load()
		st.MemoryReads += c.memoryReads.Load()
		st.DiskReads += c.diskReads.Load()
		st.TornTailBytes += c.tornTail.Load()
		st.LockWait += time.Duration(s.mu.waited.Load())
		appends.merge(&c.appendLatency)
		syncs.merge(&c.groupWriteLatency)
	}
	st.AppendLatency, st.SyncLatency = appends.snapshot(), syncs.snapshot()
	return st
}
