package sim

import (
	"fmt"

	"github.com/chronik-go/wal/core/backend"
)

// check says what is wrong with a batch, before anything of it is started.
func (q *queue) check(b *backend.Batch) error {
	if len(q.flights) >= q.limits.Depth {
		return fmt.Errorf("%d batches in flight, the most is %d: %w", len(q.flights), q.limits.Depth, ErrContract)
	}
	for i := range b.Writes {
		w := &b.Writes[i]
		if err := q.checkWrite(w); err != nil {
			return err
		}
		for j := range i {
			if overlap(w, &b.Writes[j]) {
				return fmt.Errorf("writes %d and %d of the batch overlap: %w", j, i, ErrContract)
			}
		}
		for k := range q.flights {
			if q.flights[k].b == b {
				return fmt.Errorf("the batch is in flight: %w", ErrContract)
			}
			for j := range q.flights[k].b.Writes {
				if overlap(w, &q.flights[k].b.Writes[j]) {
					return fmt.Errorf("write %d overlaps one in flight: %w", i, ErrContract)
				}
			}
		}
	}
	return nil
}

func (q *queue) checkWrite(w *backend.Write) error {
	f := fileOf(w)
	if f == nil || f.dir != q.dir {
		return fmt.Errorf("file is not of the queue's directory: %w", ErrContract)
	}
	if f.closed {
		return fmt.Errorf("file %s: %w", f.o.name, backend.ErrClosed)
	}
	if len(w.Data) == 0 {
		return nil
	}
	n, size, align := int64(len(w.Data)), q.d.st.inodes[f.o.ino].size(), int64(q.limits.Alignment)
	switch {
	case w.Offset < 0 || w.Offset > size-n:
		return fmt.Errorf("write of %d bytes at %d to %s of %d bytes: %w", n, w.Offset, f.o.name, size, ErrContract)
	case w.Offset%align != 0 || n%align != 0:
		return fmt.Errorf("write of %d bytes at %d to %s is not aligned to %d: %w", n, w.Offset, f.o.name, align, ErrContract)
	}
	m, ok := bufferOf(w)
	if !ok || m.q != q {
		return fmt.Errorf("data is in no buffer of the queue: %w", ErrContract)
	}
	// Below the buffer the difference wraps around and is huge.
	from := address(w.Data) - address(m.bytes)
	if room := int64(len(m.bytes)) - n; m.released || room < 0 || from > uintptr(room) {
		return fmt.Errorf("data is not in its buffer: %w", ErrContract)
	}
	if from%uintptr(align) != 0 {
		return fmt.Errorf("data begins at byte %d of its buffer, which is not aligned to %d: %w", from, align, ErrContract)
	}
	return nil
}

// overlap reports whether two writes touch the same bytes.
func overlap(a, b *backend.Write) bool {
	return len(a.Data) > 0 && len(b.Data) > 0 && fileOf(a).o == fileOf(b).o &&
		a.Offset < b.Offset+int64(len(b.Data)) && b.Offset < a.Offset+int64(len(a.Data))
}
