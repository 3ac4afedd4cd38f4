package wal

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/chronik-go/wal/core/backend"
	"github.com/chronik-go/wal/core/format"
)

// RepairOptions say how Repair goes about it.
type RepairOptions struct {
	// Quarantine is the directory that gets what is taken out of the log. It is created
	// (mode 0700) once there is something to move. It may be on another file system, but
	// not be a directory of the log nor lie in one. Only a dry run can do without.
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
	// LostEntries were given up too, and nothing tells which partitions had them.
	LostEntries []LSNSpan `json:"lost_entries"`
	// Moved are the files that were taken out of the log, by their new path.
	Moved []string `json:"moved"`
}

// LSNSpan is a range of LSNs, both inclusive.
type LSNSpan struct {
	First uint64 `json:"first_lsn"`
	Last  uint64 `json:"last_lsn"`
}

// repairRounds bounds how often Repair reads the log again and repairs what it still finds.
// Two are enough, one to repair and one to see that all is well, but for damage that hides
// other damage.
const repairRounds = 16

// Repair makes a damaged log openable. It keeps every undamaged record, also those behind
// damage, with its offset; it moves, never deletes, the files that it replaces; and where
// records are lost it writes that into the log, so that readers get a *LostError there and
// never see the next record in its place. The log is then read again in full: without an
// error it is without damage. A log without damage is left alone.
//
// There is one exception: a segment that contradicts the rest of the log is given up whole, and the report says which
// and what it held. It takes several repairs, one on the other, for a sound one to do so: what an earlier repair had no need
// to tell, since it was truncated, is missing once the truncation is lost too, and no LSN is left to tell it with.
//
// Each damaged segment is rebuilt under a temporary name from what is sound in it, made
// durable, and takes the place of the damaged one once that is durable in the quarantine.
// So a repair that a crash or ctx interrupts can be run again.
//
// A damaged or missing copy of a dictionary is made anew from the other one. With neither the batches that
// need it stay, and can be read once a copy is put back.
//
// It uses no keys: encrypted records are kept as they are wherever their checksum is good.
//
// It returns, wrapped, ErrInvalid without a quarantine, ErrQuarantine if that cannot be used,
// ErrLocked while a writer has the log open, ErrNotLog where there is none, *MemberError if not
// all of the directory's logs are there or one does not belong there, *DamageError if damage is left that it cannot repair. The report is there as soon as damage was found, with an error too.
func Repair(ctx context.Context, dir string, o RepairOptions, opts ...Option) (*RepairReport, error) {
	opts = append(slices.Clone(opts), withoutKeys) // no key decides what is given up
	p := &repairer{ctx: ctx, path: dir, o: o, opts: opts, report: &RepairReport{}, giveUp: map[string]bool{}}
	if o.Quarantine == "" && !o.DryRun {
		return nil, fmt.Errorf("%w: repair needs a quarantine directory", ErrInvalid)
	}
	if !o.DryRun {
		if err := p.lock(); err != nil {
			return nil, err
		}
		if err := p.tryQuarantine(); err != nil {
			return nil, errors.Join(err, p.close())
		}
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

	dirs       map[string]backend.Dir // of the logs, by name, locked; none in a dry run
	backend    backend.Backend
	quarantine backend.Dir // nil until it is there
	// giveUp are segments that contradict the rest of the log.
	giveUp map[string]bool
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
	p.dirs = map[string]backend.Dir{}
	if err := p.lockLogs(); err != nil {
		return errors.Join(err, p.close())
	}
	return nil
}

// lockLogs takes the data directory and those of its other logs.
func (p *repairer) lockLogs() error {
	if err := p.lockLog("", p.path); err != nil {
		return err
	}
	m, err := openToLook(p.path, p.opts)
	if err != nil {
		return err
	}
	if own := m.shards[0].member; own != nil && own.Kind != format.MemberMain {
		err = isPart(p.path, own)
	}
	for _, s := range m.shards[1:] {
		if err == nil {
			err = p.lockLog(s.name, s.home)
		}
	}
	return errors.Join(err, m.abort())
}

func (p *repairer) lockLog(name, path string) error {
	dir, err := p.backend.OpenDir(path, backend.DirOptions{})
	if err != nil {
		return fmt.Errorf("open data directory %s: %w", path, causeOf(err, path))
	}
	p.dirs[name] = dir
	if err := dir.Lock(); err != nil {
		return fmt.Errorf("lock data directory %s: %w", path, causeOf(err, path))
	}
	return nil
}

func (p *repairer) close() error {
	var errs []error
	if p.quarantine != nil {
		errs = append(errs, p.quarantine.Close())
	}
	for _, dir := range p.dirs {
		errs = append(errs, dir.Close())
	}
	return errors.Join(errs...)
}

func (p *repairer) run() error {
	for n := range repairRounds {
		if done, err := p.round(n); done || err != nil {
			return err
		}
	}
	return fmt.Errorf("cannot repair all of %s in %d rounds: %w", p.path, repairRounds, &DamageError{Damage: p.report.Damage})
}

// round reads the whole log and repairs what is damaged. It is done if nothing is.
func (p *repairer) round(n int) (done bool, err error) {
	x, err := examine(p.ctx, p.path, p.opts, func(r *recovery) { r.looks, r.giveUp = p.o.DryRun, p.giveUp })
	if n > 0 && errors.Is(err, ErrNotLog) {
		return true, nil // nothing was left that could be kept
	}
	if err != nil {
		return false, err
	}
	damage := x.report().Damage
	if n == 0 {
		p.report.Damage = damage
	}
	if len(damage) > 0 {
		done, err = p.logs(x)
	} else {
		done = true
	}
	if done && err == nil {
		err = p.dictionaries(x)
	}
	return done, errors.Join(err, x.close())
}

// logs plans the repair of each log of the data directory, then carries it out.
func (p *repairer) logs(x *examination) (done bool, err error) {
	plans := make([]*repairPlan, len(x.logs))
	for i, r := range x.logs {
		var misfit *misfitError
		plans[i], err = r.plan()
		if errors.As(err, &misfit) && !p.giveUp[misfit.segment] {
			p.giveUp[misfit.segment] = true
			p.did("%v: give the segment up", err)
			return false, nil // look again without it
		}
		if err != nil {
			return false, fmt.Errorf("repair %s: %w", p.path, err)
		}
	}
	for i, r := range x.logs {
		if len(r.flaws) == 0 {
			continue
		}
		for _, f := range r.flaws {
			p.report.Lost = append(p.report.Lost, f.Partitions...)
		}
		p.report.LostEntries = append(p.report.LostEntries, plans[i].unknown(r)...)
		if p.o.DryRun {
			p.describe(r, plans[i])
			continue
		}
		if err := p.carryOut(r, plans[i]); err != nil {
			return false, fmt.Errorf("repair %s: %w", p.path, err)
		}
	}
	clear(p.giveUp)
	return p.o.DryRun, nil
}

func (p *repairer) did(format string, args ...any) {
	p.report.Actions = append(p.report.Actions, fmt.Sprintf(format, args...))
}
