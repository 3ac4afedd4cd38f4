package metrics_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	dto "github.com/prometheus/client_model/go"
	"github.com/stretchr/testify/require"

	wal "github.com/chronik-go/wal/core"
	"github.com/chronik-go/wal/core/backend/sim"
	"github.com/chronik-go/wal/metrics"
)

var bg = context.Background()

// open opens a log on a simulated disk, and registers a Collector of it.
func open(t testing.TB, disk *sim.Disk, registered []metrics.Option, opts ...wal.Option) (*wal.Manager, *prometheus.Registry) {
	t.Helper()
	opts = append([]wal.Option{
		wal.WithBackend(disk), wal.WithFsyncMode(wal.FsyncAlways), wal.WithSegmentSize(1 << 20), wal.WithBufferSize(64 << 10),
	}, opts...)
	m, err := wal.Open("/d", opts...)
	require.NoError(t, err)
	t.Cleanup(func() { _ = m.Close() }) // a second Close does nothing
	registry := prometheus.NewPedanticRegistry()
	require.NoError(t, registry.Register(metrics.New(m, registered...)))
	return m, registry
}

// requireText demands these samples, without their help and type, of the metrics that they name.
func requireText(t *testing.T, registry *prometheus.Registry, want string) {
	t.Helper()
	var have []string
	names := map[string]bool{}
	lines := strings.Fields(strings.ReplaceAll(strings.TrimSpace(want), " ", "\x00"))
	for _, l := range lines {
		names[strings.FieldsFunc(l, func(r rune) bool { return r == '{' || r == 0 })[0]] = true
	}
	families, err := registry.Gather()
	require.NoError(t, err)
	for _, f := range families {
		if !names[f.GetName()] {
			continue
		}
		for _, m := range f.GetMetric() {
			have = append(have, sample(f, m))
		}
	}
	require.ElementsMatch(t, strings.Split(strings.ReplaceAll(strings.Join(lines, "\n"), "\x00", " "), "\n"), have)
}

func sample(f *dto.MetricFamily, m *dto.Metric) string {
	var labels []string
	for _, l := range m.GetLabel() {
		labels = append(labels, fmt.Sprintf("%s=%q", l.GetName(), strings.ReplaceAll(l.GetValue(), " ", "_")))
	}
	name := f.GetName()
	if len(labels) > 0 {
		name += "{" + strings.Join(labels, ",") + "}"
	}
	return fmt.Sprintf("%s %v", name, m.GetCounter().GetValue()+m.GetGauge().GetValue())
}

// big is a record whose encoded size is n bytes.
func big(n int) wal.Record { return wal.Record{Value: make([]byte, n-24)} }

// Every metric is as Prometheus wants it, and every one of the catalogue is there, but for those of
// partitions where there is none.
func TestLint(t *testing.T) {
	m, registry := open(t, sim.New(sim.Options{}), nil)
	_, err := m.Append(bg, "t", 0, big(100))
	require.NoError(t, err)
	problems, err := testutil.GatherAndLint(registry)
	require.NoError(t, err)
	require.Empty(t, problems)
	n, err := testutil.GatherAndCount(registry)
	require.NoError(t, err)
	require.Equal(t, len(metrics.Table()), n, "each has one sample")
}

// The numbers are those of what happened.
func TestValues(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := sim.New(sim.Options{})
		m, registry := open(t, disk, nil)
		p, err := m.Partition("orders", 7)
		require.NoError(t, err)
		_, err = p.Append(bg, big(100), big(100))
		require.NoError(t, err)
		_, err = m.Append(bg, "a b", 0, big(100))
		require.NoError(t, err)
		require.NoError(t, p.TruncateBefore(bg, 1))
		st := m.Stats()
		requireText(t, registry, fmt.Sprintf(`
chronik_wal_appends_total 3
chronik_wal_records_total 3
chronik_wal_raw_bytes_total 300
chronik_wal_stored_bytes_total 300
chronik_wal_written_bytes_total %d
chronik_wal_groups_total 3
chronik_wal_syncs_total 3
chronik_wal_write_errors_total 0
chronik_wal_buffer_full_total 0
chronik_wal_rotations_total 1
chronik_wal_prepare_waits_total 1
chronik_wal_recycled_segments_total 0
chronik_wal_logs 1
chronik_wal_failed_logs 0
chronik_wal_queued_appends 0
chronik_wal_blocked_appends 0
chronik_wal_unsynced_bytes 0
chronik_wal_segments 1
chronik_wal_torn_tails 0
chronik_wal_damages 0
chronik_wal_backend_info{backend="sim",reason="named_by_the_application"} 1
chronik_wal_partitions 2
chronik_wal_partition_retained_records{partition="0",topic="a_b"} 1
chronik_wal_partition_retained_records{partition="7",topic="orders"} 1
`, st.BytesWritten))
		require.GreaterOrEqual(t, st.BytesWritten, uint64(4096+3*512))

		disk.Stall()
		ack, err := p.AppendAsync(bg, big(100))
		require.NoError(t, err)
		synctest.Wait()
		requireText(t, registry, "chronik_wal_queued_appends 1")
		time.Sleep(3 * time.Second)
		disk.Resume()
		require.NoError(t, ack.Wait(bg))
		requireHistogram(t, registry, "chronik_wal_append_duration_seconds", 3)
		requireHistogram(t, registry, "chronik_wal_group_commit_duration_seconds", 3)
	})
}

