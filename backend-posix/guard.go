package posix

import (
	"sync"

	"github.com/chronik-go/wal/core/backend"
)

// guard keeps a descriptor open while a method uses it. Without it a Close during
// a write frees the descriptor's number, the next open of anything in the process
// gets that number, and the write lands in the wrong file.
type guard struct {
	mu     sync.RWMutex
	closed bool
}

// enter starts a use of the descriptor; each nil result is paired with a leave.
func (g *guard) enter() error {
	g.mu.RLock()
	if g.closed {
		g.mu.RUnlock()
		return backend.ErrClosed
	}
	return nil
}

func (g *guard) leave() { g.mu.RUnlock() }

// close waits for the uses in progress, refuses further ones and runs release.
func (g *guard) close(release func() error) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return backend.ErrClosed
	}
	g.closed = true
	return release()
}
