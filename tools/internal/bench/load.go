package bench

import (
	"context"
	"errors"
	"fmt"
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
	// Compressibility is the share of each value that repeats, percent. Text, if there is any,
	// is what the values are cut out of instead.
	Compressibility int
	Text            []byte
	// Codec is the name of the log's, for the result.
	Codec string
	// Log are further options of the log.
	Log []wal.Option
}

// What a log accepts as one append, bytes, and what it adds to a value.
const (
	appendLimit    = 100 << 20
	recordOverhead = 24
)

// Bounds for what a load keeps in memory.
const (
	mostValues   = 4 << 30 // bytes of values of all producers
	mostInFlight = 1 << 24 // appends of all producers
)

// checkRecordSize tells whether a log accepts so many values of a size as one append.
func checkRecordSize(size, batch int) error {
	if high := appendLimit/batch - recordOverhead; size < 1 || size > high {
		return fmt.Errorf("--record-size %d: from 1 to %d with --batch %d", size, max(high, 1), batch)
	}
	return nil
}

// Check says which option is out of its range, beyond what the flags check.
func (o AppendOptions) Check() error {
	if err := checkRecordSize(o.RecordSize, o.Batch); err != nil {
		return err
	}
	switch {
	case int64(o.Producers)*int64(o.Batch)*int64(o.RecordSize) > mostValues:
		return fmt.Errorf("--producers %d: with --batch %d and --record-size %d they need more than %d bytes for their values",
			o.Producers, o.Batch, o.RecordSize, int64(mostValues))
	case int64(o.Producers)*int64(o.Inflight) > mostInFlight:
		return fmt.Errorf("--inflight %d: with %d producers, at most %d", o.Inflight, o.Producers, mostInFlight/o.Producers)
	case o.Duration <= 0:
		return errors.New("--duration: more than 0")
	}
	return nil
}

// errNothing is returned where a load was over before anything of it could be measured.
var errNothing = errors.New("nothing was measured: no record was done within --duration; give it more time")

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