// requireHistogram demands three durations of 0 and one of so many seconds, in classic and native
// buckets.
func requireHistogram(t *testing.T, registry *prometheus.Registry, name string, long float64) {
	t.Helper()
	h := family(t, registry, name).GetMetric()[0].GetHistogram()
	require.EqualValues(t, 4, h.GetSampleCount())
	require.InDelta(t, long, h.GetSampleSum(), 0)
	require.Nil(t, h.CreatedTimestamp)
	for _, b := range h.GetBucket() {
		want := 3
		if b.GetUpperBound() > long {
			want = 4
		}
		require.EqualValues(t, want, b.GetCumulativeCount(), "up to %v s", b.GetUpperBound())
	}
	require.Len(t, h.GetBucket(), 23)

	require.EqualValues(t, 3, h.GetSchema())
	require.Equal(t, []int64{3, -2}, h.GetPositiveDelta(), "3, then 1")
	spans := h.GetPositiveSpan()
	require.Len(t, spans, 2)
	// 1 µs = 2^(-159.45/8) s; 3 s is counted as 3.146 s, the bound of the log's own bucket, = 2^(13.2/8) s
	require.EqualValues(t, -159, spans[0].GetOffset())
	require.EqualValues(t, 14, spans[0].GetOffset()+int32(spans[0].GetLength())+spans[1].GetOffset())
}

func family(t *testing.T, registry *prometheus.Registry, name string) *dto.MetricFamily {
	t.Helper()
	families, err := registry.Gather()
	require.NoError(t, err)
	for _, f := range families {
		if f.GetName() == name {
			return f
		}
	}
	require.Fail(t, "missing", name)
	return nil
}

// A log that has failed for good shows, and so does the failure that was got over before.
func TestFailureShows(t *testing.T) {
	disk := sim.New(sim.Options{})
	m, registry := open(t, disk, nil)
	_, err := m.Append(bg, "t", 0, big(100))
	require.NoError(t, err)
	disk.Inject(sim.Fault{Op: sim.OpWrite})
	_, err = m.Append(bg, "t", 0, big(100))
	require.NoError(t, err, "it is written again elsewhere")
	requireText(t, registry, "chronik_wal_failed_logs 0\nchronik_wal_write_errors_total 1")
	disk.Inject(sim.Fault{Op: sim.OpWrite, Times: sim.Forever})
	_, err = m.Append(bg, "t", 0, big(100))
	require.ErrorIs(t, err, wal.ErrFailed)
	requireText(t, registry, "chronik_wal_failed_logs 1\nchronik_wal_write_errors_total 2\nchronik_wal_appends_total 2")
}

// In mode periodic, what a power failure would take shows until it is synced.
func TestUnsyncedShows(t *testing.T) {
	m, registry := open(t, sim.New(sim.Options{}), nil, wal.WithFsyncMode(wal.FsyncPeriodic), wal.WithSyncInterval(time.Hour))
	_, err := m.Append(bg, "t", 0, big(100), big(100))
	require.NoError(t, err)
	requireText(t, registry, "chronik_wal_unsynced_bytes 200\nchronik_wal_partition_unsynced_offsets{partition=\"0\",topic=\"t\"} 2")
	require.NoError(t, m.Sync(bg))
	requireText(t, registry, "chronik_wal_unsynced_bytes 0\nchronik_wal_partition_unsynced_offsets{partition=\"0\",topic=\"t\"} 0")
}

// Of more partitions than the limit those beyond are added up, and those with series of their own
// keep them.
func TestPartitionsAreLimited(t *testing.T) {
	m, registry := open(t, sim.New(sim.Options{}), []metrics.Option{metrics.WithPartitions(2)})
	fill := func(topic string, n int) {
		for range n {
			_, err := m.Append(bg, topic, 0, big(100))
			require.NoError(t, err)
		}
	}
	const metric = "chronik_wal_partition_retained_records"
	fill("b", 1)
	requireText(t, registry, metric+`{partition="0",topic="b"} 1`)
	fill("c", 2)
	fill("d", 3)
	requireText(t, registry, metric+`{partition="0",topic="b"} 1
`+metric+`{partition="0",topic="c"} 2
`+metric+`{partition="other",topic=""} 3`)
	fill("a", 4)
	requireText(t, registry, metric+`{partition="0",topic="b"} 1
`+metric+`{partition="0",topic="c"} 2
`+metric+`{partition="other",topic=""} 7
chronik_wal_partitions 4`)

	none := prometheus.NewPedanticRegistry()
	none.MustRegister(metrics.New(m, metrics.WithPartitions(0)))
	requireText(t, none, metric+`{partition="other",topic=""} 10`)
}

