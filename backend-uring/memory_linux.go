package uring

import (
	"errors"
	"fmt"
	"math"
	"os"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/chronik-go/wal/core/backend"
)

// bufferSlots is how many buffers of a queue can be registered. The engine has a handful.
const bufferSlots = 32

// memory hands out a queue's buffers: whole pages outside the Go heap, registered with the
// ring where that is possible. Its methods may be called concurrently.
type memory struct {
	mu      sync.Mutex
	regions map[*backend.Buffer]*region
	ring    *ring // with a table; nil: none
	free    []int // slots of the table
	closed  bool
}

// region is one buffer.
type region struct {
	mem  []byte
	slot int // in the ring's table, -1 if it is not registered
}

func (m *memory) init(r *ring) { m.ring, m.regions = r, map[*backend.Buffer]*region{} }

// registerTable makes the ring's table of buffers. A ring that takes none goes without.
func (m *memory) registerTable(without Feature) {
	r := m.ring
	if without&RegisteredBuffers != 0 {
		return
	}
	arg := rsrcRegister{nr: bufferSlots, flags: rsrcSparse}
	if err := r.register(registerBuffers2, unsafe.Pointer(&arg), unsafe.Sizeof(arg)); err != nil {
		return
	}
	r.has |= RegisteredBuffers
	for i := bufferSlots - 1; i >= 0; i-- {
		m.free = append(m.free, i)
	}
}

// get returns a buffer of size bytes, rounded up to whole pages.
func (m *memory) get(size int) (*backend.Buffer, error) {
	page := os.Getpagesize()
	if size < 1 || size > math.MaxInt-page {
		return nil, fmt.Errorf("buffer of %d bytes: not a possible size", size)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return nil, fmt.Errorf("buffer: %w", backend.ErrClosed)
	}
	mem, err := unix.Mmap(-1, 0, (size+page-1)/page*page, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		return nil, fmt.Errorf("buffer of %d bytes: %w", size, err)
	}
	g := &region{mem: mem, slot: -1}
	if n := len(m.free); n > 0 {
		if err := m.register(m.free[n-1], mem); err == nil { // else it is used without: RLIMIT_MEMLOCK, say
			g.slot = m.free[n-1]
			m.free = m.free[:n-1]
		}
	}
	b := &backend.Buffer{Bytes: mem, Backend: m}
	m.regions[b] = g
	return b, nil
}

// register puts memory, or nothing, into a slot of the ring's table.
func (m *memory) register(slot int, mem []byte) error {
	var vec unix.Iovec
	if mem != nil {
		vec.Base = &mem[0]
		vec.SetLen(len(mem))
	}
	arg := rsrcUpdate2{offset: uint32(slot), data: uint64(uintptr(unsafe.Pointer(&vec))), nr: 1}
	return m.ring.register(registerBuffersUpdate, unsafe.Pointer(&arg), unsafe.Sizeof(arg))
}

// put frees a buffer. One that is not of this queue, or came back before, is left alone.
func (m *memory) put(b *backend.Buffer) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.closed {
		m.release(b)
	}
}

func (m *memory) release(b *backend.Buffer) {
	g := m.regions[b]
	if g == nil {
		return
	}
	delete(m.regions, b)
	b.Bytes = nil
	if g.slot >= 0 && m.register(g.slot, nil) == nil {
		m.free = append(m.free, g.slot)
	}
	_ = unix.Munmap(g.mem) // fails only for a range that was never mapped
}

var errNotOurs = errors.New("the data does not lie in a buffer of this queue")

// find returns the slot of the buffer that data lies in, -1 if that is not registered.
func (m *memory) find(b *backend.Buffer, data []byte) (slot int, err error) {
	m.mu.Lock()
	g := m.regions[b]
	m.mu.Unlock()
	if g == nil {
		return -1, errNotOurs
	}
	// Addresses, because the contract is about memory, not about how data was sliced;
	// nothing is read or written through them.
	start, first := uintptr(unsafe.Pointer(&g.mem[0])), uintptr(unsafe.Pointer(&data[0]))
	if first < start || first-start > uintptr(len(g.mem)) || uintptr(len(data)) > uintptr(len(g.mem))-(first-start) {
		return -1, errNotOurs
	}
	return g.slot, nil
}

// abandon hands out no more, and frees nothing: the kernel may still read it.
func (m *memory) abandon() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed = true
}

// close frees all buffers and hands out no more.
func (m *memory) close() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for b := range m.regions {
		m.release(b)
	}
	m.closed = true
}
