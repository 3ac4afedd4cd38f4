package uring

import (
	"fmt"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// bell wakes a queue that waits in the kernel: an eventfd that the ring polls. ring may be
// called by any goroutine, the rest by the queue's only.
type bell struct {
	fd int32
	// armed: the ring polls.
	armed bool
	// called: somebody rang and was not answered yet. asleep: the queue waits, or is about to.
	called, asleep atomic.Bool
	// news: a sync has ended that was not taken in yet. Nobody else is woken by it.
	news atomic.Bool
	// mu keeps a ring after close from writing to another file.
	mu     sync.Mutex
	closed bool
}

func (b *bell) init() error {
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return fmt.Errorf("eventfd: %w", err)
	}
	b.fd = int32(fd)
	return nil
}

// ring wakes the queue.
func (b *bell) ring() {
	b.called.Store(true)
	if b.asleep.Load() { // else it looks before it goes to sleep
		b.poke()
	}
}

// tell has the queue look for syncs that have ended.
func (b *bell) tell() {
	b.news.Store(true)
	if b.asleep.Load() {
		b.poke()
	}
}

// told reports whether there is news since it was last asked.
func (b *bell) told() bool { return b.news.CompareAndSwap(true, false) }

// poke makes the ring's poll complete.
func (b *bell) poke() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.closed {
		_, _ = unix.Write(int(b.fd), []byte{1, 0, 0, 0, 0, 0, 0, 0}) // fails only if 2^64 pokes were not heard
	}
}

// answer reports whether somebody rang since it was last asked.
func (b *bell) answer() bool { return b.called.CompareAndSwap(true, false) }

// sleep reports whether the queue may go to sleep: nobody rang, and there is no news.
func (b *bell) sleep() bool {
	b.asleep.Store(true)
	if b.called.Load() || b.news.Load() {
		b.asleep.Store(false)
		return false
	}
	return true
}

func (b *bell) awake() { b.asleep.Store(false) }

// rang takes in that the poll has completed.
func (b *bell) rang() {
	b.armed = false
	var count [8]byte
	_, _ = unix.Read(int(b.fd), count[:]) // it does not block, and may find nothing
}

func (b *bell) close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	return unix.Close(int(b.fd))
}
