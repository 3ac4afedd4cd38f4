package walv0

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"path/filepath"
	"slices"
	"sync"
	"time"

	wal "github.com/chronik-go/wal/core"
	"github.com/chronik-go/wal/core/backend"
)

// store is a v0 directory that is open for writing.
type store struct {
	dir  string
	lock backend.Dir

	mu     sync.Mutex
	parts  map[partitionID]*stored
	closed bool
}

// stored is a partition of it.
type stored struct {
	id partitionID

	mu sync.Mutex
	// files is nil until the first append.
	files  *files
	info   wal.PartitionInfo
	failed error
}

func openStore(dir string) (*store, error) {
	if err := makeDirs(filepath.Clean(dir)); err != nil {
		return nil, err
	}
	b, _, err := backend.Auto()
	if err != nil {
		return nil, err
	}
	s := &store{dir: dir, parts: map[partitionID]*stored{}}
	if s.lock, err = b.OpenDir(dir, backend.DirOptions{}); err != nil {
		return nil, err
	}
	if err = s.lock.Lock(); err == nil {
		err = s.load()
	}
	if err != nil {
		return nil, errors.Join(err, s.lock.Close())
	}
	return s, nil
}

// load finds out what there is.
func (s *store) load() error {
	source, err := Scan(context.Background(), s.dir, Options{})
	if errors.Is(err, ErrNoSource) {
		return nil
	}
	if err != nil {
		return err
	}
	r := source.Report()
	if err := errors.Join(r.Err(), source.Close()); err != nil {
		return err
	}
	for _, p := range r.Partitions {
		id := partitionID{p.Topic, p.Partition}
		s.parts[id] = &stored{id: id, info: wal.PartitionInfo{
			Topic: p.Topic, Partition: p.Partition, FirstOffset: p.First, NextOffset: p.Next, DurableOffset: p.Next, Records: p.Records,
			Bytes: p.Bytes,
		}}
	}
	return nil
}

// partition returns one, new if create is set and there is none.
func (s *store) partition(id partitionID, create bool) (*stored, error) {
	if err := wal.CheckPartition(id.topic, id.num); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.parts[id]
	switch {
	case s.closed:
		return nil, wal.ErrClosed
	case p == nil && !create:
		return nil, fmt.Errorf("%w: %v", wal.ErrNoPartition, id)
	case p == nil:
		p = &stored{id: id, info: wal.PartitionInfo{Topic: id.topic, Partition: id.num}}
		s.parts[id] = p
	}
	return p, nil
}

// append writes records with one write, and syncs the file.
func (s *store) append(ctx context.Context, id partitionID, records []wal.Record) (int64, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	if len(records) == 0 {
		return 0, fmt.Errorf("%w: append of no records", wal.ErrInvalid)
	}
	p, err := s.partition(id, true)
	if err != nil {
		return 0, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.failed != nil {
		return 0, p.failed
	}
	b, err := p.encode(records)
	if err != nil {
		return 0, err
	}
	if err := p.write(s.dir, b); err != nil {
		// What of it is in the file is not known: that is for the next open to find out.
		p.failed = fmt.Errorf("%w: %v: %w", wal.ErrFailed, id, err)
		return 0, p.failed
	}
	first := p.info.NextOffset
	p.info.NextOffset += int64(len(records))
	p.info.DurableOffset = p.info.NextOffset
	if p.info.Records == 0 {
		p.info.FirstOffset = first
	}
	p.info.Records += int64(len(records))
	p.info.Bytes += int64(len(b))
	return first, nil
}

// encode returns records as V1 has them, at the offsets that they get.
func (p *stored) encode(records []wal.Record) (b []byte, err error) {
	now := time.Now()
	for i := range records {
		r := records[i]
		if r.Offset = p.info.NextOffset + int64(i); r.Timestamp.IsZero() {
			r.Timestamp = now
		}
		from := len(b)
		if b, err = AppendV1(b, &r); err != nil {
			return nil, err
		}
		if len(b)-from > MaxRecord {
			return nil, fmt.Errorf("%w: %v: %d bytes (the limit is %d)", wal.ErrRecordTooLarge, p.id, len(b)-from, MaxRecord)
		}
	}
	return b, nil
}

func (p *stored) write(dir string, b []byte) (err error) {
	if p.files == nil {
		if p.files, err = openPartition(dir, p.id); err != nil {
			return err
		}
	}
	if err := p.files.write(b); err != nil {
		return err
	}
	return p.files.file.Sync()
}

// read returns what is durable when it begins.
func (s *store) read(ctx context.Context, id partitionID, from int64) iter.Seq2[wal.Record, error] {
	return func(yield func(wal.Record, error) bool) {
		source, err := s.scan(ctx, id, from)
		if err != nil {
			yield(wal.Record{}, err)
			return
		}
		for r, err := range source.Records(ctx, id.topic, id.num, from) {
			if !yield(r, err) {
				break
			}
		}
		if err := source.Close(); err != nil {
			yield(wal.Record{}, err)
		}
	}
}

// scan reads a partition, with no append under way when it looks how long the files are.
func (s *store) scan(ctx context.Context, id partitionID, from int64) (*Source, error) {
	p, err := s.partition(id, false)
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	next := p.info.NextOffset
	t := &tree{dir: s.dir}
	err = t.partition(id, folderOf(id))
	p.mu.Unlock()
	switch {
	case errors.Is(err, fs.ErrNotExist): // nothing was appended yet
		t.partitions = []partitionID{id}
	case err != nil:
		return nil, err
	case from < 0 || from > next:
		return nil, fmt.Errorf("%w: %v: offset %d, the next one is %d", wal.ErrOffsetOutOfRange, id, from, next)
	}
	t.sort()
	source, err := scanTree(ctx, t, Options{})
	if err != nil {
		return nil, err
	}
	if err := source.report.Err(); err != nil {
		return nil, errors.Join(err, source.Close())
	}
	return source, nil
}

func (s *store) list() (list []wal.PartitionInfo) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.parts {
		p.mu.Lock()
		if p.info.NextOffset > 0 {
			list = append(list, p.info)
		}
		p.mu.Unlock()
	}
	slices.SortFunc(list, func(a, b wal.PartitionInfo) int {
		return comparePartitions(partitionID{a.Topic, a.Partition}, partitionID{b.Topic, b.Partition})
	})
	return list
}

func (s *store) close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	var errs []error
	for _, p := range s.parts {
		p.mu.Lock()
		if p.failed == nil {
			p.failed = wal.ErrClosed
		}
		if p.files != nil {
			errs = append(errs, p.files.file.Close()) // each append was synced
		}
		p.mu.Unlock()
	}
	return errors.Join(append(errs, s.lock.Close())...)
}
