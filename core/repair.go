package wal

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/chronik-go/wal/core/backend"
)

// RepairOptions say how Repair goes about it.
type RepairOptions struct {
	// Quarantine is the directory that gets what is taken out of the log. It is created
	// (mode 0700) if it is missing. It may be on another file system, but not be a
	// directory of the log. Only a dry run can do without.
	Quarantine string
	// DryRun says what would be done and changes nothing.
	DryRun bool
}

// RepairReport is what Repair found and did.
type RepairReport struct {
	// Damage is what was found; none: there was nothing to repair.
	Damage []Damage `json:"damage"`
	// Actions are what was done about it, in order.
	Actions []string `json:"actions"`
	// Lost are the offsets that were given up, as far as is known.
	Lost []PartitionSpan `json:"lost"`
	// Moved are the files that were taken out of the log, by their new path.
	Moved []string `json:"moved"`
}

// repairRounds bounds how often Repair reads the log again and repairs what it still finds.
// One is enough but for damage that hides other damage.
const repairRounds = 4

// Repair makes a damaged log openable. It keeps every undamaged record, also those behind
// damage, with its offset; it moves, never deletes, the files that it replaces; and where
// records are lost it writes that into the log, so that readers get a *LostError there and
// never see the next record in its place. The log is then read again in full: without an
// error it is without damage. A log without damage is left alone.
//
// Each damaged segment is rebuilt under a temporary name from what is sound in it, made
// durable, and takes the place of the damaged one once that is durable in the quarantine.
// So a repair that a crash or ctx interrupts can be run again.
//
// It returns, wrapped, ErrInvalid without a quarantine, ErrLocked while a writer has the
// log open, ErrNotLog where there is none, *DamageError if damage is left that it cannot
// repair. The report is there as soon as damage was found, with an error too.
func Repair(ctx context.Context, dir string, o RepairOptions, opts ...Option) (*RepairReport, error) {
	p := &repairer{ctx: ctx, path: dir, o: o, opts: opts, report: &RepairReport{}}
	if o.Quarantine == "" && !o.DryRun {
		return nil, fmt.Errorf("%w: repair needs a quarantine directory", ErrInvalid)
	}
	if o.DryRun {
		return p.report, p.round(0)
	}
	if err := p.lock(); err != nil {
		return nil, err
	}
	err := p.run()
	p.report.Lost = joinSpans(p.report.Lost)
	return p.report, errors.Join(err, p.close())
}

// repairer repairs the logs of one data directory.
type repairer struct {
	ctx    context.Context
	path   string
	o      RepairOptions
	opts   []Option
	report *RepairReport

	root       backend.Dir // locked
	backend    backend.Backend
	quarantine backend.Dir // nil until it is needed
	done       bool
}

// lock takes the data directory for this repair.
func (p *repairer) lock() error {
	cfg, err := newConfig(append(slices.Clone(p.opts), WithReadOnly()))
	if err != nil {
		return err
	}
	if err := cfg.chooseBackend(); err != nil {
		return err
	}
	p.backend = cfg.backend
	if p.root, err = p.backend.OpenDir(p.path, backend.DirOptions{}); err != nil {
		return fmt.Errorf("open data directory %s: %w", p.path, err)
	}
	if err := p.root.Lock(); err != nil {
		return errors.Join(fmt.Errorf("lock data directory %s: %w", p.path, err), p.root.Close())
	}
	return nil
}

func (p *repairer) close() error {
	var errs []error
	if p.quarantine != nil {
		errs = append(errs, p.quarantine.Close())
	}
	return errors.Join(append(errs, p.root.Close())...)
}

func (p *repairer) run() error {
	for n := range repairRounds {
		if err := p.round(n); err != nil || p.done {
			return err
		}
	}
	return nil
}

// round reads the whole log and repairs what is damaged.
func (p *repairer) round(n int) error {
	x, err := examine(p.ctx, p.path, p.opts, !p.o.DryRun)
	if n > 0 && errors.Is(err, ErrNotLog) {
		p.done = true // nothing was left that could be kept
		return nil
	}
	if err != nil {
		return err
	}
	damage := x.report().Damage
	if n == 0 {
		p.report.Damage = damage
	}
	switch {
	case len(damage) == 0:
		p.done = true
	case n == repairRounds-1:
		err = fmt.Errorf("cannot repair all of %s: %w", p.path, &DamageError{Damage: damage})
	default:
		err = p.logs(x)
	}
	return errors.Join(err, x.close())
}

// logs repairs each log of the data directory.
func (p *repairer) logs(x *examination) error {
	for _, r := range x.logs {
		if len(r.flaws) == 0 {
			continue
		}
		plan, err := r.plan()
		if err != nil {
			return fmt.Errorf("repair %s: %w", p.path, err)
		}
		for _, f := range r.flaws {
			p.report.Lost = append(p.report.Lost, f.Partitions...)
		}
		if p.o.DryRun {
			p.describe(r, plan)
			p.report.Lost = joinSpans(p.report.Lost)
			continue
		}
		if err := p.carryOut(r, plan); err != nil {
			return fmt.Errorf("repair %s: %w", p.path, err)
		}
	}
	return nil
}

func (p *repairer) did(format string, args ...any) {
	p.report.Actions = append(p.report.Actions, fmt.Sprintf(format, args...))
}

// joinSpans sorts spans and joins those that touch.
func joinSpans(list []PartitionSpan) []PartitionSpan {
	slices.SortFunc(list, func(a, b PartitionSpan) int {
		switch {
		case a.Topic != b.Topic:
			return strings.Compare(a.Topic, b.Topic)
		case a.Partition != b.Partition:
			return int(a.Partition) - int(b.Partition)
		case a.From < b.From:
			return -1
		}
		return 1
	})
	var joined []PartitionSpan
	for _, s := range list {
		if n := len(joined); n > 0 {
			last := &joined[n-1]
			if last.Topic == s.Topic && last.Partition == s.Partition && last.To >= s.From {
				last.To = max(last.To, s.To)
				continue
			}
		}
		joined = append(joined, s)
	}
	return joined
}
