package wal

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"slices"

	"github.com/chronik-go/wal/core/backend"
	"github.com/chronik-go/wal/core/format"
)

// DumpOptions say what Dump shows.
type DumpOptions struct {
	// Segment is the number of the segment to show; 0: all, and the close marker.
	Segment uint64
}

// Dump returns what is on disk, segment by segment and front to back: headers, frames,
// batches, control entries, records, footers. It draws no conclusions: what was truncated or
// is void shows like anything else. Where something is damaged it says so, in an item of kind
// DumpBad or in the item's Error, and goes on behind it. What the files do not show by
// themselves, such as a segment that is missing, comes last, unless one segment was asked for.
// It changes nothing, takes no lock, and works beside a running writer.
//
// The iteration ends at the first error: ErrNotLog, ErrNoSegment, ctx.Err(), or what could
// not be read. Keys that were given and do not open all that is encrypted are no damage, but an error that
// wraps ErrKey, behind all items.
// The items' memory is the caller's.
func Dump(ctx context.Context, dir string, o DumpOptions, opts ...Option) iter.Seq2[DumpItem, error] {
	return func(yield func(DumpItem, error) bool) {
		m, err := openToLook(dir, opts)
		if err == nil {
			d := &dumper{ctx: ctx, yield: yield, only: o.Segment, spoiled: map[string]bool{}}
			err = d.run(m)
			err = errors.Join(err, m.abort())
			if err == nil {
				err = d.misfit
			}
			if d.stopped {
				return
			}
		}
		if err != nil {
			yield(DumpItem{}, err)
		}
	}
}

// dumper walks a log and yields what it finds.
type dumper struct {
	ctx     context.Context
	yield   func(DumpItem, error) bool
	only    uint64
	stopped bool // yield said so
	// found: there is a log; asked: and the segment that was asked for.
	found, asked bool

	cfg    *config
	path   string // of the segment, as users see it
	names  map[uint32]format.Declaration
	header format.SegmentHeader // of the segment
	// spoiled are the files where something was shown to be wrong.
	spoiled map[string]bool
	// misfit is what was wrong with the keys for the first batch that they do not open.
	misfit error
}

// errDumpStopped: the caller has seen enough.
var errDumpStopped = errors.New("dump was stopped")

func (d *dumper) run(m *Manager) error {
	d.cfg = m.cfg
	for _, s := range m.shards {
		if err := d.files(s); err != nil {
			return unlessStopped(err)
		}
	}
	switch {
	case !d.found:
		return ErrNotLog
	case d.only > 0 && !d.asked:
		return fmt.Errorf("%w: %d", ErrNoSegment, d.only)
	case d.only > 0:
		return nil
	}
	for _, s := range m.shards {
		if err := d.unseen(s); err != nil {
			return unlessStopped(err)
		}
	}
	return nil
}

func unlessStopped(err error) error {
	if errors.Is(err, errDumpStopped) {
		return nil
	}
	return err
}

// files shows the files of a log.
func (d *dumper) files(s *shard) error {
	names, err := s.dir.List()
	if err != nil {
		return fmt.Errorf("list the log's files: %w", err)
	}
	slices.Sort(names)
	for _, name := range names {
		number, ok := parseSegmentName(name)
		d.found = d.found || ok || name == markerName
		switch {
		case ok && (d.only == 0 || d.only == number):
			d.asked = true
			err = d.file(s, name, d.segment)
		case name == markerName && d.only == 0:
			err = d.file(s, name, d.marker)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// unseen tells of the damage of a log that does not show in what its files hold: what Verify
// finds where nothing bad was shown.
func (d *dumper) unseen(s *shard) error {
	r, err := s.recover(func(r *recovery) {
		r.everything, r.salvage, r.looks, r.stop = true, true, true, d.ctx.Err
	})
	if errors.Is(err, format.ErrVersion) {
		return nil // that was shown
	}
	if err != nil {
		return err
	}
	for _, damage := range r.damage() {
		if d.path = damage.Segment; d.spoiled[d.path] {
			continue
		}
		if err := d.bad(damage.Offset, damage.Length, errors.New(damage.what())); err != nil {
			return err
		}
	}
	return nil
}

// file opens a file for a function that shows it.
func (d *dumper) file(s *shard, name string, show func(f backend.File, size int64) error) error {
	d.path = s.path(name)
	d.names = map[uint32]format.Declaration{}
	f, err := s.dir.Open(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil // a running writer dropped it
	case errors.Is(err, backend.ErrNotRegular):
		return d.bad(0, 0, err)
	case err != nil:
		return fmt.Errorf("open %s: %w", d.path, causeOf(err, name))
	}
	defer f.Close()
	size, err := f.Size()
	if err != nil {
		return fmt.Errorf("size of %s: %w", d.path, err)
	}
	return show(f, size)
}

// item yields an item of the segment.
func (d *dumper) item(kind DumpKind, position, length int64, i DumpItem, problem error) error {
	if err := d.ctx.Err(); err != nil {
		return err
	}
	i.Segment, i.Position, i.Length, i.Kind = d.path, position, length, kind
	if problem != nil {
		i.Error = problem.Error()
		d.spoiled[d.path] = true
	}
	if !d.yield(i, nil) {
		d.stopped = true
		return errDumpStopped
	}
	return nil
}

func (d *dumper) bad(position, length int64, problem error) error {
	return d.item(DumpBad, position, length, DumpItem{}, problem)
}

func (d *dumper) marker(f backend.File, size int64) error {
	b := make([]byte, min(size, format.MarkerSize))
	if _, err := f.ReadAt(b, 0); err != nil && len(b) > 0 {
		return fmt.Errorf("read %s: %w", d.path, err)
	}
	m, err := format.ReadMarker(b)
	if err != nil {
		return d.bad(0, size, err)
	}
	end := dumpLink(m.End)
	return d.item(DumpMarker, 0, format.MarkerSize, DumpItem{End: &end, Unsealed: m.Unsealed}, nil)
}
