package uring

import (
	"runtime"
	"sync"

	"github.com/chronik-go/wal/core/backend"
)

// hubEntries is how many requests fit the shared ring at once.
const hubEntries = 1024

// hub is a ring that many queues share, with a goroutine of its own: what all of them submit
// goes out by one system call, and none of them keeps a thread waiting in the kernel. It is
// slower for one queue, and faster for many.
type hub struct {
	mu       sync.Mutex
	incoming []submission
	stopping bool
	users    int // guarded by Backend.hubMu
	engine   *engine
	ended    chan struct{} // closed when the goroutine is gone
	dead     chan struct{} // closed when the ring is broken
	err      error         // why; valid once dead is closed
}

type submission struct {
	q *queue
	b *backend.Batch
}

// seat is a queue's place at the hub.
type seat struct {
	hub   *hub
	owner *Backend
	ready chan *backend.Batch
	bell  chan struct{} // holds at most one wake
}

// joinHub gives a queue a place at the backend's hub, and starts that for the first one, or
// another one once its ring is broken.
func (b *Backend) joinHub() (*seat, error) {
	b.hubMu.Lock()
	defer b.hubMu.Unlock()
	if b.hub == nil || b.hub.isDead() {
		h := &hub{ended: make(chan struct{}), dead: make(chan struct{})}
		started := make(chan error, 1)
		go h.run(b.without, started)
		if err := <-started; err != nil {
			return nil, err
		}
		b.hub = h
	}
	b.hub.users++
	return &seat{hub: b.hub, owner: b, ready: make(chan *backend.Batch, queueDepth), bell: make(chan struct{}, 1)}, nil
}

func (h *hub) isDead() bool {
	select {
	case <-h.dead:
		return true
	default:
		return false
	}
}

// run is the hub's goroutine, on a thread of its own: a ring with a single issuer asks for
// that, and saves interrupts in return.
func (h *hub) run(without Feature, started chan error) {
	defer close(h.ended)
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	e, err := newEngine(hubEntries, without)
	h.engine = e
	started <- err
	if err != nil {
		return
	}
	var taken []submission
	for {
		var stop bool
		if taken, stop = h.take(taken); stop {
			break
		}
		for _, s := range taken {
			e.start(s.q, s.b)
		}
		if e.bell.answer() {
			continue
		}
		if e.turn(); e.broken != nil {
			h.err = e.broken
			close(h.dead)
			break
		}
	}
	_ = e.close() // of descriptors that are open: it does not fail
}

// take takes what was submitted, in memory that is used again, and tells whether the hub is to
// end.
func (h *hub) take(again []submission) (taken []submission, stop bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	taken, h.incoming = h.incoming, again[:0]
	return taken, h.stopping && len(taken) == 0 && !h.engine.busy()
}

func (s *seat) submit(q *queue, b *backend.Batch) {
	s.hub.mu.Lock()
	s.hub.incoming = append(s.hub.incoming, submission{q, b})
	s.hub.mu.Unlock()
	s.hub.engine.bell.ring()
}

func (s *seat) wait() (*backend.Batch, error) {
	select {
	case b := <-s.ready:
		return b, nil
	default:
	}
	select {
	case b := <-s.ready:
		return b, nil
	case <-s.bell:
		return nil, nil
	case <-s.hub.dead:
		return nil, s.hub.err
	}
}

func (s *seat) wake() {
	select {
	case s.bell <- struct{}{}:
	default:
	}
}

func (s *seat) finished(b *backend.Batch) { s.ready <- b } // there is room for all in flight

func (s *seat) forget(*file) {} // the hub registers none: there would be too many

// leave gives the place up; the last one ends the hub.
func (s *seat) leave() error {
	s.owner.hubMu.Lock()
	defer s.owner.hubMu.Unlock()
	s.hub.users--
	if s.hub.users > 0 {
		return nil
	}
	s.hub.mu.Lock()
	s.hub.stopping = true
	s.hub.mu.Unlock()
	s.hub.engine.bell.ring()
	<-s.hub.ended
	if s.owner.hub == s.hub {
		s.owner.hub = nil
	}
	return nil
}
