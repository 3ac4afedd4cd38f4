package bench

import (
	"context"
	"errors"
	"hash/crc32"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	_ "github.com/chronik-go/wal/backend-posix"
	wal "github.com/chronik-go/wal/core"
	"github.com/chronik-go/wal/core/format"
)

// options are those of a load that is over soon.
func options(t *testing.T) AppendOptions {
	t.Helper()
	return AppendOptions{Dir: t.TempDir(), Producers: 3, Partitions: 2, RecordSize: 100, Batch: 2, Inflight: 4,
		Duration: 50 * time.Millisecond, Layout: "shared", Log: []wal.Option{wal.WithSegmentSize(1 << 20)}}
}

// What a result says fits what the log holds and what the result says elsewhere.
func TestAppendResult(t *testing.T) {
	o := options(t)
	r, err := Append(t.Context(), o)
	require.NoError(t, err)
	require.Equal(t, "append", r.Bench)
	require.Equal(t, "posix", r.Backend)
	require.Equal(t, "batch", r.Fsync)
	m, err := wal.Open(o.Dir, wal.WithReadOnly())
	require.NoError(t, err)
	inLog := int64(0)
	for _, p := range m.Partitions() {
		inLog += p.Records
	}
	require.NoError(t, m.Close())
	require.Greater(t, inLog, r.Records, "the warm-up is in the log, not in the result")
	checkResult(t, o, r)
}

func TestBaselineResult(t *testing.T) {
	o := options(t)
	r, err := Baseline(t.Context(), o)
	require.NoError(t, err)
	require.Equal(t, "baseline", r.Bench)
	checkResult(t, o, r)
	appends := uint64(r.Records / int64(o.Batch))
	workers := uint64(o.Producers * o.Inflight)
	require.InDelta(t, appends, r.Syncs, float64(workers), "one sync an append, but for those under way at the start")
	for _, p := range []string{"0", "1"} {
		info, err := os.Stat(filepath.Join(o.Dir, "bench", p, "wal_0_0.log"))
		require.NoError(t, err)
		require.Zero(t, info.Size()%int64(v0Fixed+o.RecordSize))
		require.Positive(t, info.Size())
	}
}

func checkResult(t *testing.T, o AppendOptions, r AppendResult) {
	t.Helper()
	require.Positive(t, r.Records)
	require.Zero(t, r.Records%int64(o.Batch))
	require.GreaterOrEqual(t, r.Duration, o.Duration.Seconds())
	require.InEpsilon(t, float64(r.Records)/r.Duration, r.RecordsPerSecond, 0.05)
	require.InDelta(t, r.RecordsPerSecond*float64(o.RecordSize)/1e6, r.MBPerSecond, 0.01)
	require.Positive(t, r.P50)
	require.LessOrEqual(t, r.P50, r.P99)
	require.LessOrEqual(t, r.P99, r.P999)
	require.LessOrEqual(t, r.P999, r.Max)
	require.Positive(t, r.Groups)
	require.Positive(t, r.Syncs)
	require.Greater(t, r.WriteAmplification, 1.0)
	require.Positive(t, r.RSS)
	require.Positive(t, r.CPU)
	require.GreaterOrEqual(t, r.LockWait, 0.0)
	require.LessOrEqual(t, r.LockWait, 100.0)
}

// With retention on, segments become free and their files are used again.
func TestRetentionRecycles(t *testing.T) {
	m, err := wal.Open(t.TempDir(), wal.WithSegmentSize(64<<10))
	require.NoError(t, err)
	partitions := make([]*wal.Partition, 2)
	for i := range partitions {
		partitions[i], err = m.Partition("bench", int32(i))
		require.NoError(t, err)
	}
	stop := startRetention(m, partitions)
	value := make([]byte, 4000)
	for deadline := time.Now().Add(time.Minute); m.Stats().Recycled == 0; {
		require.True(t, time.Now().Before(deadline), "nothing is recycled: %+v", m.Stats())
		for _, p := range partitions {
			_, err := p.Append(t.Context(), wal.Record{Value: value})
			require.NoError(t, err)
		}
	}
	stop()
	require.NoError(t, m.Close())
}

// A producer returns when all that it appended is acknowledged and counted.
func TestProducerWaitsForItsAcks(t *testing.T) {
	m, err := wal.Open(t.TempDir(), wal.WithSegmentSize(1<<20))
	require.NoError(t, err)
	partition, err := m.Partition("bench", 0)
	require.NoError(t, err)
	for _, inflight := range []int{1, 2, 16, 200} {
		l := newLatencies()
		l.counted.Store(true)
		o := AppendOptions{RecordSize: 10, Batch: 3}
		p := producer{partition: partition, latencies: l, batches: o.batches(0), pending: make([]pending, 0, inflight)}
		left := 101
		require.NoError(t, p.run(func() bool { left--; return left >= 0 }))
		_, records := l.total()
		require.Equal(t, int64(3*101), records, "%d in flight", inflight)
	}
	require.Equal(t, int64(4*3*101), partition.NextOffset())
	require.NoError(t, m.Close())
}

