package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"

	walv0 "github.com/chronik-go/wal/compat-v0"
	wal "github.com/chronik-go/wal/core"
)

// What append, read, ls and verify do with CHRONIK_WAL_LEGACY_FORMAT=true, in a v0 directory. The other
// commands are of v1 only.

// readsLegacy reports whether the environment asks for the v0 layout, and the data directory does not have
// the other one: what only reads does so whichever it is.
func (c *cli) readsLegacy() (bool, error) {
	legacy, err := walv0.Legacy()
	if err != nil || !legacy {
		return false, err
	}
	dir, err := c.dataDir()
	return walv0.CheckLayout(dir, true) == nil, err
}

// appendsLegacy is readsLegacy for who writes: the directory must not have the other layout.
func (c *cli) appendsLegacy() (bool, error) {
	legacy, err := walv0.Legacy()
	if err != nil {
		return false, err
	}
	dir, err := c.dataDir()
	if err != nil {
		return false, err
	}
	return legacy, walv0.CheckLayout(dir, legacy)
}

// appendLegacy appends the whole input, each batch with one write and one sync.
func (c *cli) appendLegacy(ctx context.Context, f appendFlags) error {
	if f.producer != 0 {
		return usagef("--producer: v0 knows no producers")
	}
	if err := c.checkLegacy(); err != nil {
		return err
	}
	dir, err := c.dataDir()
	if err != nil {
		return err
	}
	if f.mustExist && !isDir(dir) {
		return fmt.Errorf("%w: %s", wal.ErrNotLog, dir)
	}
	m, err := walv0.Open(dir)
	if err != nil {
		return err
	}
	err = c.feedLegacy(ctx, m, f)
	return errorsFirst(err, m.Close())
}

// checkLegacy refuses flags about how records are stored that a v0 directory has no room for.
func (c *cli) checkLegacy() error {
	for _, f := range []struct{ name, harmless, why string }{
		{"key-file", "", "v0 has no encryption, and the records would be plain"},
		{"cipher", "", "v0 has no encryption, and the records would be plain"},
		{"codec", "none", "v0 has no compression"},
		{"checksum", "crc32c", "v0 has a checksum of its own"},
	} {
		if flag := c.flags.set.Lookup(f.name); flag.Changed && flag.Value.String() != f.harmless {
			return usagef("--%s: %s: leave it out, or set CHRONIK_WAL_LEGACY_FORMAT to false", f.name, f.why)
		}
	}
	return nil
}

func (c *cli) feedLegacy(ctx context.Context, m *walv0.Manager, f appendFlags) error {
	in, closeInput, err := newRecordReader(ctx, c.Stdin, f.prefixed)
	if err != nil {
		return err
	}
	defer closeInput()
	line := newAckLine(f)
	var records []wal.Record
	for {
		value, inputErr := in.next()
		if inputErr == nil {
			records = append(records, wal.Record{Value: value})
		}
		if len(records) == f.batch || len(records) > 0 && inputErr != nil {
			// An append that was begun is finished, also after a signal.
			first, err := m.Append(context.WithoutCancel(ctx), f.topic, f.partition, records...)
			if err != nil {
				return fmt.Errorf("record %d of the input: %w", in.count-int64(len(records))+1, err)
			}
			var out []byte
			for i := range records {
				out = line.put(out, first+int64(i), false)
			}
			if err := c.write(out); err != nil {
				return err
			}
			records = records[:0]
		}
		if errors.Is(inputErr, io.EOF) || errors.Is(inputErr, context.Canceled) {
			return nil
		}
		if inputErr != nil {
			return inputErr
		}
	}
}

// withV0 scans the data directory for f.
func (c *cli) withV0(ctx context.Context, f func(*walv0.Source, walv0.Report) error) error {
	dir, err := c.dataDir()
	if err != nil {
		return err
	}
	s, err := walv0.Scan(ctx, dir, walv0.Options{Progress: c.phases()})
	if err != nil {
		return err
	}
	r := s.Report()
	err = f(s, r)
	return errorsFirst(err, r.Err(), s.Close())
}

func (c *cli) readLegacy(ctx context.Context, f readFlags, out *bufio.Writer, encode func(*wal.Record) error) error {
	if f.follow {
		return usagef("--follow: it is not there for v0 directories")
	}
	return c.withV0(ctx, func(s *walv0.Source, r walv0.Report) error {
		for _, p := range r.Partitions {
			if p.Topic != f.topic || p.Partition != f.partition {
				continue
			}
			if f.from > p.Next {
				return fmt.Errorf("%w: %s/%d: offset %d, the next one is %d", wal.ErrOffsetOutOfRange, f.topic, f.partition, f.from, p.Next)
			}
		}
		printed := int64(0)
		for record, err := range s.Records(ctx, f.topic, f.partition, f.from) {
			if err != nil {
				return errorsFirst(stdoutError(out.Flush()), err)
			}
			if f.limit >= 0 && printed == f.limit {
				break
			}
			if err := encode(&record); err != nil {
				return stdoutError(err)
			}
			printed++
		}
		return stdoutError(out.Flush())
	})
}

func (c *cli) lsLegacy(ctx context.Context, asJSON bool) error {
	return c.withV0(ctx, func(_ *walv0.Source, r walv0.Report) error {
		var list []wal.PartitionInfo
		for _, p := range r.Partitions {
			if p.Records > 0 {
				list = append(list, wal.PartitionInfo{
					Topic: p.Topic, Partition: p.Partition, FirstOffset: p.First, NextOffset: p.Next, DurableOffset: p.Next,
					Records: p.Records, Bytes: p.Bytes,
				})
			}
		}
		return c.printPartitions(list, asJSON)
	})
}

func (c *cli) verifyLegacy(ctx context.Context, asJSON bool) error {
	return c.withV0(ctx, func(_ *walv0.Source, r walv0.Report) error {
		report := wal.Report{OK: r.Err() == nil, Segments: r.Files, Records: r.Records, Bytes: r.Bytes}
		for _, d := range r.Torn {
			report.TornTailBytes += d.Length
		}
		for _, d := range r.Damage {
			report.Damage = append(report.Damage, wal.Damage{Segment: d.File, Offset: d.Offset, Length: d.Length, Reason: d.Reason})
		}
		return c.printReport(&report, asJSON)
	})
}
