package sim

import (
	"fmt"
	"slices"
	"syscall"
	"unsafe"

	"github.com/chronik-go/wal/core/backend"
)

const errReadOnly = syscall.EROFS

// maxBuffer bounds one buffer, in bytes.
const maxBuffer = 1 << 30

// memory is what Buffer.Backend holds. All of it is under the Disk's lock.
type memory struct {
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
	k := slices.IndexFunc(q.spare, func(b *backend.Buffer) bool { return cap(b.Bytes) >= size })
	if k >= 0 {
		b := q.spare[k]
		q.spare = slices.Delete(q.spare, k, k+1)
		m := b.Backend.(*memory)
		m.released = false
		b.Bytes = m.bytes[:size]
		return b, nil
	}
	m := &memory{q: q, bytes: aligned(size, q.limits.Alignment)}
	for i := range m.bytes {
		m.bytes[i] = 0xdb // whoever relies on zeros shall notice
	}
	return &backend.Buffer{Bytes: m.bytes[:size], Backend: m}, nil
}

// aligned returns memory of at least size bytes, whole blocks of align bytes, that starts
// at a multiple of align.
func aligned(size, align int) []byte {
	size = (size + align - 1) / align * align
	mem := make([]byte, size+align)
	skip := -address(mem) & uintptr(align-1)
	return mem[skip:][:size:size]
}

// address is where the bytes lie. It is only ever compared: the memory of a slice that
// is alive does not move.
func address(b []byte) uintptr { return uintptr(unsafe.Pointer(unsafe.SliceData(b))) }

func (q *queue) Release(b *backend.Buffer) {
	q.d.mu.Lock()
	defer q.d.mu.Unlock()
	if b == nil {
		return
	}
	m, ok := b.Backend.(*memory)
	switch {
	case !ok || m.q != q:
		q.d.offend(fmt.Errorf("release of a buffer of another queue: %w", ErrContract))
	case m.released:
		q.d.offend(fmt.Errorf("buffer released twice: %w", ErrContract))
	case m.inFlight > 0 && !q.d.crashed:
		q.d.offend(fmt.Errorf("release of a buffer in flight: %w", ErrContract))
	default:
		m.released = true
		b.Bytes = m.bytes
		q.spare = append(q.spare, b)
	}
}
