package crash

import (
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"syscall"

	wal "github.com/chronik-go/wal/core"
	"github.com/chronik-go/wal/core/backend"
	"github.com/chronik-go/wal/core/backend/sim"
)

// faults is how a workload deals with what goes wrong on its disk.
type faults struct {
	// check is the guarantee that this kind of fault is about.
	check Check
	// heal makes the disk good again.
	heal func(*sim.Disk)
	// unreadable: reading may fail too.
	unreadable bool
	// reboot: the log is not opened again without a crash of the machine.
	reboot bool
	// What the log told of failures: those it wrote on after, and the last ones.
	survived, sticky atomic.Int32
}

// told notes what the log tells of its failures.
func (f *faults) told(_ error, sticky bool) {
	if sticky {
		f.sticky.Add(1)
	} else {
		f.survived.Add(1)
	}
}

// checkSticky checks that one failure is survived and the next one is for good.
func (f *faults) checkSticky(w *workload, m *wal.Manager) {
	if n := f.survived.Load(); n > 1 {
		w.report(violation(f.check, "the log went on writing after %d failures", n))
	}
	if f.sticky.Load() == 0 {
		return
	}
	if _, err := m.Append(ctx, "after", 0, wal.Record{}); !errors.Is(err, wal.ErrFailed) {
		w.report(violation(f.check, "a log that has failed takes an append: %v", err))
	}
}

// failed decides what the error of an operation means for it: that it is not in the log,
// or that nobody knows. It reports whether the producer goes on.
func (f *faults) failed(p *producer, o *op, err error) bool {
	notSubmitted := o.kind == opAppend && !o.placed
	switch {
	case errors.Is(err, wal.ErrNoSpace), errors.Is(err, wal.ErrOffsetOutOfRange) && o.kind != opAppend, notSubmitted && typed(err):
		o.failed, o.failedAt = err, p.w.known.next()
		o.part.forget()
		p.w.disk.Mark(note{noteFailed, o})
		return !errors.Is(err, wal.ErrFailed)
	case errors.Is(err, wal.ErrFailed):
		return false
	}
	p.w.report(violation(f.check, "%v: %v: the error is none of the documented ones: %v", o.part.key, o, err))
	return false
}

func typed(err error) bool {
	return errors.Is(err, wal.ErrFailed) || errors.Is(err, wal.ErrNoSpace) || errors.Is(err, wal.ErrOffsetOutOfRange) || errors.Is(err, wal.ErrSequence) ||
		errors.Is(err, syscall.EIO) // no memory for a large batch, say
}

// forget makes now compute the partition's states again, without what has failed.
func (p *part) forget() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.states = p.states[:0]
}

// takesPlace reports whether an append that got another offset than expected took the place
// of operations that have failed since.
func (p *part) takesPlace(o *op, offset int64) bool {
	o.placed = false
	p.forget()
	now := p.now()
	o.placed = true
	p.forget()
	return offset == max(now.next, o.at)
}

// openFailed checks that a log that cannot be opened leaves nothing behind, and opens well
// once the disk is good again.
func (f *faults) openFailed(w *workload, err error) {
	if errors.Is(err, wal.ErrDamaged) {
		w.report(violation(TornIsNotDamage, "open with a fault: %v", err))
		return
	}
	if n := w.disk.OpenHandles(); n > 0 {
		w.report(violation(Contract, "%d handles are open after an Open that failed with %v", n, err))
	}
	f.again(w)
}

// end checks a log whose disk went wrong: what is acknowledged can be read, a failure is
// sticky, and the next open recovers.
func (f *faults) end(w *workload, m *wal.Manager) {
	f.checkSticky(w, m)
	if f.unreadable {
		_ = readAll(m, true) // it may fail, and must do no harm
	} else {
		f.readable(w, m)
	}
	_ = m.Close() // it may fail, but must end all that was begun
	if n := w.disk.OpenHandles(); n > 0 {
		w.report(violation(Contract, "%d handles are open after Close with a fault", n))
	}
	f.again(w)
}

// readable compares what readers see with what was acknowledged.
func (f *faults) readable(w *workload, m *wal.Manager) {
	r := readAll(m, true)
	if r.err != nil {
		w.report(violation(f.check, "what was acknowledged cannot be read after a fault: %v", r.err.Detail))
		return
	}
	for k, p := range w.parts {
		want, got := p.acknowledged(), r.parts[k]
		_, ok := p.explains(p.base, 0, got)
		if ok = ok && w.plan.mode == wal.FsyncPeriodic; !ok && !want.equal(got) {
			w.report(violation(f.check, "%v: readers see %v, acknowledged are %v", k, got, want))
		}
	}
}

// acknowledged is the state after all operations that were acknowledged. No producer waits
// for any more.
func (p *part) acknowledged() state {
	s := p.base
	for _, o := range p.ops {
		if o.acked {
			s = s.after(o)
		}
	}
	return s
}

