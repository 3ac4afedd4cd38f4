package posix

import (
	"fmt"
	"math"
	"os"
	"sync"
	"unsafe"

	"github.com/chronik-go/wal/core/backend"
)

// pool hands out a queue's buffers: whole pages from the kernel, aligned for direct
// writes, outside the Go heap. A page takes memory when it is first touched. The
// kernel gets them back at put, and what is left at close; using one after that
// ends the process with a fault, not with a log full of somebody else's bytes.
// Its methods may be called concurrently.
type pool struct {
	mu     sync.Mutex
	pages  map[*backend.Buffer][]byte
	closed bool
}

// get returns a buffer of size bytes, rounded up to whole pages.
func (p *pool) get(size int) (*backend.Buffer, error) {
	page := os.Getpagesize()
	if size < 1 || size > math.MaxInt-page {
		return nil, fmt.Errorf("buffer of %d bytes: not a possible size", size)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, fmt.Errorf("buffer: %w", backend.ErrClosed)
	}
	mem, err := mapPages((size + page - 1) / page * page)
	if err != nil {
		return nil, fmt.Errorf("buffer of %d bytes: %w", size, err)
	}
	if p.pages == nil {
		p.pages = map[*backend.Buffer][]byte{}
	}
	b := &backend.Buffer{Bytes: mem, Backend: p}
	p.pages[b] = mem
	return b, nil
}

// put frees a buffer. One that this pool did not make, or that came back before,
// is left alone.
func (p *pool) put(b *backend.Buffer) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.free(b)
}

// free is put, locked.
func (p *pool) free(b *backend.Buffer) {
	mem, ours := p.pages[b]
	if !ours {
		return
	}
	delete(p.pages, b)
	b.Bytes = nil
	_ = unmapPages(mem) // fails only for a range that was never mapped
}

// holds says whether data lies in b and b is of this pool.
func (p *pool) holds(b *backend.Buffer, data []byte) bool {
	p.mu.Lock()
	mem, ours := p.pages[b]
	p.mu.Unlock()
	if !ours {
		return false
	}
	// Addresses, because the contract is about memory, not about how data was sliced;
	// nothing is read or written through them.
	start, first := uintptr(unsafe.Pointer(&mem[0])), uintptr(unsafe.Pointer(&data[0]))
	return first >= start && first-start <= uintptr(len(mem)) && uintptr(len(data)) <= uintptr(len(mem))-(first-start)
}

// close frees all buffers and hands out no more.
func (p *pool) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	for b := range p.pages {
		p.free(b)
	}
}
