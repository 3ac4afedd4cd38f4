package walv0

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	wal "github.com/chronik-go/wal/core"
)

// Options are those of Scan, Import and Export; what is about v0 data that is read counts for nothing
// in Export.
type Options struct {
	// DryRun has the source looked at, and nothing written.
	DryRun bool
	// AcceptBadCRC takes V2 records with a wrong CRC.
	AcceptBadCRC bool
	// Renumber are partitions, as TOPIC/PARTITION, whose records are numbered from 0 in the order of their
	// files: internal topics repeat offsets.
	Renumber []string
	// AcceptLost has Export leave out what a repair of the log gave up: v0 has no way to say so.
	AcceptLost bool
	// MaxRecord is the size of the largest record, bytes; 0: MaxRecord.
	MaxRecord int64
	// Batch is how much is written at once, in bytes of v0 records; 0: 1 MiB.
	Batch int64
	// TempDir is where what does not fit into memory goes, 48 bytes a record; "": os.TempDir.
	TempDir string
	// Progress is told what is being done (reading, writing, verifying) and how much of it is, in
	// bytes. It may be called from several goroutines.
	Progress func(what string, done, total int64)
}

// Source is a v0 data directory that was scanned.
type Source struct {
	o      Options
	tree   *tree
	sorted sorter
	report Report
	hash   hasher
	// parts are the partitions, as in tree; renumber those that are numbered anew.
	parts    []Partition
	renumber []bool
}

// Scan reads all of a v0 data directory, and changes nothing. An error says that it could not be read;
// what is wrong with the data is in the report. The caller closes the Source.
func Scan(ctx context.Context, dir string, o Options) (*Source, error) {
	t, err := list(dir)
	if err != nil {
		return nil, err
	}
	return scanTree(ctx, t, o)
}

