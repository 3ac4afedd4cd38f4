package bench

import (
	"context"
	"fmt"
	"sync"

	wal "github.com/chronik-go/wal/core"
)

// The load that fills a log before it is read or recovered.
const (
	fillPartitions = 16
	fillInflight   = 64
)

// Filled is what a log was filled with.
type Filled struct {
	Bytes   int64 `json:"bytes"`
	Records int64 `json:"records"`
}

// checkFill says whether size and recordSize make a log.
func checkFill(size int64, recordSize int) error {
	if err := checkRecordSize(recordSize, 1); err != nil {
		return err
	}
	if size < int64(recordSize)*fillPartitions {
		return fmt.Errorf("--size %d: at least %d records of %d bytes", size, fillPartitions, recordSize)
	}
	return nil
}

// fill appends values of size bytes together, spread over fillPartitions partitions.
func fill(ctx context.Context, m *wal.Manager, size int64, recordSize int) (Filled, error) {
	perPartition := size / int64(recordSize) / fillPartitions
	errs := make([]error, fillPartitions)
	var wg sync.WaitGroup
	for i := range fillPartitions {
		wg.Go(func() { errs[i] = fillPartition(ctx, m, i, perPartition, recordSize) })
	}
	wg.Wait()
	records := perPartition * fillPartitions
	filled := Filled{Bytes: records * int64(recordSize), Records: records}
	for _, err := range errs { // all of them for one reason: the first will do
		if err != nil {
			return filled, err
		}
	}
	return filled, context.Cause(ctx)
}

func fillPartition(ctx context.Context, m *wal.Manager, number int, records int64, recordSize int) error {
	partition, err := m.Partition("bench", int32(number))
	if err != nil {
		return err
	}
	o := AppendOptions{RecordSize: recordSize, Batch: 1}
	p := producer{partition: partition, id: number, latencies: newLatencies(),
		batches: o.batches(number), pending: make([]pending, 0, fillInflight)}
	return p.run(func() bool { records--; return records >= 0 && ctx.Err() == nil })
}
