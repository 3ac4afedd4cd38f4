package crash

import (
	"errors"
	"fmt"
	"slices"
	"sync"

	wal "github.com/chronik-go/wal/core"
	"github.com/chronik-go/wal/core/backend"
	"github.com/chronik-go/wal/core/backend/sim"
)

// workload is a history while it is made.
type workload struct {
	*history
	disk    *sim.Disk
	backend backend.Backend // the disk, or a wrapper of it
	// faulty says what may fail; nil if nothing may.
	faulty *faults

	// keep makes a copy of the disk at the end, when all is acknowledged; keepClosed
	// after a clean close.
	keep, keepClosed bool
	kept             *sim.Disk
	// reopened is what was found once the fault was gone.
	reopened *recovered

	mu    sync.Mutex
	found []*Violation
}

// newWorkload prepares a workload on a disk that holds the base, nothing for nil.
func newWorkload(p plan, d *sim.Disk, b backend.Backend, k *known, base *recovered) *workload {
	w := &workload{history: &history{plan: p, parts: map[key]*part{}, known: k}, disk: d, backend: b}
	if base != nil {
		for k, s := range base.parts {
			w.parts[k] = &part{key: k, base: s}
		}
	}
	return w
}

func (w *workload) report(v *Violation) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.found = append(w.found, v)
}

// run carries the workload out and returns its history with what it found by itself.
func (w *workload) run() (*history, []*Violation) {
	last := newRand(w.plan.seed, 3).IntN(2) == 0
	for round := range w.plan.rounds {
		w.round(round, round < w.plan.rounds-1 || last)
		if len(w.found) > 0 {
			break
		}
	}
	if w.trace == nil {
		w.trace = w.disk.Trace()
	}
	w.settle()
	if err := w.disk.Misuse(); err != nil {
		w.report(violation(Contract, "the engine broke it: %v", err))
	}
	return w.history, w.found
}

// round opens the log, has all producers work on it, and closes it again or leaves it as
// it is.
func (w *workload) round(round int, closeIt bool) {
	m, err := w.plan.open(w.backend)
	if err != nil && w.faulty != nil {
		w.faulty.openFailed(w, err)
		return
	}
	if err != nil {
		w.report(openFailed(err))
		return
	}
	w.disk.Mark(note{kind: noteOpened})
	w.verifyOpen(m, round)
	shared := w.lanes(w.plan.shared, "shared", 0, true)
	var wg sync.WaitGroup
	stop := make(chan struct{})
	var reading sync.WaitGroup
	if w.plan.producers > 1 && w.faulty == nil {
		reading.Add(1)
		go func() {
			defer reading.Done()
			w.read(m, stop)
		}()
	}
	if w.plan.dictionaries {
		wg.Add(1)
		go func() {
			defer wg.Done()
			w.setDictionaries(m, round)
		}()
	}
	for i := range w.plan.producers {
		p := &producer{w: w, m: m, r: newRand(w.plan.seed, uint64(100*round+10+i)), shared: shared,
			id: uint64(i + 1), sequences: map[*part]int64{}}
		p.own = w.lanes(w.plan.owned, fmt.Sprintf("own-%d", i), i, false)
		if w.plan.producers == 1 {
			p.own = w.some(p.r, p.own)
		}
		wg.Add(1)
		go func() {
			defer wg.Done()
			p.work()
		}()
	}
	wg.Wait()
	close(stop)
	reading.Wait()
	if w.faulty != nil {
		w.faulty.end(w, m)
		return
	}
	w.end(m, closeIt)
}

// end closes the log, or takes it away from under the engine: the trace ends here.
func (w *workload) end(m *wal.Manager, closeIt bool) {
	if w.keep {
		w.kept = w.disk.Image(sim.Image{Mode: sim.DropAll})
		closeIt = true
		defer func() {
			if w.keepClosed {
				w.kept = w.disk.Clone()
			}
		}()
	}
	if !closeIt {
		w.trace = w.disk.Trace()
		w.disk.Crash()
		_ = m.Close() // of a dead machine: only to end the goroutines
		return
	}
	if err := m.Close(); err != nil {
		w.report(violation(Recovers, "close: %v", err))
		return
	}
	for _, p := range w.parts {
		for _, o := range p.ops {
			w.disk.Mark(note{kind: noteDurable, op: o})
		}
	}
	if n := w.disk.OpenHandles(); n > 0 {
		w.report(violation(Contract, "%d handles are open after Close", n))
	}
}

