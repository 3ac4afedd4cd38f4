package bench

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	wal "github.com/chronik-go/wal/core"
)

// ReadOptions say what the read benchmark does.
type ReadOptions struct {
	// Dir is a fresh directory.
	Dir string
	// Size is how many bytes of values to write first, in records of RecordSize.
	Size       int64
	RecordSize int
	Duration   time.Duration
	// Random reads single records; else partitions are read from first to last.
	Random bool
	Log    []wal.Option
}

// Check says which option is out of its range.
func (o ReadOptions) Check() error {
	if o.Duration <= 0 {
		return errors.New("--duration: more than 0")
	}
	return checkFill(o.Size, o.RecordSize)
}

// ReadResult is what the read benchmark prints. A latency is the time from asking for a
// record to having it.
type ReadResult struct {
	Bench            string  `json:"bench"`
	Backend          string  `json:"backend"`
	Random           bool    `json:"random"`
	RecordSize       int     `json:"record_size"`
	Duration         float64 `json:"duration_s"`
	Records          int64   `json:"records"`
	RecordsPerSecond float64 `json:"records_per_s"`
	MBPerSecond      float64 `json:"mb_per_s"`
	P50              float64 `json:"p50_us"`
	P99              float64 `json:"p99_us"`
	RSS              float64 `json:"rss_mb"`
	PageCache        string  `json:"page_cache"`
}

// Read writes a log, opens it read-only and measures reading from it: one reader, warm
// page cache.
func Read(ctx context.Context, o ReadOptions) (ReadResult, error) {
	w, err := wal.Open(o.Dir, o.Log...)
	if err != nil {
		return ReadResult{}, err
	}
	filled, err := fill(ctx, w, o.Size, o.RecordSize)
	if err := errors.Join(err, w.Close()); err != nil {
		return ReadResult{}, err
	}
	if err := bring(o.Dir, PageCacheWarm); err != nil {
		return ReadResult{}, err
	}
	m, err := wal.Open(o.Dir, append(o.Log, wal.WithReadOnly())...)
	if err != nil {
		return ReadResult{}, err
	}
	r, err := readFrom(ctx, m, o, filled)
	return r, errors.Join(err, m.Close())
}

func readFrom(ctx context.Context, m *wal.Manager, o ReadOptions, filled Filled) (ReadResult, error) {
	l := newLatencies()
	l.counted.Store(true)
	partitions := make([]*wal.Partition, fillPartitions)
	for i := range partitions {
		p, err := m.Lookup("bench", int32(i))
		if err != nil {
			return ReadResult{}, err
		}
		partitions[i] = p
	}
	read := readPartition
	if o.Random {
		read = readOne
	}
	start := time.Now()
	timed, cancel := context.WithDeadline(ctx, start.Add(o.Duration))
	defer cancel()
	for i := 0; timed.Err() == nil; i++ {
		p := partitions[i%len(partitions)]
		err := read(timed, p, filled.Records/fillPartitions, o.RecordSize, l)
		if err != nil && !errors.Is(err, context.DeadlineExceeded) {
			return ReadResult{}, err
		}
	}
	took := time.Since(start).Seconds()
	hist, records := l.total()
	if records == 0 {
		return ReadResult{}, errNothing
	}
	return ReadResult{
		Bench: "read", Backend: m.Backend(), Random: o.Random, RecordSize: o.RecordSize,
		Duration:         round(took, 3),
		Records:          records,
		RecordsPerSecond: round(ratio(float64(records), took), 1),
		MBPerSecond:      round(ratio(float64(records)*float64(o.RecordSize), took*1e6), 2),
		P50:              quantile(hist, 0.50),
		P99:              quantile(hist, 0.99),
		RSS:              peakRSS(),
		PageCache:        PageCacheWarm,
	}, nil
}

// readPartition reads a whole partition.
func readPartition(ctx context.Context, p *wal.Partition, records int64, size int, l *latencies) error {
	asked := time.Now()
	for r, err := range p.Read(ctx, 0) {
		if err := checkRead(r, err, size); err != nil {
			return err
		}
		now := time.Now()
		l.observe(0, now.Sub(asked), 1)
		asked = now
		records--
	}
	if records != 0 {
		return fmt.Errorf("partition %d: %d records are missing", p.ID(), records)
	}
	return nil
}

// readOne reads one record of a partition.
func readOne(ctx context.Context, p *wal.Partition, records int64, size int, l *latencies) error {
	asked := time.Now()
	for r, err := range p.Read(ctx, rand.Int64N(records)) {
		if err := checkRead(r, err, size); err != nil {
			return err
		}
		break
	}
	l.observe(0, time.Since(asked), 1)
	return nil
}

func checkRead(r wal.Record, err error, size int) error {
	if err == nil && len(r.Value) != size {
		return fmt.Errorf("record at offset %d has %d bytes, not %d", r.Offset, len(r.Value), size)
	}
	return err
}
