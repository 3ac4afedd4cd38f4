package walv0

import (
	"context"
	"errors"
	"fmt"
	"strings"

	wal "github.com/chronik-go/wal/core"
)

// Import makes a v1 log in the directory to, which is empty or not there, of the v0 data directory from.
// It reads all of it first, and writes nothing if it is damaged: ErrDamaged, with the places in the
// report. What it writes is durable and verified before it gets its name, so the log is there as a whole
// or not at all. An Import that was interrupted, in whatever way, is run again with the same options: it
// goes on where the other one ended. If the log is there already with just these records, stored as opts
// ask for, nothing is written; ErrForeign if it has other records, or has them otherwise.
//
// Memory is bounded: about 100 MiB, or three times the largest record. opts are those of the log. The
// report is nil if the source could not be read.
func Import(ctx context.Context, from, to string, o Options, opts ...wal.Option) (*Report, error) {
	s, err := Scan(ctx, from, o)
	if err != nil {
		return nil, err
	}
	report := s.Report()
	report.DryRun = o.DryRun
	if err = report.Err(); err == nil && !o.DryRun {
		i := &importer{source: s, to: to, report: &report, opts: append(opts[:len(opts):len(opts)],
			wal.WithLegacyFormat(false), wal.WithMaxRecordSize(wal.MaxRecordLimit))}
		err = i.run(ctx)
	}
	return &report, errors.Join(err, s.Close())
}

type importer struct {
	source *Source
	stored wal.Storage
	to     string
	report *Report
	opts   []wal.Option
}

func (i *importer) run(ctx context.Context) (err error) {
	if i.stored, err = wal.StorageOf(i.opts...); err != nil {
		return err
	}
	return migrate(ctx, i.to, goalOf("v1", i.stored, i.source.o, i.source.parts), i.report, i)
}

func (i *importer) unchanged(context.Context) error { return i.source.unchanged() }

func (i *importer) foreign(err error) error {
	switch {
	case errors.Is(err, wal.ErrNotEncrypted):
		return fmt.Errorf("%w: %s is there already, and not encrypted: %w", ErrForeign, i.to, err)
	case errors.Is(err, wal.ErrKey):
		return fmt.Errorf("%w: %s is there already, and encrypted: %w", ErrForeign, i.to, err)
	}
	return fmt.Errorf("%w: %s: %w", ErrForeign, i.to, err)
}

// write appends what is not in the log yet.
func (i *importer) write(ctx context.Context, dir string) error {
	// Nothing counts before all of it is durable, which Close sees to.
	opts := append(i.opts[:len(i.opts):len(i.opts)], wal.WithFsyncMode(wal.FsyncPeriodic))
	m, err := wal.Open(dir, opts...)
	if err != nil {
		return err
	}
	w := &writer{m: m, source: i.source, parts: make([]written, len(i.source.parts))}
	if err := w.run(ctx); err != nil {
		_ = m.Close() // what failed already says more than what fails now
		return err
	}
	return m.Close()
}

// verify compares a log with the source. None of its records is plain if they are to be encrypted.
func (i *importer) verify(ctx context.Context, dir string) error {
	opts := append(i.opts[:len(i.opts):len(i.opts)], wal.WithReadOnly())
	if i.stored.Cipher != "" {
		opts = append(opts, wal.WithSealedOnly())
	}
	m, err := wal.Open(dir, opts...)
	if errors.Is(err, wal.ErrNotLog) && i.report.Records == 0 {
		return nil
	}
	if err != nil {
		return err
	}
	found, err := digestLog(ctx, m, func(done int64) { i.source.o.Progress("verifying", done, i.report.Bytes) })
	if err == nil {
		err = i.compareStorage(m)
	}
	if err = errors.Join(err, m.Close()); err != nil {
		return err
	}
	return compare(i.source.parts, found)
}

// compareStorage says where segments have another cipher, or another codec than the one for all topics. One
// without a codec may have what no codec makes smaller, and one that is not registered has no name there.
func (i *importer) compareStorage(m *wal.Manager) error {
	segments, err := m.Segments()
	if err != nil {
		return err
	}
	for _, g := range segments {
		if g.Cipher != "" && i.stored.Cipher != "" && g.Cipher != i.stored.Cipher {
			return fmt.Errorf("%w: %s is encrypted with %s, not %s", ErrVerify, g.Name, g.Cipher, i.stored.Cipher)
		}
		for _, codec := range g.Codecs {
			unnamed := strings.HasPrefix(codec, "codec ") // without it, nothing could be read
			if codec != "none" && codec != i.stored.Codec && !unnamed && len(i.stored.TopicCodecs) == 0 {
				return fmt.Errorf("%w: %s is compressed with %s", ErrVerify, g.Name, codec)
			}
		}
	}
	return nil
}

// digestLog reads all records of a log.
func digestLog(ctx context.Context, m *wal.Manager, progress func(done int64)) (map[partitionID]*digest, error) {
	found := map[partitionID]*digest{}
	for _, p := range m.Partitions() {
		found[partitionID{p.Topic, p.Partition}] = &digest{}
	}
	var h hasher
	var failed error
	bytes, n := int64(0), 0
	m.Visit(ctx, func(e wal.Entry, err error) bool {
		if err != nil {
			failed = err
			return false
		}
		if n++; n%4096 == 0 {
			progress(bytes)
		}
		bytes += int64(v1Fixed + len(e.Key) + len(e.Value))
		if d := found[partitionID{e.Topic, e.Partition}]; d != nil {
			d.add(e.Offset, e.Offset, h.ofV1(&e.Record))
		}
		return true
	})
	for _, p := range m.Partitions() {
		if d := found[partitionID{p.Topic, p.Partition}]; d != nil {
			d.next = p.NextOffset
		}
	}
	return found, failed
}

// compare says how partitions that were found differ from those that there should be.
func compare(parts []Partition, found map[partitionID]*digest) error {
	for _, p := range parts {
		id := partitionID{p.Topic, p.Partition}
		got := found[id]
		delete(found, id)
		if got == nil {
			got = &digest{}
		}
		if got.records != p.digest.records || got.sum != p.digest.sum || got.next != p.digest.next {
			return fmt.Errorf("%w: %v: %d records, the next offset is %d; it should have %d and %d",
				ErrVerify, id, got.records, got.next, p.digest.records, p.digest.next)
		}
	}
	for id, got := range found {
		if got.records > 0 || got.next > 0 {
			return fmt.Errorf("%w: %v with %d records", ErrVerify, id, got.records)
		}
	}
	return nil
}
