package uring

import (
	"errors"
	"fmt"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// ring is an io_uring: two queues in memory that is shared with the kernel. One goroutine at a
// time uses it, but for register, which any may call.
//
// Pointers into the mapped memory come from offsets that the kernel gives; it is unmapped by
// close, after which nothing may use them.
type ring struct {
	fd int
	// enterFD is what enter knows the ring by: its descriptor or, with enterFlags, the place at
	// which its thread has it registered.
	enterFD    int
	enterFlags uintptr
	features   uint32
	has        Feature

	sqMem, cqMem, sqeMem []byte

	sqTail, sqMask, sqFlags *uint32
	cqHead, cqTail, cqMask  *uint32
	array                   []uint32
	sqes                    []sqe
	cqes                    []cqe

	tail    uint32 // of the requests put in place
	pending uint32 // of those, how many the kernel has not taken yet
}

// optionalSetup are setup flags that are gone without, in the order in which kernels got them,
// newest first.
var optionalSetup = []struct {
	feature Feature
	flag    uint32
}{{DeferTaskrun, setupDeferTaskrun}, {SingleIssuer, setupSingleIssuer}, {CoopTaskrun, setupCoopTaskrun}, {SubmitAll, setupSubmitAll}}

// ofOneThread are the features of a ring that one thread alone uses, from its making to its end.
const ofOneThread = DeferTaskrun | SingleIssuer | RegisteredRing

// newRing makes a ring for at least so many requests, without the features named.
func newRing(entries uint32, without Feature) (*ring, error) {
	r := &ring{fd: -1}
	if without&SingleIssuer != 0 {
		without |= DeferTaskrun
	}
	p, err := r.setup(entries, without)
	if err != nil {
		return nil, err
	}
	unix.CloseOnExec(r.fd)
	r.features = p.features
	if err := r.mapMemory(&p); err != nil {
		return nil, errors.Join(err, r.close())
	}
	r.probeOps(without)
	if without&RegisteredRing == 0 {
		r.registerSelf()
	}
	return r, nil
}

// setup has the kernel make the ring, with as many of the optional flags as it knows.
func (r *ring) setup(entries uint32, without Feature) (params, error) {
	for try := optionalSetup; ; try = try[1:] {
		p := params{flags: setupClamp}
		r.has = 0
		for _, o := range try {
			if without&o.feature == 0 {
				p.flags |= o.flag
				r.has |= o.feature
			}
		}
		fd, _, errno := unix.Syscall(unix.SYS_IO_URING_SETUP, uintptr(entries), uintptr(unsafe.Pointer(&p)), 0)
		if errno == unix.EINVAL && len(try) > 0 {
			continue // an older kernel
		}
		if errno != 0 {
			return p, setupError(errno)
		}
		r.fd, r.enterFD = int(fd), int(fd)
		return p, nil
	}
}

// registerSelf registers the ring with its thread. Where that cannot be, it goes by its descriptor.
func (r *ring) registerSelf() {
	arg := ringUpdate{offset: anyOffset, data: uint64(r.fd)}
	n, _, errno := unix.Syscall6(unix.SYS_IO_URING_REGISTER, uintptr(r.fd), registerRingFDs, uintptr(unsafe.Pointer(&arg)), 1, 0, 0)
	if errno == 0 && n == 1 {
		r.enterFD, r.enterFlags = int(arg.offset), enterRegisteredRing
		r.has |= RegisteredRing
	}
}

// unregisterSelf takes that back, on the same thread.
func (r *ring) unregisterSelf() {
	if r.has&RegisteredRing != 0 {
		arg := ringUpdate{offset: uint32(r.enterFD)}
		_ = r.register(unregisterRingFDs, unsafe.Pointer(&arg), 1) // of what is registered: it does not fail
		r.has &^= RegisteredRing
	}
}

func (r *ring) mapMemory(p *params) (err error) {
	sqSize := int(p.sq.array + p.sqEntries*4)
	cqSize := int(p.cq.cqes + p.cqEntries*uint32(unsafe.Sizeof(cqe{})))
	if p.features&featSingleMmap != 0 {
		sqSize = max(sqSize, cqSize)
	}
	const prot, flags = unix.PROT_READ | unix.PROT_WRITE, unix.MAP_SHARED | unix.MAP_POPULATE
	if r.sqMem, err = unix.Mmap(r.fd, offSQRing, sqSize, prot, flags); err != nil {
		return fmt.Errorf("map the submission queue: %w", err)
	}
	cq := r.sqMem
	if p.features&featSingleMmap == 0 {
		if r.cqMem, err = unix.Mmap(r.fd, offCQRing, cqSize, prot, flags); err != nil {
			return fmt.Errorf("map the completion queue: %w", err)
		}
		cq = r.cqMem
	}
	if r.sqeMem, err = unix.Mmap(r.fd, offSQEs, int(p.sqEntries)*int(unsafe.Sizeof(sqe{})), prot, flags); err != nil {
		return fmt.Errorf("map the requests: %w", err)
	}
	at := func(mem []byte, off uint32) *uint32 { return (*uint32)(unsafe.Pointer(&mem[off])) }
	r.sqTail, r.sqMask, r.sqFlags = at(r.sqMem, p.sq.tail), at(r.sqMem, p.sq.mask), at(r.sqMem, p.sq.flags)
	r.cqHead, r.cqTail, r.cqMask = at(cq, p.cq.head), at(cq, p.cq.tail), at(cq, p.cq.mask)
	r.array = unsafe.Slice(at(r.sqMem, p.sq.array), p.sqEntries)
	r.cqes = unsafe.Slice((*cqe)(unsafe.Pointer(&cq[p.cq.cqes])), p.cqEntries)
	r.sqes = unsafe.Slice((*sqe)(unsafe.Pointer(&r.sqeMem[0])), p.sqEntries)
	r.tail = atomic.LoadUint32(r.sqTail)
	return nil
}

// probeOps finds out whether there is a plain write. A kernel that cannot be asked has none.
func (r *ring) probeOps(without Feature) {
	var p probe
	err := r.register(registerProbe, unsafe.Pointer(&p), uintptr(len(p.ops)))
	if err == nil && p.ops[opWrite].flags&probeOpSupported != 0 && without&PlainWrite == 0 {
		r.has |= PlainWrite
	}
}

// room is how many more requests fit before the next enter.
func (r *ring) room() int { return len(r.sqes) - int(r.pending) }

// put puts a request in place; the kernel takes it at the next enter. There must be room.
func (r *ring) put(q sqe) {
	i := r.tail & *r.sqMask
	r.array[i] = i
	r.sqes[i] = q
	r.tail++
	r.pending++
}

// errBusy: the kernel takes nothing more before completions are reaped.
var errBusy = errors.New("completions are waiting to be reaped")

const (
	// maxInterrupted bounds how often in a row a request may be interrupted.
	maxInterrupted = 1000
	// maxPauses bounds the pauses in which the kernel may get the memory that it lacks for a request:
	// from a microsecond on each is twice the one before, about a second in all. A control group at
	// its limit takes so long; a thousand tries without a pause are over in a few milliseconds, and
	// a write given up fails the log.
	maxPauses = 20
)

// sendAgain tells whether a request that failed is to be sent again, after it was n times already:
// and waits before that where the kernel lacks something. Whoever shares the ring waits too: they would
// be refused like this one.
func sendAgain(err error, n int) bool {
	pause, again := pauseBefore(err, n)
	if pause > 0 {
		<-time.After(pause) // nothing tells when there is memory again
	}
	return again
}

// pauseBefore tells how long to wait before a request is sent again.
func pauseBefore(err error, n int) (pause time.Duration, again bool) {
	switch {
	case errors.Is(err, unix.EINTR):
		return 0, n < maxInterrupted
	case (errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EBUSY)) && n < maxPauses:
		return time.Microsecond << n, true
	}
	return 0, false
}

