package sim

import (
	"errors"
	"fmt"
	"syscall"

	"github.com/chronik-go/wal/core/backend"
)

// queue is the data plane of a directory. All fields but d, dir, limits are under the
// Disk's lock.
type queue struct {
	d      *Disk
	dir    *dir
	limits backend.Limits

	flights []flight // submitted and not yet returned, oldest first; capacity Depth
	wake    bool
	closed  bool
	spare   []*memory // released
}

var _ backend.Queue = (*queue)(nil)

// flight is a batch in flight, with the number of the OpSubmit of each of its writes.
type flight struct {
	b    *backend.Batch
	nums []uint64
}

func (v *dir) Queue(o backend.QueueOptions) (backend.Queue, error) {
	i := OpInfo{Op: OpQueue}
	if err := v.begin(i, true); err != nil {
		return nil, err
	}
	d := v.d
	defer d.mu.Unlock()
	i.Dir = v.path
	if o.Depth < 1 {
		return nil, failed(i, d.offend(fmt.Errorf("depth %d: %w", o.Depth, ErrContract)))
	}
	depth := min(o.Depth, d.opt.Depth)
	d.handles++
	v.files++
	return &queue{
		d: d, dir: v, flights: make([]flight, 0, depth),
		limits: backend.Limits{Alignment: d.opt.Alignment, Depth: depth, PreferWritten: d.opt.PreferWritten},
	}, nil
}

func (q *queue) info(o Op) OpInfo { return OpInfo{Op: o, Dir: q.dir.path} }

func (q *queue) Limits() backend.Limits { return q.limits }

// usable is checked under the lock before each call and after each wait.
func (q *queue) usable() error {
	if q.closed {
		return backend.ErrClosed
	}
	return q.d.alive()
}

