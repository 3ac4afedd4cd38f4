// Package blockdisk is a disk in memory that notes every write and every flush, and makes
// from that the states in which a power failure may leave it. The kernel sees it as a file,
// served by FUSE, under a loop device: any file system can stand on it, and any program write
// to that. It needs root, and a process with a mount namespace of its own.
package blockdisk

import (
	"errors"
	"math/rand/v2"
	"sync"
	"syscall"
	"time"

	"github.com/cespare/xxhash/v2"

	"github.com/chronik-go/wal/conformance/internal/writer"
)

// Disk is the disk. Its exported methods with two arguments are called by net/rpc, one at a
// time. Safe for concurrent use.
type Disk struct {
	mu         sync.Mutex
	page       *writer.Page
	producers  int
	image      *image
	recordings []*recording // the last one's disk is being written
	running    bool
	fault      Fault
	random     *rand.Rand
	// flushing is closed when a flush arrives.
	flushing chan struct{}
	open     sync.WaitGroup
}

// New makes a disk of zeros. It looks at the page as it goes.
func New(size int64, page *writer.Page) *Disk {
	return &Disk{page: page, image: newImage(size), random: rand.New(rand.NewPCG(1, 2)), flushing: make(chan struct{})}
}

// Nothing is what a call without an argument, or a result, has.
type Nothing struct{}

// Fault is what the disk fails with EIO, counted from when it is set; zero: nothing.
type Fault struct {
	// Write and Flush are the numbers, from 1, of the first that fail.
	Write, Flush int
	// Count is how many fail.
	Count int
}

// SetFault sets what fails from here on.
func (d *Disk) SetFault(f Fault, _ *Nothing) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.fault = f
	return nil
}

// Start begins a recording, of writers with so many producers; the one that there is goes on
// when it is dropped.
func (d *Disk) Start(producers int, _ *Nothing) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.producers, d.running = producers, true
	d.recordings = append(d.recordings, &recording{base: len(d.image.layers)})
	d.image.push()
	return d.page.Reset()
}

// Next begins the next phase of a recording, with the page at nothing.
func (d *Disk) Next(Nothing, *Nothing) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	r := d.recordings[len(d.recordings)-1]
	if _, err := d.note(r); err != nil {
		return err
	}
	r.phase++
	return d.page.Reset()
}

// Stop ends a recording and returns how many events it has. What is written from here on is
// lost with the next call of Crash.
func (d *Disk) Stop(_ Nothing, events *int) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.running, d.fault = false, Fault{}
	r := d.recordings[len(d.recordings)-1]
	n, err := d.note(r) // what a crash behind everything has to leave
	*events = n
	return err
}

// Drop forgets a recording, and all that was written since it began.
func (d *Disk) Drop(Nothing, *Nothing) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	last := len(d.recordings) - 1
	d.image.cut(d.recordings[last].base)
	d.recordings = d.recordings[:last]
	return nil
}

// State is what is known of a state that a crash left.
type State struct {
	// Phase is the one in which the crash was, Progress what the page said then.
	Phase    int
	Progress []writer.Progress
	// Hash tells images apart.
	Hash uint64
}

// Crash makes the disk what the crash left of it.
func (d *Disk) Crash(c Crash, s *State) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	r := d.recordings[len(d.recordings)-1]
	if err := d.become(r, c); err != nil {
		return err
	}
	e := r.events[c.Point]
	*s = State{Phase: e.phase, Progress: e.progress, Hash: d.image.hash()}
	return nil
}

// become makes the disk what a crash left of it; mu is held.
func (d *Disk) become(r *recording, c Crash) error {
	if d.running || c.Point < 0 || c.Point >= len(r.events) {
		return errors.New("no such point of a recording that has ended")
	}
	d.image.cut(r.base)
	d.image.push()
	r.build(d.image, c)
	return nil
}

// hash tells what the top layer holds.
func (m *image) hash() (sum uint64) {
	for n, b := range m.layers[len(m.layers)-1] {
		sum += xxhash.Sum64(b) * (2*uint64(n) + 1)
	}
	return sum
}

// Points are points of a recording where the most is at stake.
type Points struct {
	// Flushes are just before a flush took effect.
	Flushes []int
	// Phases are where one began: a recovery runs then.
	Phases []int
}

// Points returns the points of a recording that ended.
func (d *Disk) Points(_ Nothing, p *Points) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	r := d.recordings[len(d.recordings)-1]
	for _, f := range r.flushes {
		p.Flushes = append(p.Flushes, f.done)
	}
	for i, e := range r.events {
		if i == 0 || e.phase != r.events[i-1].phase {
			p.Phases = append(p.Phases, i)
		}
	}
	return nil
}

func (d *Disk) note(r *recording) (int, error) {
	p, err := d.page.Sample(d.producers)
	if err != nil {
		return 0, err
	}
	return r.note(p), nil
}

// held is how long a reply to a write is held back for a flush to overtake it.
const held = 300 * time.Microsecond

// write carries out a write; data is the disk's afterwards.
func (d *Disk) write(off int64, data []byte) error {
	d.mu.Lock()
	if off < 0 || off+int64(len(data)) > d.image.size {
		d.mu.Unlock()
		return syscall.EFBIG
	}
	if !d.running {
		d.image.write(data, off)
		d.mu.Unlock()
		return nil
	}
	r := d.recordings[len(d.recordings)-1]
	n, err := d.note(r)
	if err != nil {
		d.mu.Unlock()
		return err
	}
	i := len(r.writes)
	r.writes = append(r.writes, write{off: off, data: data, arrived: n, done: never})
	if d.fails(&d.fault.Write) {
		d.mu.Unlock()
		return syscall.EIO
	}
	d.image.write(data, off)
	flushing, hold := d.flushing, d.random.IntN(3) == 0
	d.mu.Unlock()

	if hold {
		timeout := time.NewTimer(held)
		select {
		case <-flushing:
		case <-timeout.C:
		}
		timeout.Stop()
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	r.writes[i].done, err = d.note(r)
	return err
}

// fails counts down to a fault, and then the faults.
func (d *Disk) fails(left *int) bool {
	if *left > 1 {
		*left--
		return false
	}
	if *left == 0 || d.fault.Count == 0 {
		return false
	}
	d.fault.Count--
	return true
}

// flush carries out a flush.
func (d *Disk) flush() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.running {
		return nil
	}
	r := d.recordings[len(d.recordings)-1]
	f := flush{begun: len(r.events)}
	close(d.flushing)
	d.flushing = make(chan struct{})
	if d.fails(&d.fault.Flush) {
		return syscall.EIO
	}
	var err error
	f.done, err = d.note(r)
	r.flushes = append(r.flushes, f)
	return err
}

func (d *Disk) read(p []byte, off int64) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.image.read(p, off)
}

// Ready returns as soon as calls are answered: the disk is mounted then.
func (d *Disk) Ready(Nothing, *Nothing) error { return nil }