func scanTree(ctx context.Context, t *tree, o Options) (*Source, error) {
	s := &Source{o: o, tree: t, sorted: sorter{most: mostEntries, dir: o.TempDir}}
	if s.o.MaxRecord == 0 {
		s.o.MaxRecord = MaxRecord
	}
	s.o.Progress = progress(o)
	s.o.Batch = batchBytes(o)
	err := s.prepare()
	if err == nil {
		err = s.scan(ctx)
	}
	if err == nil {
		err = s.check()
	}
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func batchBytes(o Options) int64 {
	if o.Batch == 0 {
		return 1 << 20
	}
	return o.Batch
}

func progress(o Options) func(what string, done, total int64) {
	if o.Progress == nil {
		return func(string, int64, int64) {}
	}
	return o.Progress
}

// Close gives back the Source's temporary file.
func (s *Source) Close() error { return s.sorted.close() }

// Report says what the directory holds.
func (s *Source) Report() Report {
	r := s.report
	r.Partitions = slices.Clone(s.parts)
	return r
}

func (s *Source) prepare() error {
	s.report.Files, s.report.Ignored = len(s.tree.files), s.tree.ignored
	for _, f := range s.tree.files {
		s.report.Bytes += f.size
	}
	left := slices.Clone(s.o.Renumber)
	for _, id := range s.tree.partitions {
		if err := wal.CheckPartition(id.topic, id.num); err != nil {
			s.report.damaged(Damage{File: id.String(), Reason: "v1 cannot have this partition: " + err.Error()})
		}
		s.parts = append(s.parts, Partition{Topic: id.topic, Partition: id.num})
		i := slices.Index(left, id.String())
		s.renumber = append(s.renumber, i >= 0)
		if i >= 0 {
			left = slices.Delete(left, i, i+1)
		}
	}
	for _, f := range s.tree.files {
		s.parts[f.part].Bytes += f.size
	}
	if len(left) > 0 {
		return fmt.Errorf("%w: renumber %s: there is no such partition: it has to be TOPIC/PARTITION, of one in the source", wal.ErrInvalid, left[0])
	}
	return nil
}

// scan reads all files.
func (s *Source) scan(ctx context.Context) error {
	done, part := int64(0), -1
	var next int64
	for i, f := range s.tree.files {
		if f.part != part {
			part, next = f.part, 0
		}
		if err := s.scanFile(ctx, i, &next, done); err != nil {
			return fmt.Errorf("%s: %w", f.name, err)
		}
		done += f.size
	}
	return nil
}

// scanFile reads a file. next is the offset behind the highest one of its partition so far.
func (s *Source) scanFile(ctx context.Context, index int, next *int64, done int64) error {
	f := s.tree.files[index]
	file, err := os.Open(filepath.Join(s.tree.dir, f.name))
	if err != nil {
		return err
	}
	defer file.Close()
	r := NewReader(file, f.size, s.o.MaxRecord)
	for n := 0; ; n++ {
		if n%1024 == 0 {
			if err := ctx.Err(); err != nil {
				return err
			}
			s.o.Progress("reading", done+r.position, s.report.Bytes)
		}
		item, err := r.Next()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
		place := Damage{f.name, item.Position, item.Size, item.Reason}
		switch {
		case item.Torn:
			s.report.TornTails++
			if len(s.report.Torn) < mostDamage {
				s.report.Torn = append(s.report.Torn, place)
			}
			continue
		case item.Record == nil:
			s.report.damaged(place)
			continue
		}
		if err := s.take(index, &item, place, next); err != nil {
			return err
		}
	}
}

// take enters a record.
func (s *Source) take(index int, item *Item, place Damage, next *int64) error {
	part := s.tree.files[index].part
	r, id := item.Record, s.tree.partitions[part]
	if item.BadCRC {
		s.report.BadCRC++
		if !s.o.AcceptBadCRC {
			s.report.damaged(place)
		}
	}
	if r.Variant != V1 && (r.Topic != id.topic || r.Partition != id.num) {
		place.Reason = fmt.Sprintf("a record of %q partition %d", r.Topic, r.Partition)
		s.report.damaged(place)
	}
	if len(r.Headers) > wal.MaxHeaders {
		place.Reason = fmt.Sprintf("a record with %d headers: v1 has room for %d", len(r.Headers), wal.MaxHeaders)
		s.report.damaged(place)
	}
	e := entry{offset: r.Offset, last: r.Offset, position: item.Position, file: uint32(index), size: uint32(item.Size), part: uint32(part)}
	switch {
	case s.renumber[part] || r.Offset < 0:
		e.offset, e.last, e.flags = *next, *next, unnumbered
		s.parts[part].Numbered++
	case r.Variant == V2c:
		e.last = r.Last
	}
	if e.offset > maxOffset {
		return fmt.Errorf("%w: offsets are used up", wal.ErrOffsetOutOfRange)
	}
	*next = max(*next, e.last+1)
	e.hash = s.hash.ofV0(r, item.raw, e.offset)
	return s.sorted.add(e)
}

// each calls f with the entries of the records in order, without duplicates, each with the entry
// before it in its partition; of a duplicate that is the one it repeats.
func (s *Source) each(f func(e entry, before *entry, duplicate bool) error) error {
	var before *entry
	var last entry
	return s.sorted.each(func(e entry) error {
		if before != nil && before.part != e.part {
			before = nil
		}
		duplicate := before != nil && (e.flags|before.flags)&unnumbered == 0 && e.offset == before.offset &&
			e.size == before.size && e.hash == before.hash
		if err := f(e, before, duplicate); err != nil {
			return err
		}
		if !duplicate {
			last = e
			before = &last
		}
		return nil
	})
}

// check counts what there is, and finds offsets that come twice.
func (s *Source) check() error {
	files := sourceFiles{tree: s.tree}
	defer files.close()
	next := int64(0)
	err := s.each(func(e entry, before *entry, duplicate bool) error {
		p := &s.parts[e.part]
		if before == nil {
			next = 0
		}
		if duplicate {
			same, err := s.same(&files, e, *before)
			if err != nil {
				return err
			}
			if same {
				p.Duplicates++
				s.report.Duplicates++
				return nil
			}
		}
		if before != nil && e.offset < next {
			s.conflict(e, before)
		}
		next = max(next, e.last+1)
		p.digest.add(e.offset, e.last, e.hash)
		return nil
	})
	for i := range s.parts {
		p := &s.parts[i]
		p.First, p.Next, p.Records = p.digest.first, p.digest.next, p.digest.records
		s.report.Records += p.Records
	}
	return err
}

// conflict enters a record whose offset another one has.
func (s *Source) conflict(e entry, before *entry) {
	s.report.damaged(Damage{
		s.tree.files[e.file].name, e.position, int64(e.size),
		fmt.Sprintf("a record of offset %d, which %s at byte %d has already, with other bytes",
			e.offset, s.tree.files[before.file].name, before.position),
	})
	if id := s.tree.partitions[e.part].String(); !slices.Contains(s.report.Conflicts, id) {
		s.report.Conflicts = append(s.report.Conflicts, id)
	}
}

// unchanged returns an error if the files are not those that were scanned.
func (s *Source) unchanged() error {
	now, err := list(s.tree.dir)
	if err != nil {
		return err
	}
	if !slices.Equal(now.files, s.tree.files) {
		return ErrSourceChanged
	}
	return nil
}

// same reports whether two records have the same bytes but for the CRC.
func (s *Source) same(files *sourceFiles, a, b entry) (bool, error) {
	first, err := files.read(nil, a)
	if err != nil {
		return false, err
	}
	second, err := files.read(nil, b)
	if err != nil {
		return false, err
	}
	at := v2CRC
	if first[posVersion] == 1 {
		at = v1CRC
	}
	return bytes.Equal(first[:at], second[:at]) && bytes.Equal(first[at+4:], second[at+4:]), nil
}

// sourceFiles reads records again. It keeps one file open.
type sourceFiles struct {
	tree *tree
	at   uint32
	file *os.File
}

func (f *sourceFiles) open(e entry) (err error) {
	if f.file != nil && f.at == e.file {
		return nil
	}
	f.close()
	f.at = e.file
	f.file, err = os.Open(filepath.Join(f.tree.dir, f.tree.files[e.file].name))
	return err
}

// read appends the bytes of a record to b.
func (f *sourceFiles) read(b []byte, e entry) ([]byte, error) {
	if err := f.open(e); err != nil {
		return b, err
	}
	from := len(b)
	b = slices.Grow(b, int(e.size))[:from+int(e.size)]
	if _, err := f.file.ReadAt(b[from:], e.position); err != nil {
		return b[:from], fmt.Errorf("%s at byte %d: %w", f.tree.files[e.file].name, e.position, err)
	}
	return b, nil
}

func (f *sourceFiles) close() {
	if f.file != nil {
		f.file.Close()
		f.file = nil
	}
}