// lanes makes the handles of n partitions with their names.
func (w *workload) lanes(n int, topic string, first int, shared bool) (list []*part) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i := range n {
		k := key{topic, int32(first + i)}
		p := w.parts[k]
		if p == nil {
			p = &part{key: k, shared: shared}
			w.parts[k] = p
		}
		list = append(list, p)
	}
	return list
}

// some adds up to three of the partitions that the disk held at the start to list.
func (w *workload) some(r interface{ IntN(int) int }, list []*part) []*part {
	w.mu.Lock()
	defer w.mu.Unlock()
	var keys []key
	for k := range w.parts {
		if !slices.Contains(list, w.parts[k]) {
			keys = append(keys, k)
		}
	}
	slices.SortFunc(keys, func(a, b key) int { return cmpKey(a, b) })
	for n := 0; n < 3 && len(keys) > 0; n++ {
		i := r.IntN(len(keys))
		list = append(list, w.parts[keys[i]])
		keys = slices.Delete(keys, i, i+1)
	}
	return list
}

// verifyOpen compares what an open for writing found with what must be there: the base,
// or after a clean close the end of the round before.
func (w *workload) verifyOpen(m *wal.Manager, round int) {
	r := readAll(m, false)
	if r.err != nil {
		w.report(r.err)
		return
	}
	if v := checkSequences(m, r.parts, w.known); v != nil {
		w.report(v)
		return
	}
	w.repeat(m, r.parts)
	if round > 0 {
		return // the crash points around it tell
	}
	for k, p := range w.parts {
		if got := r.parts[k]; !got.equal(p.base) {
			w.report(violation(Idempotent, "%v: an open for writing finds %v, a read-only one before it found %v", k, got, p.base))
			return
		}
	}
}

// read reads partitions while the producers work, until stop is closed: what it sees must
// be whole, in order, and durable.
func (w *workload) read(m *wal.Manager, stop chan struct{}) {
	r := newRand(w.plan.seed, 7)
	for {
		select {
		case <-stop:
			return
		default:
		}
		infos := m.Partitions()
		if len(infos) == 0 {
			select {
			case <-stop:
				return
			default:
				giveWay()
				continue
			}
		}
		info := infos[r.IntN(len(infos))]
		if !w.readOne(m, key{info.Topic, info.Partition}) || r.IntN(4) == 0 && !w.replay(m) {
			return
		}
	}
}

func (w *workload) readOne(m *wal.Manager, k key) bool {
	p, err := m.Lookup(k.topic, k.num)
	if err != nil {
		w.report(violation(ReadersWhole, "%v is listed and not found: %v", k, err))
		return false
	}
	w.mu.Lock()
	mine := w.parts[k]
	w.mu.Unlock()
	last := int64(-1)
	var newest *op
	seen := map[*transaction]*op{}
	for x, err := range p.Read(ctx, p.FirstOffset()) {
		if errors.Is(err, wal.ErrOffsetOutOfRange) {
			break // truncated meanwhile
		}
		if err != nil {
			w.report(violation(ReadersWhole, "%v: read behind offset %d: %v", k, last, err))
			return false
		}
		o := w.known.find(hashRecord(&x))
		if o == nil || x.Offset <= last {
			w.report(violation(ReadersWhole, "%v: the record at offset %d, after %d, is none that was appended", k, x.Offset, last))
			return false
		}
		last = x.Offset
		if o.part == mine {
			newest = o
		}
		if o.tx != nil {
			seen[o.tx] = o
		}
	}
	if !w.readRest(m, seen) {
		return false
	}
	if newest != nil {
		w.disk.Mark(note{noteSeen, newest})
	}
	return true
}
