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
	// WriteErrors counts writes and syncs of groups that failed; what is written again counts again.
	WriteErrors uint64 `json:"write_errors"`
	// PrepareWaits counts segments whose file was not ready when it was needed. That of a
	// log's first one after an open never is.
	PrepareWaits uint64 `json:"prepare_waits"`
	// RecoveryTime is how long the open took, TornTails how many logs it cut off.
	RecoveryTime time.Duration `json:"recovery_time_ns"`
	TornTails    int           `json:"torn_tails"`

	// What follows is the state at the time of the call, not a count.

	// Logs is the number of logs, FailedLogs that of those which a failure made read-only.
	Logs       int `json:"logs"`
	FailedLogs int `json:"failed_logs"`
	// Segments is the number of segments that are there, Spare that of files kept to
	// become one.
	Segments int `json:"segments"`
	Spare    int `json:"spare"`
	// Queued counts batches that are neither acknowledged nor failed yet, Blocked appends that
	// wait for the write buffer.
	Queued  uint64 `json:"queued"`
	Blocked int    `json:"blocked"`
	// UnsyncedBytes is what of Bytes a power failure would take: 0 but in mode periodic.
	UnsyncedBytes uint64 `json:"unsynced_bytes"`
}

// counters are the live numbers behind Stats, one set a log.
type counters struct {
	appends, records, bytes          atomic.Uint64
	rawBytes                         atomic.Uint64
	groups, syncs, bytesWritten      atomic.Uint64
	queueFull, rotations, recycled   atomic.Uint64
	dropped, movedBytes              atomic.Uint64
	memoryReads, diskReads           atomic.Uint64
	writeErrors, prepareWaits        atomic.Uint64
	synced                           atomic.Uint64 // mode periodic: what of bytes is durable
	tornTail                         atomic.Int64
	appendLatency, groupWriteLatency histogram
}

// Stats returns a snapshot. It is cheap enough to call every second.
func (m *Manager) Stats() Stats {
	st := Stats{RecoveryTime: m.recoveryTime}
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
		st.WriteErrors += c.writeErrors.Load()
		st.PrepareWaits += c.prepareWaits.Load()
		st.LockWait += time.Duration(s.mu.waited.Load())
		appends.merge(&c.appendLatency)
		syncs.merge(&c.groupWriteLatency)
		s.addState(&st)
	}
	st.AppendLatency, st.SyncLatency = appends.snapshot(), syncs.snapshot()
	return st
}

// addState adds the present state of a log.
func (s *shard) addState(st *Stats) {
	st.Logs++
	if cut := s.count.tornTail.Load(); cut > 0 {
		st.TornTails++
		st.TornTailBytes += cut
	}
	s.segments.mu.Lock()
	st.Segments += len(s.segments.list)
	s.segments.mu.Unlock()
	s.prepare.mu.Lock()
	st.Spare += len(s.prepare.recycled)
	s.prepare.mu.Unlock()
	if s.cfg.fsync == FsyncPeriodic {
		synced := s.count.synced.Load() // first: it never is more
		st.UnsyncedBytes += s.count.bytes.Load() - synced
	}
	s.mu.tryLocker.Lock() // what this takes is no wait of an append
	defer s.mu.Unlock()
	if s.failure != nil {
		st.FailedLogs++
	}
	if acked := s.acked.Load(); s.nextLSN > acked { // 0 where nothing can be appended
		st.Queued += s.nextLSN - 1 - acked
	}
	st.Blocked += len(s.blocked)
}
