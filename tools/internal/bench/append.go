package bench

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	wal "github.com/chronik-go/wal/core"
)

// Append measures appends to a log in o.Dir.
func Append(ctx context.Context, o AppendOptions) (AppendResult, error) {
	layout := wal.LayoutShared
	if o.Layout == "dedicated" {
		layout = wal.LayoutDedicated
	}
	opts := append([]wal.Option{wal.WithLayout(layout)}, o.Log...)
	m, err := wal.Open(o.Dir, opts...)
	if err != nil {
		return AppendResult{}, err
	}
	r, err := appendTo(ctx, m, o)
	if err := errors.Join(err, m.Close()); err != nil {
		return AppendResult{}, err
	}
	r.Bench, r.Backend = "append", m.Backend()
	r.Fsync, err = setting("CHRONIK_WAL_FSYNC_MODE", opts)
	return r, err
}

// setting returns what is in force for an environment variable.
func setting(variable string, opts []wal.Option) (string, error) {
	settings, err := wal.Environment(opts...)
	if err != nil {
		return "", err
	}
	for _, s := range settings {
		if s.Variable == variable {
			return s.Value, nil
		}
	}
	return "", fmt.Errorf("the log knows no setting %s", variable)
}

func appendTo(ctx context.Context, m *wal.Manager, o AppendOptions) (AppendResult, error) {
	partitions := make([]*wal.Partition, o.Partitions)
	for i := range partitions {
		p, err := m.Partition("bench", int32(i))
		if err != nil {
			return AppendResult{}, err
		}
		partitions[i] = p
	}
	if o.Recycle {
		stop := startRetention(m, partitions)
		defer stop()
	}
	var before wal.Stats
	work := func(stop <-chan struct{}, id int, l *latencies) error {
		p := producer{partition: partitions[id%len(partitions)], id: id, latencies: l,
			batches: o.batches(id), pending: make([]pending, 0, o.Inflight)}
		return p.run(until(stop))
	}
	w, err := runLoad(ctx, o.Producers, o.Duration, work, func() { before = m.Stats() })
	if err != nil {
		return AppendResult{}, err
	}
	return newResult(o, w, o.Producers, since(before, m.Stats()))
}

// retentionInterval is how often retention looks whether a segment is full.
const retentionInterval = 20 * time.Millisecond

// startRetention drops all records whenever a segment became full, so that the log goes
// on in the files of old segments. What it returns stops it.
func startRetention(m *wal.Manager, partitions []*wal.Partition) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		tick := time.NewTicker(retentionInterval)
		defer tick.Stop()
		seen := m.Stats().Rotations
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			rotations := m.Stats().Rotations
			if rotations == seen {
				continue
			}
			seen = rotations
			var truncations sync.WaitGroup
			for _, p := range partitions {
				truncations.Go(func() {
					// The load itself meets, and reports, whatever makes this fail.
					_ = p.TruncateBefore(ctx, p.NextOffset())
				})
			}
			truncations.Wait()
		}
	})
	return func() { cancel(); wg.Wait() }
}