// again heals the disk and opens the log once more.
func (f *faults) again(w *workload) {
	if f.reboot {
		return
	}
	f.heal(w.disk)
	m, err := w.plan.open(w.backend)
	if err != nil {
		c := f.check
		if errors.Is(err, wal.ErrDamaged) {
			c = TornIsNotDamage
		}
		w.report(violation(c, "open once the fault is gone: %v", err))
		return
	}
	r := readAll(m, true)
	w.reopened = r
	if r.err != nil {
		w.report(r.err)
	}
	w.noteRecovered(r)
	w.faulty = nil // from here on nothing may fail
	p := &producer{w: w, m: m, r: newRand(w.plan.seed, 9), id: 9, sequences: map[*part]int64{}}
	part := w.lanes(1, "after", 0, false)[0]
	h, err := m.Partition(part.topic, part.num)
	if err != nil {
		w.report(violation(f.check, "once the fault is gone: %v", err))
	} else if p.append(h, part, -1) {
		p.await()
	}
	if err := m.Close(); err != nil {
		w.report(violation(f.check, "close once the fault is gone: %v", err))
	}
}

// noteRecovered notes what an open after the fault found: of each operation it is settled
// now whether it is in the log, and durable.
func (w *workload) noteRecovered(r *recovered) {
	for k, p := range w.parts {
		in, ok := p.explains(p.base, 0, r.parts[k])
		if !ok {
			continue // the crash points before tell
		}
		for i, o := range p.ops {
			switch {
			case in[i]:
				o.failed = nil
				w.disk.Mark(note{noteDurable, o})
			case o.failed == nil && !o.acked:
				o.failed, o.failedAt = errNotThere, w.known.next()
			}
		}
	}
}

var errNotThere = errors.New("not in the log after recovery")

// explains finds which of the operations from i on lead from s to the state got.
func (p *part) explains(s state, i int, got state) (in []bool, ok bool) {
	if i == len(p.ops) {
		return make([]bool, i), s.equal(got)
	}
	o := p.ops[i]
	if !o.acked { // the simplest explanation is that it is not there
		if in, ok = p.explains(s, i+1, got); ok {
			return in, true
		}
	}
	if !o.fits(s) {
		return nil, false
	}
	if in, ok = p.explains(s.after(o), i+1, got); ok {
		in[i] = true
	}
	return in, ok
}

// fault is one kind of fault.
type fault struct {
	name  string
	check Check
	// inject arms it, to strike after so many matching operations, and returns what tells
	// how often it struck.
	inject func(d *sim.Disk, after int) (strikes func() int)
	heal   func(d *sim.Disk)
	// within bounds after.
	within     int
	unreadable bool
	reboot     bool
	// modes are the modes that the fault is about; none: all.
	modes []wal.FsyncMode
}

// runFault runs one workload with a fault and explores its crashes. It tells how often the
// fault struck.
func runFault(f fault, seed uint64, wrap func(*sim.Disk) backend.Backend) (*counts, int, *Violation) {
	p := newPlan(seed)
	p.shared, p.rounds, p.ops = 0, 1, 10
	p.options = append(p.options, wal.WithShards(1))
	if len(f.modes) > 0 {
		p.setMode(f.modes[seed%uint64(len(f.modes))])
	}
	where := fmt.Sprintf("layer L0 simulated, fault %s, seed %d (%s)\n\trepeat with: go test ./crash -run 'TestFaults/%s' -crash.seed=%d -crash.faults=1",
		f.name, seed, p, f.name, seed)
	c := &counts{states: map[uint64]struct{}{}, outcomes: map[uint64]struct{}{}}
	d := sim.New(p.disk)
	w := newWorkload(p, d, wrap(d), &known{ops: map[uint64]*op{}}, nil)
	strikes := f.inject(d, newRand(seed, 5).IntN(f.within))
	w.faulty = &faults{check: f.check, unreadable: f.unreadable, reboot: f.reboot, heal: f.heal}
	w.plan.options = append(slices.Clip(p.options), wal.WithHooks(wal.Hooks{Failed: w.faulty.told}))
	w.history.faulty = true
	h, found := w.run()
	if len(found) > 0 {
		return c, strikes(), found[0].in(where)
	}
	e := newExplorer(h, c, wrap, 0)
	e.sparse, e.nests, e.reboot = true, 2, f.reboot
	v := e.run()
	if v == nil && w.reopened != nil {
		v = e.reopened(w.reopened)
	}
	if v == nil {
		return c, strikes(), nil
	}
	if v.Check == AckedDurable {
		v.Check = f.check
	}
	return c, strikes(), v.in(where)
}

// reopened compares what an open after the fault, without a crash, found.
func (e *explorer) reopened(r *recovered) *Violation {
	for k, x := range e.v.list {
		if k.topic == "after" {
			continue
		}
		if v := x.check(e.h, r.parts[k], true); v != nil {
			v.Detail = "opened again after the fault: " + v.Detail
			return v
		}
	}
	return e.v.checkTransactions(r, true)
}
