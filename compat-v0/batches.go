package walv0

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"

	wal "github.com/chronik-go/wal/core"
)

// batch is records of one partition as v1 has them, in the order of offsets.
type batch struct {
	part    int
	records []wal.Record
	// last is the last offset that the last record stands for, size how many bytes of the source the
	// records are.
	last, size int64

	entries []entry
	raw     []byte
	record  Record
	arena   arena
}

// batchRecords is how many records a batch holds at most.
const batchRecords = 4096

// batches calls f with all records of the source from from(partition) on, which is -1 for none. Who
// calls gets batches from get, and f owns what it gets.
func (s *Source) batches(ctx context.Context, from func(part int) int64, get func() *batch, f func(*batch) error) error {
	files := sourceFiles{tree: s.tree}
	defer files.close()
	var b *batch
	flush := func() error {
		if b == nil {
			return nil
		}
		full := b
		b = nil
		if err := s.load(&files, full); err != nil {
			return err
		}
		return errors.Join(ctx.Err(), f(full))
	}
	err := s.each(func(e entry, _ *entry, duplicate bool) error {
		begin := from(int(e.part))
		if duplicate || begin < 0 || e.offset < begin {
			return nil
		}
		if b != nil && (b.part != int(e.part) || b.size+int64(e.size) > s.o.Batch || len(b.entries) == batchRecords) {
			if err := flush(); err != nil {
				return err
			}
		}
		if b == nil {
			b = get()
			b.part, b.size, b.entries = int(e.part), 0, b.entries[:0]
		}
		b.entries = append(b.entries, e)
		b.size += int64(e.size)
		b.last = e.last
		return nil
	})
	if err != nil {
		return err
	}
	return flush()
}

// load reads the records of a batch, as many at once as stand side by side.
func (s *Source) load(files *sourceFiles, b *batch) error {
	b.raw = slices.Grow(b.raw[:0], int(b.size))
	for rest := b.entries; len(rest) > 0; {
		run, n := rest[0], 1
		for ; n < len(rest) && rest[n].file == run.file && rest[n].position == run.position+int64(run.size); n++ {
			run.size += rest[n].size
		}
		var err error
		if b.raw, err = files.read(b.raw, run); err != nil {
			return fmt.Errorf("%w: %w", ErrSourceChanged, err)
		}
		rest = rest[n:]
	}
	clear(b.records)
	b.records = b.records[:0]
	b.arena.reset()
	at := 0
	for _, e := range b.entries {
		raw := b.raw[at : at+int(e.size)]
		at += int(e.size)
		view := func(n int64) ([]byte, error) { return raw[:n], nil }
		v, size, err := measure(view, int64(len(raw)), int64(len(raw)))
		if err == nil {
			err = decode(raw, v, &b.record)
		}
		if err != nil || size != int64(len(raw)) || s.hash.ofV0(&b.record, raw, e.offset) != e.hash {
			return fmt.Errorf("%w: %s at byte %d", ErrSourceChanged, s.tree.files[e.file].name, e.position)
		}
		b.records = append(b.records, b.arena.v1(&b.record, e.offset))
	}
	return nil
}

// Records returns the records of a partition from an offset on, in the order of offsets, as v1 has
// them. Their memory is the caller's.
func (s *Source) Records(ctx context.Context, topic string, partition int32, from int64) iter.Seq2[wal.Record, error] {
	return func(yield func(wal.Record, error) bool) {
		part, ok := slices.BinarySearchFunc(s.tree.partitions, partitionID{topic, partition}, comparePartitions)
		if !ok {
			yield(wal.Record{}, fmt.Errorf("%w: %s/%d", wal.ErrNoPartition, topic, partition))
			return
		}
		begin := func(p int) int64 {
			if p != part {
				return -1
			}
			return max(from, 0)
		}
		fresh := func() *batch { return &batch{} }
		err := s.batches(ctx, begin, fresh, func(b *batch) error {
			for _, r := range b.records {
				if !yield(r, nil) {
					return errStopped
				}
			}
			return nil
		})
		if err != nil && !errors.Is(err, errStopped) {
			yield(wal.Record{}, err)
		}
	}
}

var errStopped = errors.New("iteration was stopped")
