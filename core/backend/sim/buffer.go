package sim

import (
	"fmt"
	"reflect"
	"slices"
	"syscall"

	"github.com/chronik-go/wal/core/backend"
)

// maxBuffer bounds one buffer, in bytes.
const maxBuffer = 1 << 30

// memory is what Buffer.Backend holds. All of it is under the Disk's lock.
type memory struct {
	b        *backend.Buffer
	q        *queue
	bytes    []byte // aligned as Limits.Alignment says
	released bool
	inFlight int // writes
}

// bufferOf returns the memory that the write's data lies in.
func bufferOf(w *backend.Write) (*memory, bool) {
	if w.Buffer == nil || len(w.Data) == 0 {
		return nil, false
	}
	m, ok := w.Buffer.Backend.(*memory)
	return m, ok
}

func (q *queue) Buffer(size int) (*backend.Buffer, error) {
	i := q.info(OpBuffer)
	i.Len = int64(size)
	d := q.d
	if err := d.begin(i); err != nil {
		return nil, err
	}
	defer d.mu.Unlock()
	switch {
	case q.closed:
		return nil, failed(i, backend.ErrClosed)
	case size < 1:
		return nil, failed(i, syscall.EINVAL)
	case size > maxBuffer:
		return nil, failed(i, syscall.ENOMEM)
	}
	k := slices.IndexFunc(q.spare, func(m *memory) bool { return len(m.bytes) >= size })
	if k >= 0 {
		m := q.spare[k]
		q.spare = slices.Delete(q.spare, k, k+1)
		m.released = false
		m.b.Bytes = m.bytes[:size]
		return m.b, nil
	}
	m := &memory{q: q, bytes: aligned(size, q.limits.Alignment)}
	for i := range m.bytes {
		m.bytes[i] = 0xdb // whoever relies on zeros shall notice
	}
	m.b = &backend.Buffer{Bytes: m.bytes[:size], Backend: m}
	return m.b, nil
}

// aligned returns memory of at least size bytes, whole blocks of align bytes, that starts
// at a multiple of align.
func aligned(size, align int) []byte {
	size = (size + align - 1) / align * align
	mem := make([]byte, size+align)
	skip := -address(mem) & uintptr(align-1)
	return mem[skip:][:size:size]
}

// address is where the bytes lie; there is at least one. It is only ever compared: the
// memory of a slice that is alive does not move.
func address(b []byte) uintptr { return reflect.ValueOf(&b[0]).Pointer() }

func (q *queue) Release(b *backend.Buffer) {
	q.d.mu.Lock()
	defer q.d.mu.Unlock()
	if b == nil {
		return
	}
	m, ok := b.Backend.(*memory)
	switch {
	case !ok || m.q != q:
		_ = q.d.offend(fmt.Errorf("release of a buffer of another queue: %w", ErrContract))
	case m.released:
		_ = q.d.offend(fmt.Errorf("buffer released twice: %w", ErrContract))
	case m.inFlight > 0 && !q.d.crashed:
		_ = q.d.offend(fmt.Errorf("release of a buffer in flight: %w", ErrContract))
	default:
		m.released = true
		q.spare = append(q.spare, m)
	}
}
