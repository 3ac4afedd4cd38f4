package wal

import (
	"errors"
	"io"

	"github.com/chronik-go/wal/core/format"
)

// windowSize is how much a window reads at once, bytes. Measured: a disk gave 1.1 GB/s in
// steps of 1 MiB, 0.6 in steps of 256 KiB, and no more in larger ones.
const windowSize = 1 << 20

// window reads a file front to back in large steps. What lies across two steps is put
// together in memory, not read again. Not for concurrent use.
type window struct {
	file  io.ReaderAt
	limit int64 // nothing is read from there on
	chunk int
	// fresh takes new memory for each step, for what is handed out and kept.
	fresh bool
	// ahead reads the next steps while this one is worked on.
	ahead bool
	pool  *bufferPool
	// shown: what is in the window was put there by show, and nothing is read.
	shown bool

	buf   []byte      // what is in the window
	at    int64       // and where it stands
	own   []byte      // the memory behind buf
	spare [][]byte    // memory for the next steps, unless fresh
	next  []*readStep // being read ahead, in the order of the file
	room  int         // the most that was left of a step
}

// stepsAhead is how many steps are read ahead: with two, the disk has something to do while
// one that is done changes hands.
const stepsAhead = 2

// readStep is one read: [ room | data ], with room for what is left of the step before.
type readStep struct {
	mem  []byte
	room int
	at   int64
	err  error
	done chan struct{} // closed when it was read; nil if it was not read ahead
}

// bytes returns n bytes at a position, which are valid until the next call unless the
// window is fresh. The caller sees to it that they end at or below the limit.
func (w *window) bytes(position int64, n int) ([]byte, error) {
	if w.shown && (position < w.at || position+int64(n) > w.end()) {
		return nil, errShown
	}
	if position < w.at || position > w.end() {
		w.buf, w.at = nil, position&^(format.MaxAlignment-1) // what is aligned a backend may read directly
	}
	for position+int64(n) > w.end() {
		if err := w.advance(position, n); err != nil {
			return nil, err
		}
	}
	if w.ahead {
		w.readAhead()
	}
	i := position - w.at
	return w.buf[i : i+int64(n) : i+int64(n)], nil
}

// errShown: the bytes are not among those that the window was given.
var errShown = errors.New("beyond what is shown")

// show makes a window one of bytes that are already in memory, which stand at a position.
func (w *window) show(data []byte, at int64) { w.shown, w.buf, w.at = true, data, at }

func (w *window) end() int64 { return w.at + int64(len(w.buf)) }

// advance takes a step more, and keeps from position on what is there.
func (w *window) advance(position int64, n int) error {
	end := w.end()
	rest := w.buf[min(position, end)-w.at:]
	need := position + int64(n) - end
	if need > stepsAhead*int64(w.chunk) {
		w.dropAhead() // to put it together from so many steps would copy it for each of them
	}
	s := w.takeAhead(end)
	if s == nil {
		size := min(max(need, int64(w.chunk)), w.limit-end)
		if size <= 0 {
			return io.ErrUnexpectedEOF
		}
		s = w.newStep(end, len(rest), int(size))
		s.read(w.file)
	}
	if s.err != nil {
		w.forget()
		return s.err
	}
	mem, room := s.mem, s.room
	if len(rest) > room {
		room = len(rest)
		mem = make([]byte, room+len(s.mem)-s.room)
		copy(mem[room:], s.mem[s.room:])
		w.room = room
	}
	copy(mem[room-len(rest):], rest)
	w.buf, w.at = mem[room-len(rest):], end-int64(len(rest))
	w.keep(w.own)
	w.own = mem
	return nil
}

// readAhead has the steps behind the window read.
func (w *window) readAhead() {
	at := w.end()
	for _, s := range w.next {
		at = s.end()
	}
	for ; len(w.next) < stepsAhead && at < w.limit; at = min(at+int64(w.chunk), w.limit) {
		s := w.newStep(at, w.room, int(min(int64(w.chunk), w.limit-at)))
		s.done = make(chan struct{})
		w.next = append(w.next, s)
		go func(file io.ReaderAt) {
			defer close(s.done)
			s.read(file)
		}(w.file)
	}
}

// takeAhead returns the step at a position that was read ahead, nil if there is none. Steps
// for other places are given up.
func (w *window) takeAhead(at int64) *readStep {
	if len(w.next) == 0 {
		return nil
	}
	s := w.next[0]
	if s.at != at {
		w.dropAhead()
		return nil
	}
	w.next = append(w.next[:0], w.next[1:]...)
	<-s.done
	return s
}

func (w *window) dropAhead() {
	for _, s := range w.next {
		<-s.done
		w.keep(s.mem)
	}
	w.next = nil
}

// keep notes memory that is free for the next step.
func (w *window) keep(mem []byte) {
	if !w.fresh && mem != nil {
		w.spare = append(w.spare, mem)
	}
}

// newStep makes a step with its memory.
func (w *window) newStep(at int64, room, size int) *readStep {
	s := &readStep{room: room, at: at}
	if n := len(w.spare); n > 0 && cap(w.spare[n-1]) >= room+size {
		s.mem, w.spare = w.spare[n-1][:room+size], w.spare[:n-1]
		return s
	}
	for _, mem := range w.spare {
		w.pool.put(mem) // too small
	}
	w.spare = w.spare[:0]
	if w.fresh {
		s.mem = make([]byte, room+size)
	} else {
		s.mem = w.pool.get(room + size)
	}
	return s
}

func (s *readStep) end() int64 { return s.at + int64(len(s.mem)-s.room) }

func (s *readStep) read(file io.ReaderAt) {
	n, err := file.ReadAt(s.mem[s.room:], s.at)
	if n == len(s.mem)-s.room {
		return
	}
	if err == nil || err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	s.err = err
}

// forget makes the next bytes come from the file again.
func (w *window) forget() {
	w.buf = nil
	w.dropAhead()
}

// release ends the window and gives its memory back.
func (w *window) release() {
	w.forget()
	w.keep(w.own)
	for _, mem := range w.spare {
		w.pool.put(mem)
	}
	w.own, w.spare = nil, nil
}
