package uring

import (
	"errors"
	"fmt"
	"slices"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/chronik-go/wal/core/backend"
)

const (
	// queueDepth is the most batches in flight. More than a few bring nothing: one group
	// is being written while another gathers.
	queueDepth = 4
	// ringEntries is how many requests fit the ring; a batch with more goes in portions.
	ringEntries = 64
)

// queue writes batches by a ring of its own.
type queue struct {
	dir    *dir
	limits backend.Limits
	direct bool
	ring   *ring
	memory memory
	files  fileTable
	bell   bell
	closed bool

	flights [queueDepth]flight
	free    []int            // indices into flights
	backlog []uint64         // requests for which the ring had no room
	held    []*file          // whose descriptors are in requests that the kernel has not taken
	done    []*backend.Batch // completed, not yet returned
	broken  error            // why the ring can no longer be used
	vectors [ringEntries]unix.Iovec
}

var _ backend.Queue = (*queue)(nil)

// The parts of a request's user data: flight, kind, place.
const (
	tagWrite = 1 << 32
	tagSync  = 2 << 32
	tagBell  = 3 << 32
	tagKinds = 3 << 32
)

func tag(flight int, kind uint64, i int) uint64 { return uint64(flight)<<40 | kind | uint64(i) }

// Queue opens a queue as [backend.Dir] describes.
func (d *dir) Queue(o backend.QueueOptions) (backend.Queue, error) {
	// The directory refuses what it must, closed or read-only.
	if q, err := d.Dir.Queue(o); err != nil {
		return nil, err
	} else if err := q.Close(); err != nil {
		return nil, err
	}
	r, err := newRing(ringEntries, d.backend.without)
	if err != nil {
		return nil, err
	}
	q := &queue{
		dir: d, ring: r, direct: d.Direct(),
		limits: backend.Limits{
			Alignment: d.Alignment(), Depth: min(max(o.Depth, 1), queueDepth), PreferWritten: d.Direct(),
		},
	}
	if err := q.bell.init(); err != nil {
		return nil, errors.Join(err, r.close())
	}
	q.memory.init(r, d.backend.without)
	q.files.init(r, d.backend.without)
	for i := range q.limits.Depth {
		q.free = append(q.free, i)
	}
	d.mu.Lock()
	d.queues = append(d.queues, q)
	d.mu.Unlock()
	return q, nil
}

func (q *queue) Limits() backend.Limits { return q.limits }

func (q *queue) Buffer(size int) (*backend.Buffer, error) { return q.memory.get(size) }

func (q *queue) Release(b *backend.Buffer) { q.memory.put(b) }

func (q *queue) forget(f *file) { q.files.forget(f) }

// errBatch is wrapped by the error of Submit for a batch that breaks the contract.
var errBatch = errors.New("invalid batch")

// Submit puts the requests of a batch in place. The next Wait has the kernel take them, in the
// same system call that waits.
func (q *queue) Submit(b *backend.Batch) error {
	switch {
	case q.closed:
		return fmt.Errorf("submit: %w", backend.ErrClosed)
	case q.broken != nil:
		return fmt.Errorf("submit: %w", q.broken)
	}
	if err := q.check(b); err != nil {
		return fmt.Errorf("submit: %w", err)
	}
	if len(q.free) == 0 {
		return fmt.Errorf("submit: %w: %d batches are in flight, call Wait first", errBatch, q.limits.Depth)
	}
	b.Err = nil
	for i := range b.Writes {
		b.Writes[i].Err = nil
	}
	n := q.free[len(q.free)-1]
	q.free = q.free[:len(q.free)-1]
	fl := &q.flights[n]
	fl.begin(q, b)
	if fl.left == 0 {
		q.finish(fl)
	}
	return nil
}

