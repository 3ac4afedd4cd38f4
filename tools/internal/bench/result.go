package bench

import wal "github.com/chronik-go/wal/core"

// AppendResult is what the append benchmarks print. Latencies are in microseconds, sizes
// in 10^6 bytes.
type AppendResult struct {
	Bench              string  `json:"bench"`
	Backend            string  `json:"backend"`
	Fsync              string  `json:"fsync"`
	Layout             string  `json:"layout"`
	Producers          int     `json:"producers"`
	Partitions         int     `json:"partitions"`
	RecordSize         int     `json:"record_size"`
	Batch              int     `json:"batch"`
	Inflight           int     `json:"inflight"`
	Duration           float64 `json:"duration_s"`
	Records            int64   `json:"records"`
	RecordsPerSecond   float64 `json:"records_per_s"`
	MBPerSecond        float64 `json:"mb_per_s"`
	P50                float64 `json:"p50_us"`
	P99                float64 `json:"p99_us"`
	P999               float64 `json:"p999_us"`
	Max                float64 `json:"max_us"`
	Groups             uint64  `json:"groups"`
	Syncs              uint64  `json:"syncs"`
	AllocsPerRecord    float64 `json:"allocs_per_record"`
	LockWait           float64 `json:"lock_wait_pct"`
	CPU                float64 `json:"cpu_s"`
	RSS                float64 `json:"rss_mb"`
	WriteAmplification float64 `json:"write_amplification"`
	// Recycled counts the segments that reused an old file.
	Recycled uint64 `json:"recycled"`
	// Codec is the log's, none in a baseline; Ratio how many bytes of records one byte on disk stands for.
	Codec string  `json:"codec"`
	Ratio float64 `json:"compression_ratio"`
}

// newResult fills in what the window shows; engine is what the log counted meanwhile.
func newResult(o AppendOptions, w window, workers int, engine wal.Stats) (AppendResult, error) {
	hist, records := w.latencies.total()
	if records == 0 {
		return AppendResult{}, errNothing
	}
	seconds := w.took.Seconds()
	valueBytes := float64(records) * float64(o.RecordSize)
	return AppendResult{
		Layout: o.Layout, Producers: o.Producers, Partitions: o.Partitions,
		RecordSize: o.RecordSize, Batch: o.Batch, Inflight: o.Inflight,
		Duration:         round(seconds, 3),
		Records:          records,
		RecordsPerSecond: round(ratio(float64(records), seconds), 1),
		MBPerSecond:      round(ratio(valueBytes, seconds*1e6), 2),
		P50:              quantile(hist, 0.50),
		P99:              quantile(hist, 0.99),
		P999:             quantile(hist, 0.999),
		Max:              micros(hist.Max()),
		Groups:           engine.Groups,
		Syncs:            engine.Syncs,
		AllocsPerRecord:  round(ratio(float64(w.end.mallocs-w.before.mallocs), float64(records)), 3),
		// A wait counts where it ends, so one that began in the warm-up counts whole.
		LockWait:           min(100, round(100*ratio(engine.LockWait.Seconds(), float64(workers)*seconds), 2)),
		CPU:                round((w.end.cpu - w.before.cpu).Seconds(), 3),
		RSS:                peakRSS(),
		WriteAmplification: round(ratio(written(w, engine), valueBytes), 3),
		Recycled:           engine.Recycled,
		Codec:              o.Codec,
		Ratio:              round(ratio(float64(engine.RawBytes), float64(engine.Bytes)), 3),
	}, nil
}

// written is how many bytes went to the block layer, or to the backend where the system
// does not count the former or, as for a file system in memory, has none.
func written(w window, engine wal.Stats) float64 {
	if n := w.end.blockBytes - w.before.blockBytes; w.before.blockBytes >= 0 && n > 0 {
		return float64(n)
	}
	return float64(engine.BytesWritten)
}

// since returns what was counted between two snapshots, for the fields that a result
// shows.
func since(before, end wal.Stats) wal.Stats {
	return wal.Stats{
		Groups:       end.Groups - before.Groups,
		Syncs:        end.Syncs - before.Syncs,
		BytesWritten: end.BytesWritten - before.BytesWritten,
		LockWait:     end.LockWait - before.LockWait,
		Recycled:     end.Recycled - before.Recycled,
		Bytes:        end.Bytes - before.Bytes,
		RawBytes:     end.RawBytes - before.RawBytes,
	}
}
