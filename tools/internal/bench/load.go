package bench

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	wal "github.com/chronik-go/wal/core"
)

// warmUp is how long a load runs before it is measured.
const warmUp = 500 * time.Millisecond

// AppendOptions say what the append benchmarks do.
type AppendOptions struct {
	// Dir is a fresh directory.
	Dir string
	// Producers append to Partitions, each to its own if there are enough.
	Producers, Partitions int
	// RecordSize is the size of a value, bytes; Batch how many are one append; Inflight
	// how many appends a producer has outstanding.
	RecordSize, Batch, Inflight int
	Duration                    time.Duration
	// Layout is "shared" or "dedicated".
	Layout string
	// Recycle lets retention run: whatever is in full segments is dropped.
	Recycle bool
	// Log are further options of the log.
	Log []wal.Option
}

// Check says which option is out of its range.
func (o AppendOptions) Check() error {
	for _, n := range []struct {
		flag        string
		value, high int
	}{
		{"--producers", o.Producers, 1 << 16},
		{"--partitions", o.Partitions, 1 << 20},
		{"--record-size", o.RecordSize, 100 << 20},
		{"--batch", o.Batch, 1 << 20},
		{"--inflight", o.Inflight, 1 << 20},
	} {
		if n.value < 1 || n.value > n.high {
			return fmt.Errorf("%s %d: from 1 to %d", n.flag, n.value, n.high)
		}
	}
	if o.Layout != "shared" && o.Layout != "dedicated" {
		return fmt.Errorf("--layout %q: shared or dedicated", o.Layout)
	}
	if o.Duration <= 0 {
		return errors.New("--duration: more than 0")
	}
	return nil
}

// batch returns the records of one append, with values that do not compress.
func (o AppendOptions) batch(producer int) []wal.Record {
	random := rand.New(rand.NewPCG(uint64(producer), 1))
	records := make([]wal.Record, o.Batch)
	for i := range records {
		records[i].Value = make([]byte, o.RecordSize)
		for j := range records[i].Value {
			records[i].Value[j] = byte(random.Uint32())
		}
	}
	return records
}

// worker appends until stop is closed, and returns when all it appended is acknowledged.
type worker func(stop <-chan struct{}, id int, l *latencies) error

// window is what was measured between the end of the warm-up and the last ack.
type window struct {
	took        time.Duration
	latencies   *latencies
	before, end usage
}

// runLoad runs workers: a warm-up, then the measurement, which begins with a call of
// begin and ends when every worker has its last ack.
func runLoad(ctx context.Context, workers int, duration time.Duration, work worker, begin func()) (window, error) {
	w := window{latencies: newLatencies()}
	stop := make(chan struct{})
	failed, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	var wg sync.WaitGroup
	for id := range workers {
		wg.Go(func() {
			if err := work(stop, id, w.latencies); err != nil {
				fail(err)
			}
		})
	}
	wait(failed, warmUp)
	begin()
	w.before = currentUsage()
	start := time.Now()
	w.latencies.counted.Store(true)
	wait(failed, duration)
	close(stop)
	wg.Wait()
	w.took = time.Since(start)
	w.end = currentUsage()
	return w, context.Cause(failed)
}

// wait waits for d, or until ctx ends.
func wait(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
