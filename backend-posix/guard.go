package posix

import (
	"sync"

	"github.com/chronik-go/wal/core/backend"
)

// guard keeps a descriptor open while it is in use. Without it a Close during a write frees the
// descriptor's number, the next open of anything in the process gets that number, and the write
// lands in the wrong file.
//
// It counts uses, and is no sync.RWMutex: there a goroutine that has a use, and begins another one
// while close waits, waits for close, which waits for it.
type guard struct {
	mu     sync.Mutex
	uses   int
	closed bool
	idle   chan struct{} // closed with the last use, once close waits
}

// enter starts a use of the descriptor; each nil result is paired with a leave.
func (g *guard) enter() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return backend.ErrClosed
	}
	g.uses++
	return nil
}

func (g *guard) leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.uses--
	if g.idle != nil && g.uses == 0 {
		close(g.idle)
	}
}

// close refuses further uses, waits for those in progress and runs release.
func (g *guard) close(release func() error) error {
	if err := g.end(); err != nil {
		return err
	}
	if g.idle != nil {
		<-g.idle
	}
	return release()
}

// end refuses further uses.
func (g *guard) end() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return backend.ErrClosed
	}
	g.closed = true
	if g.uses > 0 {
		g.idle = make(chan struct{})
	}
	return nil
}