func (q *queue) Submit(b *backend.Batch) error {
	d := q.d
	if h := d.hook.Load(); h != nil {
		for i := range b.Writes {
			(*h)(q.describe(OpSubmit, &b.Writes[i]))
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := q.accept(b); err != nil {
		return failed(q.info(OpSubmit), err)
	}
	// Reuse the memory of the flight that last stood here.
	k := len(q.flights)
	q.flights = q.flights[:k+1]
	f := &q.flights[k]
	f.b, f.nums = b, f.nums[:0]
	b.Err = nil
	for i := range b.Writes {
		w := &b.Writes[i]
		w.Err = nil
		o := op{OpInfo: submitInfo(w)}
		o.ino = fileOf(w).o.ino
		if !d.opt.NoTrace && len(w.Data) > 0 {
			o.sectors = makeSectors(w.Data)
		}
		if err := d.record(&o); err != nil {
			return failed(o.OpInfo, err)
		}
		f.nums = append(f.nums, d.st.n)
		if s, ok := bufferOf(w); ok {
			s.inFlight++
		}
	}
	return nil
}

// fileOf returns the file of a write, nil if it is not one of this package.
func fileOf(w *backend.Write) *file {
	f, _ := w.File.(*file)
	return f
}

func submitInfo(w *backend.Write) OpInfo {
	i := fileOf(w).info(OpSubmit)
	i.Offset, i.Len, i.Sync = w.Offset, int64(len(w.Data)), w.Sync
	return i
}

// describe is the OpInfo of a write for the hook, which is called without the lock.
func (q *queue) describe(o Op, w *backend.Write) OpInfo {
	f := fileOf(w)
	if f == nil {
		return q.info(o)
	}
	q.d.mu.Lock()
	defer q.d.mu.Unlock()
	i := f.info(o)
	i.Offset, i.Len, i.Sync = w.Offset, int64(len(w.Data)), w.Sync
	return i
}

// accept says whether the batch can be submitted.
func (q *queue) accept(b *backend.Batch) error {
	if err := q.usable(); err != nil {
		return err
	}
	if err := q.check(b); err != nil {
		if errors.Is(err, ErrContract) {
			_ = q.d.offend(err)
		}
		return err
	}
	for i := range b.Writes {
		if f := q.d.fault(submitInfo(&b.Writes[i])); f != nil {
			return f.err()
		}
	}
	return nil
}

func (q *queue) Wait() (*backend.Batch, error) {
	if h := q.d.hook.Load(); h != nil {
		(*h)(q.info(OpWait))
	}
	d := q.d
	d.mu.Lock()
	defer d.mu.Unlock()
	if f := d.fault(q.info(OpWait)); f != nil {
		return nil, failed(q.info(OpWait), f.err())
	}
	for {
		if err := q.usable(); err != nil {
			return nil, failed(q.info(OpWait), err)
		}
		ready := len(q.flights) > 0 && d.mayComplete()
		// A wake and a completion that are both due come in either order.
		if q.wake && (!ready || d.rng.below(2) == 0) {
			q.wake = false
			return nil, nil
		}
		if ready {
			break
		}
		d.cond.Wait()
	}
	return q.finishOne()
}

// finishOne completes a batch: the only one, or one that the seed picks.
func (q *queue) finishOne() (*backend.Batch, error) {
	d := q.d
	if d.stalled {
		d.allowed--
	}
	k := 0
	if len(q.flights) > 1 {
		k = d.rng.below(len(q.flights))
	}
	f := q.flights[k]
	n := len(f.b.Writes)
	start := 0
	if n > 1 {
		start = d.rng.below(n)
	}
	for i := range n {
		i = (start + i) % n
		if err := q.finish(&f.b.Writes[i], f.nums[i]); err != nil {
			return nil, failed(q.info(OpWait), err)
		}
	}
	last := len(q.flights) - 1
	copy(q.flights[k:], q.flights[k+1:])
	q.flights[last] = flight{nums: f.nums}
	q.flights = q.flights[:last]
	return f.b, nil
}

// finish completes one write and sets its Err. It returns an error only if the machine
// crashes. The lock is held, but not while the hook runs.
func (q *queue) finish(w *backend.Write, num uint64) error {
	d, f := q.d, fileOf(w)
	kind := OpWrite
	if w.Sync {
		kind = OpSync
	}
	if h := d.hook.Load(); h != nil {
		d.mu.Unlock()
		(*h)(q.describe(kind, w))
		d.mu.Lock()
	}
	o := op{OpInfo: f.info(kind), ino: f.o.ino, submit: num, data: w.Data}
	o.Offset, o.Len, o.Sync = w.Offset, int64(len(w.Data)), w.Sync
	err := q.outcome(w, &o)
	o.Failed = err != nil
	if !d.opt.NoTrace {
		o.data = nil
	}
	if err := d.record(&o); err != nil {
		return err
	}
	if s, ok := bufferOf(w); ok {
		s.inFlight--
	}
	if err != nil {
		w.Err = failed(o.OpInfo, err)
	}
	return nil
}

// outcome decides how the write ends, and returns its error.
func (q *queue) outcome(w *backend.Write, o *op) error {
	d := q.d
	sectors := len(w.Data) / SectorSize
	if d.readOnly {
		return syscall.EROFS
	}
	if sectors > 0 {
		if p := d.st.inodes[o.ino].find(o.submit); p != nil && !holds(p.sectors, w.Data) {
			return d.offend(fmt.Errorf("data changed in flight: %w", ErrContract))
		}
		i := o.OpInfo
		i.Op = OpWrite
		if f := d.fault(i); f != nil {
			if f.Short && sectors > 1 {
				o.landed = 1 + d.rng.below(sectors-1)
			}
			if f.Landed {
				o.landed = sectors
			}
			o.unsure = !certain(f.err())
			return f.err()
		}
	}
	o.landed = sectors
	if !w.Sync {
		return nil
	}
	var err error
	o.durable, o.gate, err = d.syncOutcome(o.OpInfo)
	return err
}

// find returns the pending write of that number.
func (n *inode) find(num uint64) *pending {
	for i := len(n.pend) - 1; i >= 0; i-- {
		if p := &n.pend[i]; p.seq == num && !p.resize {
			return p
		}
	}
	return nil
}

func (q *queue) Wake() {
	q.d.mu.Lock()
	defer q.d.mu.Unlock()
	q.wake = true
	q.d.cond.Broadcast()
}

func (q *queue) Close() error {
	d := q.d
	d.mu.Lock()
	defer d.mu.Unlock()
	if q.closed {
		return failed(q.info(OpQueue), backend.ErrClosed)
	}
	var err error
	for err == nil && len(q.flights) > 0 {
		switch {
		case d.crashed:
			err = ErrCrashed
		case !d.mayComplete():
			d.cond.Wait()
		default:
			_, err = q.finishOne()
		}
	}
	if err == nil {
		err = d.alive()
	}
	q.closed = true
	d.handles--
	q.dir.files--
	if err != nil {
		return failed(q.info(OpQueue), err)
	}
	return nil
}
