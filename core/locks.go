package wal

import (
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// appendLock is the lock that orders appends. It is held for the time it takes to hand
// out an offset and a place in the commit buffer, never across I/O.
type appendLock struct {
	tryLocker
	waited atomic.Int64 // ns spent waiting
}

// tryLocker is what both kinds of append lock do.
type tryLocker interface {
	sync.Locker
	TryLock() bool
}

func newAppendLock(std bool) *appendLock {
	if std {
		return &appendLock{tryLocker: new(sync.Mutex)}
	}
	return &appendLock{tryLocker: new(fairLock)}
}

// Lock takes the lock and accounts for the time it took, if it was not free.
func (l *appendLock) Lock() {
	if l.TryLock() {
		return
	}
	start := time.Now()
	l.tryLocker.Lock()
	l.waited.Add(int64(time.Since(start)))
}

// fairLock is a mutex that serves its callers first come, first served, so that no
// producer starves: a ticket lock (Mellor-Crummey and Scott, 1991) whose waiters spin
// for a moment and then sleep.
type fairLock struct {
	next    atomic.Uint64 // the ticket that the next caller draws
	serving atomic.Uint64 // the ticket that holds the lock
	asleep  atomic.Int64

	mu       sync.Mutex
	sleepers map[uint64]chan struct{}
	spare    []chan struct{}
}

// spinLimit is how often a waiter looks before it sleeps: for about a microsecond, some
// critical sections long. A sleeper that is handed the lock holds up all behind it until it
// is scheduled, so a short spin makes the waits of all producers longer.
const spinLimit = 1000

func (l *fairLock) TryLock() bool {
	t := l.serving.Load()
	return l.next.CompareAndSwap(t, t+1)
}

// Lock takes the lock, behind those who came before.
//
// Who was handed the lock asleep holds it without running yet. A caller that has just given it up and
// comes back before that one had it would fall asleep behind it in turn, and so would the next: every
// append from then on would take a change of goroutines (BenchmarkAppendLock: several times as long).
// So where somebody sleeps the caller lets others run first, and draws its ticket afterwards.
func (l *fairLock) Lock() {
	if l.asleep.Load() > 0 {
		runtime.Gosched()
		if l.TryLock() {
			return
		}
	}
	ticket := l.next.Add(1) - 1
	for range spinLimit {
		if l.serving.Load() == ticket {
			return
		}
	}
	l.asleep.Add(1)
	l.mu.Lock()
	// asleep was raised before serving is read again: either this sees that the lock
	// was handed over, or Unlock sees the sleeper.
	if l.serving.Load() == ticket {
		l.mu.Unlock()
		l.asleep.Add(-1)
		return
	}
	bed := l.makeBed(ticket)
	l.mu.Unlock()
	<-bed
	l.asleep.Add(-1)
	l.mu.Lock()
	l.spare = append(l.spare, bed)
	l.mu.Unlock()
}

func (l *fairLock) makeBed(ticket uint64) chan struct{} {
	if l.sleepers == nil {
		l.sleepers = map[uint64]chan struct{}{}
	}
	var bed chan struct{}
	if n := len(l.spare); n > 0 {
		bed, l.spare = l.spare[n-1], l.spare[:n-1]
	} else {
		bed = make(chan struct{}, 1)
	}
	l.sleepers[ticket] = bed
	return bed
}

func (l *fairLock) Unlock() {
	ticket := l.serving.Add(1)
	if l.asleep.Load() == 0 {
		return
	}
	l.mu.Lock()
	bed, ok := l.sleepers[ticket]
	delete(l.sleepers, ticket)
	l.mu.Unlock()
	if ok {
		bed <- struct{}{}
	}
}
