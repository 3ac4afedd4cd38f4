package sim

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"syscall"

	"github.com/chronik-go/wal/core/backend"
)

// Forever is Fault.Times of a fault that stays.
const Forever = -1

// Fault is something that goes wrong. Faults are tried in the order of their
// injection; the first that is due strikes.
type Fault struct {
	// Op is the operation that fails. OpWrite fails the data of a write, with Sync
	// or without; OpSync fails the sync after the data has landed. OpSubmit fails
	// Submit, so that nothing of the batch starts; OpWait fails Wait.
	Op Op
	// Name is a pattern of path.Match for the name in its directory, as it is when
	// the fault is due; "" matches every operation.
	Name string
	// After is how many matching operations pass before it strikes.
	After int
	// Times is how often it strikes: 0 is once, Forever always.
	Times int
	// Err is the error; nil is EIO.
	Err error
	// Short, of OpWrite: some of the sectors land, at least one but not all, so a
	// write of one sector lands nothing. Of OpRead: half of the bytes are read.
	Short bool
	// Landed, of OpWrite: all of the sectors land, and the write fails all the same.
	Landed bool
	// Gate, of syncs: what the sync covers is never written, but looks clean: reads
	// show it, later syncs return nil, a crash loses it or tears it.
	Gate bool
	// Lie, of syncs: there is no error, but nothing becomes durable.
	Lie bool
}

func (f *Fault) err() error {
	if f.Err == nil {
		return syscall.EIO
	}
	return f.Err
}

// certain reports whether after a write that failed with err nothing of it can have
// reached the medium: the file system refused it before the device saw it.
func certain(err error) bool {
	refusals := []error{syscall.ENOSPC, syscall.EFBIG, syscall.EROFS, syscall.EDQUOT}
	return slices.ContainsFunc(refusals, func(r error) bool { return errors.Is(err, r) })
}

// Injection is a Fault on its Disk.
type Injection struct {
	d    *Disk
	f    Fault
	seen int
	hits int
}

// Inject adds a fault.
func (d *Disk) Inject(f Fault) *Injection {
	d.mu.Lock()
	defer d.mu.Unlock()
	j := &Injection{d: d, f: f}
	d.faults = append(d.faults, j)
	return j
}

// ClearFaults removes all faults.
func (d *Disk) ClearFaults() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.faults = nil
}

// Hits returns how often the fault struck.
func (j *Injection) Hits() int {
	j.d.mu.Lock()
	defer j.d.mu.Unlock()
	return j.hits
}

// Remove takes the fault off the disk.
func (j *Injection) Remove() {
	j.d.mu.Lock()
	defer j.d.mu.Unlock()
	j.d.faults = slices.DeleteFunc(slices.Clone(j.d.faults), func(o *Injection) bool { return o == j })
}

// fault returns the fault that strikes this operation, nil if none does.
func (d *Disk) fault(i OpInfo) *Fault {
	for _, j := range d.faults {
		if j.strikes(i) {
			return &j.f
		}
	}
	return nil
}

func (j *Injection) strikes(i OpInfo) bool {
	if j.f.Op != i.Op {
		return false
	}
	if ok, _ := path.Match(j.f.Name, i.Name); !ok && j.f.Name != "" {
		return false
	}
	j.seen++
	if j.seen <= j.f.After || j.f.Times >= 0 && j.hits >= max(j.f.Times, 1) {
		return false
	}
	j.hits++
	return true
}

// syncOutcome is what a sync does: whether it makes things durable, whether it loses
// them, and what it returns.
func (d *Disk) syncOutcome(i OpInfo) (durable, gate bool, err error) {
	f := d.fault(i)
	switch {
	case f == nil:
		return !d.lie, false, nil
	case f.Lie:
		return false, false, nil
	}
	return false, f.Gate, fmt.Errorf("%w: %w", backend.ErrSync, f.err())
}
