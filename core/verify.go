package wal

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/chronik-go/wal/core/backend"
)

// Report is what Verify found.
type Report struct {
	// OK: nothing is damaged.
	OK       bool `json:"ok"`
	Segments int  `json:"segments"`
	// Records is the number of records that are there to be read.
	Records int64 `json:"records"`
	// Bytes is the size of what was read and checked.
	Bytes int64 `json:"bytes"`
	// TornTailBytes is what a crash left unfinished at the end of the log, or a running
	// writer has not finished yet. It is no damage: nothing in it was acknowledged.
	TornTailBytes int64    `json:"torn_tail_bytes"`
	Damage        []Damage `json:"damage"`
	// UncheckedBatches counts those whose frame and checksum are good, and whose contents could
	// not be looked at: this program has no codec, or no key, for them.
	UncheckedBatches int64 `json:"unchecked_batches"`
	// DeclaredLost are the offsets whose records a repair gave up: readers yield a
	// *LostError for them. They are no damage any more.
	DeclaredLost []PartitionSpan `json:"declared_lost"`
	// MissingCopies are the files of dictionaries that are missing while the other copy is sound. That is
	// no damage: the next open for writing makes them anew.
	MissingCopies []string `json:"missing_copies"`
}

// Verify reads everything in a log and checks all of it: each frame, record, index and
// checksum, that segments follow from one another, and that no offset is missing. It changes
// nothing, takes no lock, needs no write permission, and works beside a running writer. Its
// memory does not depend on the size of the log.
//
// Damage is not an error: the Report lists it. The error wraps ErrNotLog if there is no log,
// ctx.Err() if ctx ended, or says what could not be read.
//
// What is encrypted is decrypted too where the key is there (WithKeys). Keys that were given and do not fit
// all segments are an error that wraps ErrKey; the Report on the rest is there with it. Key files are
// not looked at: they repeat what the segments hold. Both copies
// of each dictionary are.
//
// What it cannot find: a damaged footer of a segment that the log was not closed cleanly with, since a crash may
// leave the same. The footer repeats what the frames say; nothing is lost by it.
func Verify(ctx context.Context, dir string, opts ...Option) (*Report, error) {
	x, err := examine(ctx, dir, opts, func(r *recovery) { r.looks = true })
	if err != nil {
		return nil, err
	}
	report := x.report()
	damage, missing, err := x.dictionaryDamage()
	report.Damage = append(report.Damage, damage...)
	report.MissingCopies = missing
	report.OK = len(report.Damage) == 0
	return report, errors.Join(err, x.fitKeys(), x.close())
}

// fitKeys tells whether the keys that were given fit all segments.
func (x *examination) fitKeys() error {
	if x.m.cfg.keys == nil {
		return nil
	}
	for _, r := range x.logs {
		for _, g := range r.segments {
			if g.Key == nil {
				continue
			}
			if _, err := x.m.cfg.aead(g.Log, g.Key); err != nil {
				return fmt.Errorf("contents were not checked: segment %s: %w", g.path, err)
			}
		}
	}
	return nil
}

// examination is a log, opened read-only, all of which was read.
type examination struct {
	m    *Manager
	logs []*recovery
}

// examine reads everything in a log.
func examine(ctx context.Context, dir string, opts []Option, configure func(*recovery)) (*examination, error) {
	m, err := openToLook(dir, opts)
	if err != nil {
		return nil, err
	}
	x := &examination{m: m}
	if err := x.run(ctx, configure); err != nil {
		return nil, errors.Join(fmt.Errorf("read %s: %w", dir, err), x.close())
	}
	return x, nil
}

// openToLook opens the directories of a log, and nothing in them.
func openToLook(dir string, opts []Option) (*Manager, error) {
	cfg, err := newConfig(append(slices.Clone(opts), WithReadOnly()))
	if err != nil {
		return nil, err
	}
	if err := cfg.chooseBackend(); err != nil {
		return nil, err
	}
	m := &Manager{cfg: cfg, path: absolute(dir), partitions: map[partitionKey]*Partition{}}
	if m.root, err = cfg.backend.OpenDir(dir, backend.DirOptions{ReadOnly: true}); err != nil {
		return nil, fmt.Errorf("open data directory %s: %w", dir, causeOf(err, dir))
	}
	if err := m.openLogs(); err != nil {
		return nil, errors.Join(fmt.Errorf("open %s: %w", dir, err), m.abort())
	}
	return m, nil
}

func (x *examination) close() error { return x.m.abort() }

func (x *examination) run(ctx context.Context, configure func(*recovery)) error {
	p := &progress{report: x.m.cfg.progress}
	for _, s := range x.m.shards {
		n, err := s.size()
		if err != nil {
			return err
		}
		p.total += n
	}
	found := false
	for _, s := range x.m.shards {
		r, err := s.recover(func(r *recovery) {
			configure(r)
			r.everything, r.salvage = true, true
			r.stop, r.progress = ctx.Err, p.add
		})
		if err != nil {
			return err
		}
		x.logs = append(x.logs, r)
		if err := x.m.claim(s, r.sorted()); err != nil {
			return err
		}
		found = found || len(r.numbers) > 0 || r.marker != nil || r.badMarker != nil
	}
	if !found {
		return ErrNotLog
	}
	return nil
}

func (x *examination) report() *Report {
	report := &Report{}
	for _, r := range x.logs {
		report.Segments += len(r.segments)
		report.TornTailBytes += r.tornTail
		report.UncheckedBatches += r.unchecked
		report.Damage = append(report.Damage, r.damage()...)
		for _, g := range r.segments {
			report.Bytes += g.end.Load()
		}
		for _, p := range r.partitions {
			report.Records += p.extents.count()
			report.DeclaredLost = append(report.DeclaredLost, p.declaredLost()...)
		}
	}
	report.DeclaredLost = declaredOnly(report.DeclaredLost, report.Damage)
	report.OK = len(report.Damage) == 0
	return report
}

// progress adds up what several segments report.
type progress struct {
	report      func(done, total int64)
	mu          sync.Mutex
	done, total int64
}

func (p *progress) add(n int64) {
	if p.report == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.done += n
	p.total = max(p.total, p.done) // a running writer may have added segments
	p.report(p.done, p.total)
}

// size returns the size of all segments of a log.
func (s *shard) size() (total int64, err error) {
	names, err := s.dir.List()
	if err != nil {
		return 0, fmt.Errorf("list the log's files: %w", err)
	}
	for _, name := range names {
		if _, ok := parseSegmentName(name); !ok {
			continue
		}
		f, err := s.dir.Open(name)
		if err != nil {
			continue // recovery tells why
		}
		n, err := f.Size()
		_ = f.Close()
		if err == nil {
			total += n
		}
	}
	return total, nil
}
