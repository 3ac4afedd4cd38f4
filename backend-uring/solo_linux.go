package uring

import "github.com/chronik-go/wal/core/backend"

// soloEntries is how many requests fit a queue's own ring; a batch with more goes in portions.
const soloEntries = 64

// solo is a ring for one queue, on the goroutine of its caller: a batch costs the system call
// that submits it and waits, and no hand-over.
type solo struct {
	engine *engine
	done   []*backend.Batch // completed, not yet returned
}

func newSolo(q *queue) (*solo, error) {
	e, err := newEngine(soloEntries, q.dir.backend.without|ofOneThread)
	if err != nil {
		return nil, err
	}
	e.files.init(e.ring, q.dir.backend.without)
	q.memory.init(e.ring)
	q.memory.registerTable(q.dir.backend.without)
	return &solo{engine: e}, nil
}

// pushBytes is how large a batch is for whose sake the kernel is entered at once. The caller has
// time to spend on it meanwhile, such as a checksum of the same bytes: some 100 ns a KiB. A system
// call takes less than a microsecond.
const pushBytes = 64 << 10

func (s *solo) submit(q *queue, b *backend.Batch) {
	s.engine.start(q, b)
	bytes := 0
	for i := range b.Writes {
		bytes += len(b.Writes[i].Data)
	}
	if bytes >= pushBytes {
		s.engine.enter(false)
	}
}

func (s *solo) wait() (*backend.Batch, error) {
	for {
		if n := len(s.done); n > 0 {
			b := s.done[0]
			copy(s.done, s.done[1:])
			s.done = s.done[:n-1]
			return b, nil
		}
		switch {
		case s.engine.broken != nil:
			return nil, s.engine.broken
		case s.engine.bell.answer():
			return nil, nil
		}
		s.engine.turn()
	}
}

func (s *solo) wake()                     { s.engine.bell.ring() }
func (s *solo) finished(b *backend.Batch) { s.done = append(s.done, b) }
func (s *solo) forget(f *file)            { s.engine.files.forget(f) }
func (s *solo) leave() error              { return s.engine.close() }
