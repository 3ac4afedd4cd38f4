package wal

import (
	"io"
	"sync"
)

// windowSize is how much a window reads at once, bytes.
const windowSize = 1 << 20

// window reads a file front to back in large steps.
type window struct {
	file  io.ReaderAt
	limit int64 // nothing is read from there on
	chunk int
	// fresh takes new memory for each step, for what is handed out and kept.
	fresh bool
	pool  *bufferPool

	buf []byte // what is in the window
	at  int64  // and where it stands
	own []byte // the memory behind buf, to be used again
}

// bytes returns n bytes at a position, which are valid until the next call unless the
// window is fresh. The caller sees to it that they end at or below the limit.
func (w *window) bytes(position int64, n int) ([]byte, error) {
	if position >= w.at && position+int64(n) <= w.at+int64(len(w.buf)) {
		i := position - w.at
		return w.buf[i : i+int64(n) : i+int64(n)], nil
	}
	size := int(min(int64(max(n, w.chunk)), w.limit-position))
	if w.fresh {
		w.own = make([]byte, size)
	} else if cap(w.own) < size {
		w.pool.put(w.own)
		w.own = w.pool.get(size)
	}
	w.buf, w.at = w.own[:size], position
	if got, err := w.file.ReadAt(w.buf, position); got < size {
		w.buf = w.buf[:0]
		if err == nil || err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return nil, err
	}
	return w.buf[:n:n], nil
}

// forget makes the next bytes come from the file again.
func (w *window) forget() { w.buf = w.buf[:0] }

// release gives the window's memory back.
func (w *window) release() {
	if !w.fresh {
		w.pool.put(w.own)
	}
	w.own, w.buf = nil, nil
}

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