// Unless told otherwise, the limit is the documented one.
func TestDefaultLimit(t *testing.T) {
	m, registry := open(t, sim.New(sim.Options{}), nil)
	for i := range int32(metrics.DefaultPartitions + 5) {
		_, err := m.Append(bg, "t", i, big(100))
		require.NoError(t, err)
	}
	require.Len(t, family(t, registry, "chronik_wal_partition_retained_bytes").GetMetric(), metrics.DefaultPartitions+1)
}

// What recovery cut off, and damage that an open was told to allow, show.
func TestRecoveryShows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := sim.New(sim.Options{})
		m, _ := open(t, disk, nil)
		_, err := m.Append(bg, "t", 0, big(100))
		require.NoError(t, err)
		p, err := m.Lookup("t", 0)
		require.NoError(t, err)
		disk.Stall()
		_, err = p.AppendAsync(bg, big(5000))
		require.NoError(t, err)
		synctest.Wait() // it is in flight
		_, registry := open(t, disk.Image(sim.Image{Mode: sim.Prefix, N: 3}), nil)
		requireText(t, registry, "chronik_wal_torn_tails 1\nchronik_wal_torn_tail_bytes 5120")

		disk.Resume()
		require.NoError(t, m.Close())
		for _, name := range disk.Files("/d") {
			if strings.HasSuffix(name, ".wal") {
				require.NoError(t, disk.FlipBit("/d/"+name, 0, 1))
			}
		}
		damaged, registry := open(t, disk, nil, wal.WithReadOnly(), wal.WithAllowDamage())
		require.NotEmpty(t, damaged.Damage())
		requireText(t, registry, fmt.Sprintf("chronik_wal_damages %d\nchronik_wal_queued_appends 0", len(damaged.Damage())))
	})
}

// A scrape at any time is consistent in itself, also while logs come into being, and no append suffers.
func TestScrapesBesideAppends(t *testing.T) {
	for _, layout := range []wal.Layout{wal.LayoutShared, wal.LayoutDedicated} {
		m, registry := open(t, sim.New(sim.Options{}), []metrics.Option{metrics.WithPartitions(2)}, wal.WithLayout(layout))
		const producers, each = 4, 100
		var appends, scrapes sync.WaitGroup
		for i := range int32(producers) {
			appends.Go(func() {
				for range each {
					if _, err := m.Append(bg, "t", i, big(100)); err != nil {
						t.Error(err)
					}
				}
			})
		}
		done := make(chan struct{})
		go func() { appends.Wait(); close(done) }()
		for range 2 {
			scrapes.Go(func() {
				if err := scrapeUntil(done, registry); err != nil {
					t.Error(err)
				}
			})
		}
		scrapes.Wait()
		requireText(t, registry, fmt.Sprintf("chronik_wal_appends_total %d\nchronik_wal_queued_appends 0", producers*each))
		h := family(t, registry, "chronik_wal_append_duration_seconds").GetMetric()[0].GetHistogram()
		require.EqualValues(t, producers*each, h.GetSampleCount())
	}
}

// scrapeUntil scrapes again and again, and once more when it is done.
func scrapeUntil(done <-chan struct{}, registry *prometheus.Registry) error {
	for {
		last := false
		select {
		case <-done:
			last = true
		default:
		}
		if _, err := registry.Gather(); err != nil || last {
			return err
		}
	}
}

// After Close the last numbers go on to show.
func TestAfterClose(t *testing.T) {
	m, registry := open(t, sim.New(sim.Options{}), nil)
	_, err := m.Append(bg, "t", 0, big(100))
	require.NoError(t, err)
	require.NoError(t, m.Close())
	requireText(t, registry, `chronik_wal_appends_total 1
chronik_wal_failed_logs 0
chronik_wal_queued_appends 0
chronik_wal_partition_retained_records{partition="0",topic="t"} 1`)
}

// Two logs are told apart by a label that the application gives them.
func TestTwoLogs(t *testing.T) {
	registry := prometheus.NewPedanticRegistry()
	for i, name := range []string{"a", "b"} {
		m, _ := open(t, sim.New(sim.Options{}), nil)
		for range i + 1 {
			_, err := m.Append(bg, "t", 0, big(100))
			require.NoError(t, err)
		}
		prometheus.WrapRegistererWith(prometheus.Labels{"log": name}, registry).MustRegister(metrics.New(m))
	}
	requireText(t, registry, "chronik_wal_appends_total{log=\"a\"} 1\nchronik_wal_appends_total{log=\"b\"} 2")
}

// BenchmarkScrape is one scrape of a log with so many partitions.
func BenchmarkScrape(b *testing.B) {
	for _, partitions := range []int32{1, 100, 10000} {
		b.Run(fmt.Sprint(partitions), func(b *testing.B) {
			m, registry := open(b, sim.New(sim.Options{}), nil, wal.WithBufferSize(4<<20))
			var last wal.Ack
			for i := range partitions {
				p, err := m.Partition("t", i)
				require.NoError(b, err)
				last, err = p.AppendAsync(bg, big(100))
				require.NoError(b, err)
			}
			require.NoError(b, last.Wait(bg))
			for b.Loop() {
				_, err := registry.Gather()
				require.NoError(b, err)
			}
		})
	}
}
