package wal

import "sync"

// bufferPool keeps windows' memory for the next one. A nil pool makes new memory each
// time.
type bufferPool struct{ pool sync.Pool }

func newBufferPool(use bool) *bufferPool {
	if !use {
		return nil
	}
	return &bufferPool{}
}

func (p *bufferPool) get(n int) []byte {
	if p != nil {
		if b, ok := p.pool.Get().(*[]byte); ok && cap(*b) >= n {
			return (*b)[:n]
		}
	}
	return make([]byte, n)
}

func (p *bufferPool) put(b []byte) {
	if p != nil && cap(b) > 0 && cap(b) <= 4*windowSize {
		p.pool.Put(&b)
	}
}