// enter has the kernel take what was put in place, and with wait waits until there is a
// completion. What the kernel did not take stays in place for the next call: after EAGAIN and
// EBUSY requests are not lost, and counting them as such would be off for ever.
func (r *ring) enter(wait bool) error {
	atomic.StoreUint32(r.sqTail, r.tail)
	for again := 0; ; {
		least, flags := uintptr(0), r.enterFlags
		if wait || atomic.LoadUint32(r.sqFlags)&sqCQOverflow != 0 {
			flags |= enterGetEvents
		}
		if wait {
			least = 1
		}
		n, _, errno := unix.Syscall6(unix.SYS_IO_URING_ENTER, uintptr(r.enterFD), uintptr(r.pending), least, flags, 0, 0)
		switch {
		case errno == 0:
			r.pending -= uint32(n)
			if r.pending == 0 || r.completed() {
				return nil
			}
			// It stopped at a request that it refused, whose completion says so.
		case errno == unix.EINTR:
		case (errno == unix.EAGAIN || errno == unix.EBUSY) && r.completed():
			return errBusy
		case sendAgain(errno, again):
			again++
		default:
			return fmt.Errorf("io_uring_enter: %w", errno)
		}
		if wait && r.completed() {
			return nil
		}
	}
}

// completed reports whether there is a completion to reap.
func (r *ring) completed() bool { return *r.cqHead != atomic.LoadUint32(r.cqTail) }

// next returns the next completion, if there is one.
func (r *ring) next() (c cqe, ok bool) {
	head := *r.cqHead
	if head == atomic.LoadUint32(r.cqTail) {
		return c, false
	}
	c = r.cqes[head&*r.cqMask]
	atomic.StoreUint32(r.cqHead, head+1) // the kernel may overwrite it from here on
	return c, true
}

func (r *ring) register(op uintptr, arg unsafe.Pointer, n uintptr) error {
	for {
		_, _, errno := unix.Syscall6(unix.SYS_IO_URING_REGISTER, uintptr(r.fd), op, uintptr(arg), n, 0, 0)
		if errno == unix.EINTR {
			continue
		}
		if errno != 0 {
			return errno
		}
		return nil
	}
}

// close gives everything back. Nothing may be in flight: the kernel would go on writing from
// memory that the caller is about to free.
func (r *ring) close() error {
	var errs []error
	r.unregisterSelf()
	for _, mem := range [][]byte{r.sqeMem, r.cqMem, r.sqMem} {
		if mem != nil {
			errs = append(errs, unix.Munmap(mem))
		}
	}
	if r.fd >= 0 {
		errs = append(errs, unix.Close(r.fd))
	}
	r.fd, r.sqeMem, r.cqMem, r.sqMem = -1, nil, nil, nil
	return errors.Join(errs...)
}

// errnoOf makes an error of a completion's result.
func errnoOf(res int32) error { return syscall.Errno(-res) }