func (q *queue) check(b *backend.Batch) error {
	if b == nil {
		return fmt.Errorf("%w: nil", errBatch)
	}
	for i := range b.Writes {
		w := &b.Writes[i]
		f, ok := w.File.(*file)
		if !ok || f == nil || f.dir != q.dir {
			return fmt.Errorf("%w: write %d: the file is not of this directory", errBatch, i)
		}
		if err := f.Use(); err != nil {
			return fmt.Errorf("write %s: %w", f.Path(), err)
		}
		f.Done()
		if len(w.Data) == 0 {
			continue
		}
		if _, err := q.memory.find(w.Buffer, w.Data); err != nil {
			return fmt.Errorf("%w: write %d to %s: %w", errBatch, i, f.Path(), err)
		}
		if err := f.CheckWrite(w); err != nil {
			return fmt.Errorf("%w: write %d to %s: %w", errBatch, i, f.Path(), err)
		}
	}
	return nil
}

// place returns the index of a flight.
func (q *queue) place(fl *flight) int {
	for i := range q.flights {
		if &q.flights[i] == fl {
			return i
		}
	}
	return -1
}

// putWrite puts what is left of a write in place, and the sync that is linked behind it.
func (q *queue) putWrite(fl *flight, i int) {
	t := tag(q.place(fl), tagWrite, i)
	linked := fl.writes[i].sync >= 0 && fl.syncs[fl.writes[i].sync].linked && !fl.writes[i].short
	need := 1
	if linked {
		need = 2
	}
	if len(q.backlog) > 0 || q.ring.room() < need {
		q.backlog = append(q.backlog, t)
		return
	}
	w := &fl.batch.Writes[i]
	s, ok := q.request(w.File.(*file), t)
	if !ok {
		w.Err = fmt.Errorf("write %s: %w", w.File.(*file).Path(), backend.ErrClosed)
		fl.left--
		if k := fl.writes[i].sync; k >= 0 {
			fl.syncs[k].linked = false
			fl.arrived(q, k, true)
		}
		return
	}
	data := w.Data[fl.writes[i].done:]
	s.off = uint64(w.Offset) + uint64(fl.writes[i].done)
	if q.direct && w.Sync {
		s.opFlags = unix.RWF_DSYNC
	}
	slot, _ := q.memory.find(w.Buffer, w.Data) // checked by Submit
	// The memory is outside the Go heap, and the caller's until Wait has returned the batch.
	s.addr, s.len = uint64(uintptr(unsafe.Pointer(&data[0]))), uint32(min(len(data), maxWrite))
	switch {
	case slot >= 0:
		s.opcode, s.bufIndex = opWriteFixed, uint16(slot)
	case q.ring.has&PlainWrite != 0:
		s.opcode = opWrite
	default:
		v := &q.vectors[q.ring.tail&*q.ring.sqMask] // the kernel has read it when it takes the request
		v.Base = &data[0]
		v.SetLen(int(s.len))
		s.opcode, s.addr, s.len = opWritev, uint64(uintptr(unsafe.Pointer(v))), 1
	}
	if linked {
		s.flags |= sqeLink
	}
	q.ring.put(s)
	if linked {
		q.putSync(fl, fl.writes[i].sync)
	}
}

// maxWrite is the most that the kernel writes at once (MAX_RW_COUNT).
const maxWrite = 0x7ffff000

// putSync puts a sync in place.
func (q *queue) putSync(fl *flight, k int) {
	t := tag(q.place(fl), tagSync, k)
	if q.ring.room() == 0 || len(q.backlog) > 0 && !fl.syncs[k].linked {
		q.backlog = append(q.backlog, t)
		return
	}
	s, ok := q.request(fl.syncs[k].file, t)
	if !ok {
		fl.endSync(k, fmt.Errorf("sync %s: %w", fl.syncs[k].file.Path(), backend.ErrClosed))
		return
	}
	s.opcode, s.opFlags = opFsync, fsyncDatasync
	q.ring.put(s)
}

// request begins a request about a file, and keeps its descriptor open until the kernel has
// taken the request.
func (q *queue) request(f *file, t uint64) (s sqe, ok bool) {
	if !slices.Contains(q.held, f) {
		if f.Use() != nil {
			return s, false
		}
		q.held = append(q.held, f)
	}
	fd, direct := f.Descriptors()
	if direct >= 0 {
		fd = direct
	}
	s.fd, s.userData = int32(fd), t
	if slot := q.files.slot(f, fd); slot >= 0 {
		s.fd, s.flags = int32(slot), sqeFixedFile
	}
	return s, true
}