func TestLoadReportsErrors(t *testing.T) {
	failure := errors.New("disk on fire")
	_, err := runLoad(t.Context(), 2, time.Hour, func(stop <-chan struct{}, id int, _ *latencies) error {
		if id == 1 {
			return failure
		}
		<-stop
		return nil
	}, func() {})
	require.ErrorIs(t, err, failure)

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = Append(ctx, options(t))
	require.ErrorIs(t, err, context.Canceled)
}

func TestLatencies(t *testing.T) {
	l := newLatencies()
	l.observe(0, time.Second, 1)
	l.counted.Store(true)
	for i := range 100 {
		l.observe(i, time.Duration(i+1)*time.Millisecond, 10)
	}
	h, records := l.total()
	require.Equal(t, int64(1000), records, "the warm-up does not count")
	require.InEpsilon(t, 50_000, quantile(h, 0.5), 0.001)
	require.InEpsilon(t, 99_000, quantile(h, 0.99), 0.001)
	l.observe(1, time.Hour, 1)
	h, _ = l.total()
	require.InEpsilon(t, 100e6, micros(h.Max()), 0.001, "beyond the range counts as its end")
}

// Every byte of a record of version 0 but the CRC's own is under the CRC.
func TestV0Record(t *testing.T) {
	b := appendV0([]byte("before"), 7, time.UnixMilli(1_700_000_000_000), []byte("value"))[len("before"):]
	require.Len(t, b, v0Fixed+5)
	sum := crc32.ChecksumIEEE(append(append([]byte{}, b[:24]...), b[28:]...))
	require.Equal(t, []byte{
		0x7e, 0xca, 1, 0, 45, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 0x00, 0x68, 0xe5, 0xcf, 0x8b, 0x01, 0, 0,
		byte(sum), byte(sum >> 8), byte(sum >> 16), byte(sum >> 24),
		0xff, 0xff, 0xff, 0xff, 5, 0, 0, 0, 'v', 'a', 'l', 'u', 'e', 0, 0, 0, 0,
	}, b)
}

func TestMountOf(t *testing.T) {
	info := []byte("22 1 8:1 / / rw - ext4 /dev/sda1 rw\n" +
		"30 22 0:25 / /tmp rw shared:5 - tmpfs tmpfs rw,size=1k\n31 22 8:17 / /data rw - xfs /dev/sdb1 rw,noquota\nbroken\n")
	source, fs, ok := mountOf(info, "8:17")
	require.True(t, ok)
	require.Equal(t, "/dev/sdb1", source)
	require.Equal(t, "xfs (rw,noquota)", fs)
	_, _, ok = mountOf(info, "8:2")
	require.False(t, ok)
}

func TestDescribe(t *testing.T) {
	m := Describe(t.TempDir())
	require.NotEqual(t, "unknown", m.Kernel)
	require.Positive(t, m.CPUs)
	require.Contains(t, m.Build, "go1.")
	require.Len(t, m.Lines(), 5)
	require.Equal(t, "unknown", Describe("/nowhere").Device)
}

func TestScratch(t *testing.T) {
	parent := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(parent, "mine"), nil, 0o600))
	path, remove, err := Scratch(parent)
	require.NoError(t, err)
	require.DirExists(t, path)
	require.NoError(t, remove())
	require.NoDirExists(t, path)
	require.FileExists(t, filepath.Join(parent, "mine"))

	for _, not := range []string{"missing", "mine"} {
		_, _, err = Scratch(filepath.Join(parent, not))
		require.ErrorContains(t, err, not)
	}
	require.NoDirExists(t, filepath.Join(parent, "missing"), "it is not made")
}

// A load of which nothing was done in time has no result.
func TestNothingMeasured(t *testing.T) {
	_, err := newResult(options(t), window{latencies: newLatencies()}, 1, wal.Stats{})
	require.ErrorIs(t, err, errNothing)
}

// What a load may append is what a log accepts.
func TestRecordSizeLimit(t *testing.T) {
	for _, batch := range []int{1, 7, 1000, 1 << 20} {
		high := appendLimit/batch - recordOverhead
		require.NoError(t, checkRecordSize(high, batch))
		require.Error(t, checkRecordSize(high+1, batch))
		size := func(n int) int64 { return int64(batch) * format.RecordSize(&wal.Record{Value: make([]byte, n)}) }
		require.LessOrEqual(t, size(high), int64(appendLimit))
		require.Greater(t, size(high+1), int64(appendLimit))
	}
	m, err := wal.Open(t.TempDir(), wal.WithSegmentSize(1<<20))
	require.NoError(t, err)
	_, err = m.Append(t.Context(), "t", 0, wal.Record{Value: make([]byte, appendLimit-recordOverhead+1)})
	require.ErrorIs(t, err, wal.ErrRecordTooLarge, "the limit is still the log's default")
	require.NoError(t, m.Close())
}

func TestRound(t *testing.T) {
	require.Equal(t, 1.23, round(1.2345, 2))
	require.Equal(t, 0.0, ratio(1, 0))
	require.Equal(t, int64(-1), procNumber("/nowhere", "x"))
}
