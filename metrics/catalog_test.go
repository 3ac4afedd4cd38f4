package metrics

import (
	"reflect"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/stretchr/testify/require"

	wal "github.com/chronik-go/wal/core"
)

// Each metric is the number that its name says, and no number of Stats is left out.
func TestEachNumberHasItsMetric(t *testing.T) {
	st := wal.Stats{
		Appends: 1, Records: 2, Bytes: 3, RawBytes: 4, Groups: 5, Syncs: 6, BytesWritten: 7,
		LockWait: 8 * time.Second, QueueFull: 9, Rotations: 10, Recycled: 11, Dropped: 12, MovedBytes: 13,
		TornTailBytes: 14, MemoryReads: 15, DiskReads: 16, WriteErrors: 17, PrepareWaits: 18,
		RecoveryTime: 1900 * time.Millisecond, TornTails: 20, Logs: 21, FailedLogs: 22, Segments: 23, Spare: 24,
		Queued: 25, Blocked: 26, UnsyncedBytes: 27,
	}
	want := map[string]float64{
		"appends_total": 1, "records_total": 2, "stored_bytes_total": 3, "raw_bytes_total": 4, "groups_total": 5,
		"syncs_total": 6, "written_bytes_total": 7, "lock_wait_seconds_total": 8, "buffer_full_total": 9,
		"rotations_total": 10, "recycled_segments_total": 11, "dropped_segments_total": 12, "moved_bytes_total": 13,
		"torn_tail_bytes": 14, "memory_read_frames_total": 15, "disk_read_frames_total": 16, "write_errors_total": 17,
		"prepare_waits_total": 18, "recovery_duration_seconds": 1.9, "torn_tails": 20, "logs": 21, "failed_logs": 22,
		"segments": 23, "spare_segment_files": 24, "queued_appends": 25, "blocked_appends": 26, "unsynced_bytes": 27,
	}
	have := map[string]float64{}
	for _, v := range values {
		have[v.name[len(prefix):]] = v.of(&st)
	}
	require.Equal(t, want, have)
	require.Equal(t, reflect.TypeFor[wal.Stats]().NumField(), len(values)+len(histograms))
	st.AppendLatency.Count, st.SyncLatency.Count = 1, 2
	require.Equal(t, "chronik_wal_append_duration_seconds", histograms[0].name)
	require.EqualValues(t, 1, histograms[0].of(&st).Count)
	require.EqualValues(t, 2, histograms[1].of(&st).Count)
}

// A bucket of the log's that ends at a classic bound is below it; what is beyond all of them is in
// the last one, without a bound. The count is that of the buckets, also in a snapshot that an
// append changed meanwhile.
func TestHistogramBounds(t *testing.T) {
	h := wal.Histogram{Count: 14, Sum: time.Hour, Buckets: []wal.Bucket{
		{UpTo: firstClassic, Count: 1}, {UpTo: firstClassic + 2*time.Microsecond, Count: 2},
		{UpTo: lastClassic, Count: 4}, {UpTo: 2 * lastClassic, Count: 8},
	}}
	var m dto.Metric
	require.NoError(t, newHistogram(prometheus.NewDesc("h", "", nil, nil), h).Write(&m))
	require.EqualValues(t, 15, m.GetHistogram().GetSampleCount())
	for _, b := range m.GetHistogram().GetBucket() {
		want := 3
		switch b.GetUpperBound() {
		case firstClassic.Seconds():
			want = 1
		case lastClassic.Seconds():
			want = 7
		}
		require.EqualValues(t, want, b.GetCumulativeCount(), "up to %v s", b.GetUpperBound())
	}
	total, count := int64(0), int64(0)
	for _, delta := range m.GetHistogram().GetPositiveDelta() {
		count += delta
		total += count
	}
	require.EqualValues(t, 15, total)
}