// Wait has the kernel take what was submitted and returns the next completed batch.
func (q *queue) Wait() (*backend.Batch, error) {
	for {
		if n := len(q.done); n > 0 {
			b := q.done[0]
			copy(q.done, q.done[1:])
			q.done = q.done[:n-1]
			return b, nil
		}
		switch {
		case q.closed:
			return nil, fmt.Errorf("wait: %w", backend.ErrClosed)
		case q.broken != nil:
			return nil, fmt.Errorf("wait: %w", q.broken)
		case q.bell.answer():
			return nil, nil
		}
		q.turn()
	}
}

// turn lets the ring go on: it submits, waits for a completion and takes in all there are.
func (q *queue) turn() {
	q.putBacklog()
	if !q.bell.armed && q.ring.room() > 0 {
		q.bell.armed = true
		q.ring.put(sqe{opcode: opPollAdd, fd: q.bell.fd, opFlags: unix.POLLIN, userData: tagBell})
	}
	if q.bell.sleep() {
		err := q.ring.enter(true)
		q.bell.awake()
		if err != nil && !errors.Is(err, errBusy) {
			q.broken = err
			return
		}
	}
	if q.ring.pending == 0 {
		for i, f := range q.held {
			f.Done()
			q.held[i] = nil
		}
		q.held = q.held[:0]
	}
	for c, ok := q.ring.next(); ok; c, ok = q.ring.next() {
		q.complete(c)
	}
}

// putBacklog puts requests in place that had no room.
func (q *queue) putBacklog() {
	list := q.backlog
	q.backlog = nil // so that they do not queue up behind themselves
	for n, t := range list {
		if q.ring.room() < 2 {
			q.backlog = append(slices.Clone(list[n:]), q.backlog...)
			return
		}
		fl, i := &q.flights[t>>40], int(uint32(t))
		if t&tagKinds == tagWrite {
			q.putWrite(fl, i)
		} else {
			q.putSync(fl, i)
		}
		if fl.left == 0 {
			q.finish(fl)
		}
	}
	if q.backlog == nil {
		q.backlog = list[:0]
	}
}

func (q *queue) complete(c cqe) {
	if c.userData&tagKinds == tagBell {
		q.bell.rang()
		return
	}
	fl, i := &q.flights[c.userData>>40], int(uint32(c.userData))
	if c.userData&tagKinds == tagWrite {
		fl.wrote(q, i, c.res)
	} else {
		fl.synced(q, i, c.res)
	}
	if fl.left == 0 {
		q.finish(fl)
	}
}

// finish ends a flight.
func (q *queue) finish(fl *flight) {
	q.done = append(q.done, fl.batch)
	fl.batch = nil
	q.free = append(q.free, q.place(fl))
}

// writeThroughCache writes the rest of a write by plain system calls.
func (q *queue) writeThroughCache(w *backend.Write, done int) error {
	f := w.File.(*file)
	if err := f.Use(); err != nil {
		return err
	}
	defer f.Done()
	fd, _ := f.Descriptors()
	for done < len(w.Data) {
		n, err := unix.Pwrite(fd, w.Data[done:], w.Offset+int64(done))
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return err
		}
		done += n
	}
	if w.Sync {
		return unix.Fdatasync(fd)
	}
	return nil
}

func (q *queue) Wake() { q.bell.ring() }

// Close waits for what is in flight, and gives back the ring and all memory.
func (q *queue) Close() error {
	if q.closed {
		return fmt.Errorf("close queue: %w", backend.ErrClosed)
	}
	for q.broken == nil && len(q.free) < q.limits.Depth {
		q.bell.answer() // nobody waits for a wake any more
		q.turn()
	}
	q.closed = true
	q.dir.mu.Lock()
	q.dir.queues = slices.DeleteFunc(q.dir.queues, func(other forgetter) bool { return other == q })
	q.dir.mu.Unlock()
	for q.broken == nil && q.bell.armed { // its request is in flight too
		q.bell.answer()
		q.bell.poke()
		q.turn()
	}
	q.files.close()
	q.memory.close()
	return errors.Join(q.bell.close(), q.ring.close())
}
