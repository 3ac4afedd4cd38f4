package uring

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/chronik-go/wal/core/backend"
)

// engine carries out batches by a ring: those of one queue, or of many. One goroutine at a
// time uses it.
type engine struct {
	ring    *ring
	files   fileTable
	bell    bell
	flights []*flight
	free    []int    // places in flights
	backlog []uint64 // requests for which the ring had no room
	held    []*file  // whose descriptors are in requests that the kernel has not taken
	broken  error    // why the ring can no longer be used
	vectors []unix.Iovec

	mu     sync.Mutex
	synced []*syncOp // ended, and not taken in yet
	taken  []*syncOp // memory of the list, to be used again
}

// newEngine makes an engine with room for so many requests at once, without the features named.
func newEngine(entries uint32, without Feature) (*engine, error) {
	r, err := newRing(entries, without)
	if err != nil {
		return nil, err
	}
	e := &engine{ring: r, vectors: make([]unix.Iovec, len(r.sqes))}
	if err := e.bell.init(); err != nil {
		return nil, errors.Join(err, r.close())
	}
	return e, nil
}

// The parts of a request's user data: flight, kind, place.
const (
	tagWrite = 1 << 32
	tagBell  = 3 << 32
	tagKinds = 3 << 32
)

func tag(flight int, kind uint64, i int) uint64 { return uint64(flight)<<40 | kind | uint64(i) }

// start begins a batch of a queue. The kernel takes its requests at the next turn. A ring that
// broke carries out nothing: Wait tells.
func (e *engine) start(q *queue, b *backend.Batch) {
	if e.broken != nil {
		return
	}
	if len(e.free) == 0 {
		e.free = append(e.free, len(e.flights))
		e.flights = append(e.flights, &flight{place: len(e.flights)})
	}
	n := e.free[len(e.free)-1]
	e.free = e.free[:len(e.free)-1]
	fl := e.flights[n]
	fl.begin(e, q, b)
	if fl.left == 0 {
		e.finish(fl)
	}
}

// busy reports whether there are batches in flight.
func (e *engine) busy() bool { return len(e.free) < len(e.flights) }

// putWrite puts what is left of a write in place.
func (e *engine) putWrite(fl *flight, i int) {
	t := tag(fl.place, tagWrite, i)
	if len(e.backlog) > 0 || e.ring.room() == 0 {
		e.backlog = append(e.backlog, t)
		return
	}
	w := &fl.batch.Writes[i]
	s, ok := e.request(w.File.(*file), t)
	if !ok {
		w.Err = fmt.Errorf("write %s: %w", w.File.(*file).Path(), backend.ErrClosed)
		fl.left--
		return
	}
	data := w.Data[fl.writes[i].done:]
	s.off = uint64(w.Offset) + uint64(fl.writes[i].done)
	if w.Sync {
		s.opFlags = unix.RWF_DSYNC
	}
	slot, _ := fl.queue.memory.find(w.Buffer, w.Data) // checked by Submit
	// The memory is outside the Go heap, and the caller's until Wait has returned the batch.
	s.addr, s.len = uint64(uintptr(unsafe.Pointer(&data[0]))), uint32(min(len(data), maxWrite))
	switch {
	case slot >= 0:
		s.opcode, s.bufIndex = opWriteFixed, uint16(slot)
	case e.ring.has&PlainWrite != 0:
		s.opcode = opWrite
	default:
		v := &e.vectors[e.ring.tail&*e.ring.sqMask] // the kernel has read it when it takes the request
		v.Base = &data[0]
		v.SetLen(int(s.len))
		s.opcode, s.addr, s.len = opWritev, uint64(uintptr(unsafe.Pointer(v))), 1
	}
	e.ring.put(s)
}

// maxWrite is the most that the kernel writes at once (MAX_RW_COUNT).
const maxWrite = 0x7ffff000

// request begins a request about a file, and keeps its descriptor open until the kernel has
// taken the request.
func (e *engine) request(f *file, t uint64) (s sqe, ok bool) {
	if !slices.Contains(e.held, f) {
		if f.Use() != nil {
			return s, false
		}
		e.held = append(e.held, f)
	}
	fd, direct := f.Descriptors()
	if direct >= 0 {
		fd = direct
	}
	s.fd, s.userData = int32(fd), t
	if slot := e.files.slot(f, fd); slot >= 0 {
		s.fd, s.flags = int32(slot), sqeFixedFile
	}
	return s, true
}

// turn lets the ring go on: it submits, waits for a completion and takes in all there are.
func (e *engine) turn() {
	e.putBacklog()
	if !e.bell.armed && e.ring.room() > 0 {
		e.bell.armed = true
		e.ring.put(sqe{opcode: opPollAdd, fd: e.bell.fd, opFlags: unix.POLLIN, userData: tagBell})
	}
	if e.bell.sleep() {
		e.enter(true)
		e.bell.awake()
		if e.broken != nil {
			return
		}
	}
	for c, ok := e.ring.next(); ok; c, ok = e.ring.next() {
		e.complete(c)
	}
	e.takeSynced()
}

// enter has the kernel take what is in place. Where it does not take all of that, the rest stays
// for the next time. There is none for a ring that broke: the files of what it did not take may
// be closed.
func (e *engine) enter(wait bool) {
	if e.broken != nil {
		return
	}
	if err := e.ring.enter(wait); err != nil && !errors.Is(err, errBusy) {
		e.broken = err
	} else if e.ring.pending > 0 {
		return
	}
	e.files.taken()
	for i, f := range e.held {
		f.Done()
		e.held[i] = nil
	}
	e.held = e.held[:0]
}

// putBacklog puts requests in place that had no room.
func (e *engine) putBacklog() {
	list := e.backlog
	e.backlog = nil // so that they do not queue up behind themselves
	for n, t := range list {
		if e.ring.room() == 0 {
			e.backlog = append(slices.Clone(list[n:]), e.backlog...)
			return
		}
		fl := e.flights[t>>40]
		e.putWrite(fl, int(uint32(t)))
		if fl.left == 0 {
			e.finish(fl)
		}
	}
	if e.backlog == nil {
		e.backlog = list[:0]
	}
}

func (e *engine) complete(c cqe) {
	if c.userData&tagKinds == tagBell {
		e.bell.rang()
		return
	}
	fl := e.flights[c.userData>>40]
	fl.wrote(e, int(uint32(c.userData)), c.res)
	if fl.left == 0 {
		e.finish(fl)
	}
}

// takeSynced takes in the syncs that have ended.
func (e *engine) takeSynced() {
	if !e.bell.told() {
		return
	}
	e.mu.Lock()
	e.synced, e.taken = e.taken[:0], e.synced
	e.mu.Unlock()
	for _, s := range e.taken {
		if s.end(); s.flight.left == 0 {
			e.finish(s.flight)
		}
	}
}

// finish ends a flight and gives its batch back to the queue.
func (e *engine) finish(fl *flight) {
	q, b := fl.queue, fl.batch
	fl.queue, fl.batch = nil, nil
	e.free = append(e.free, fl.place)
	q.carrier.finished(b)
}

// close ends the ring; nothing may be in flight.
func (e *engine) close() error {
	for e.broken == nil && e.bell.armed { // its request is in flight too
		e.bell.answer()
		e.bell.poke()
		e.turn()
	}
	e.files.close()
	return errors.Join(e.bell.close(), e.ring.close())
}
