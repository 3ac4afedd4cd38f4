package wal

import (
	"fmt"
	"sync"

	"github.com/chronik-go/wal/core/backend"
	"github.com/chronik-go/wal/core/format"
)

// preparer makes the next segment's file ready in the background: reserved, or recycled,
// and where the backend prefers that, zeroed ahead of the log. Its goroutine is the only
// one that creates segment files.
type preparer struct {
	s        *shard
	written  bool       // overwriting is faster than writing for the first time
	requests chan int64 // of a file; see prepare
	zeroes   chan *zeroRequest
	ready    chan prepared
	queue    backend.Queue
	zeros    *backend.Buffer
	broken   bool // the queue is
	batch    backend.Batch
	made     int
	pace     pace

	mu       sync.Mutex
	recycled []prepared
}

// prepared is a file that can become a segment, under a temporary name.
type prepared struct {
	file     backend.File
	name     string
	size     int64
	written  int64 // up to where it was written before
	recycled bool
	err      error
}

func (p *preparer) init(s *shard, preferWritten bool) {
	p.s, p.written = s, preferWritten
	p.requests = make(chan int64, 1)
	p.zeroes = make(chan *zeroRequest, 1)
	p.pace.changed = make(chan struct{}, 1)
	p.ready = make(chan prepared, 1)
}

// loop is the preparer's goroutine; it ends when requests is closed.
func (p *preparer) loop() {
	for {
		select {
		case least, ok := <-p.requests:
			if !ok {
				p.end()
				return
			}
			p.ready <- p.prepare(least)
		case z := <-p.zeroes:
			p.zero(z)
		}
	}
}

// end removes what was prepared and not used.
func (p *preparer) end() {
	for {
		select {
		case f := <-p.ready:
			if f.err == nil {
				p.discard(f)
			}
			continue
		case z := <-p.zeroes:
			close(z.done)
			continue
		default:
		}
		break
	}
	for _, f := range p.takeRecycled(0) {
		p.discard(f)
	}
	if p.queue != nil {
		_ = p.queue.Close()
	}
}

// discard closes and removes a file that does not become a segment. What cannot be
// removed now, the next open removes.
func (p *preparer) discard(f prepared) {
	_ = f.file.Close()
	_ = p.s.dir.Remove(f.name)
}

// prepare makes a file of the usual size or, if there is no space for one and least is not
// 0, of so many bytes.
func (p *preparer) prepare(least int64) prepared {
	f := p.prepareSize(p.s.cfg.segmentSize)
	if least > 0 && isNoSpace(f.err) {
		f = p.prepareSize(format.AlignUp(least, format.MaxAlignment))
	}
	return f
}

func (p *preparer) prepareSize(size int64) prepared {
	for _, f := range p.takeRecycled(1) {
		if f.size == size {
			return f
		}
		if err := f.file.Resize(size); err == nil {
			f.size = size
			return f
		}
		p.discard(f) // and with its space a new file may fit
	}
	p.made++
	f := prepared{name: fmt.Sprintf("%s%d%s", preparePrefix, p.made, tempSuffix), size: size}
	if f.file, f.err = p.s.dir.Create(f.name, size); f.err != nil {
		f.err = fmt.Errorf("prepare a segment of %d bytes (CHRONIK_WAL_SEGMENT_SIZE sets its size): %w", size, f.err)
		return f
	}
	if p.written {
		f.written = min(size, zeroFirst)
		z := &zeroRequest{file: f.file, to: f.written, done: make(chan struct{})}
		if p.zero(z); z.err == nil && p.queue != nil {
			z.err = p.zeroRest(&f)
		}
		if z.err != nil {
			p.discard(f)
			f.err = fmt.Errorf("prepare a segment: %w", z.err)
		}
	}
	return f
}

// wanted reports whether there is a use for another file to recycle.
func (p *preparer) wanted() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.recycled) < p.s.cfg.recycle
}

// recycle takes a file that retention let go of, renamed durably to a temporary name.
func (p *preparer) recycle(f prepared) {
	f.written = f.size
	p.mu.Lock()
	p.recycled = append(p.recycled, f)
	p.mu.Unlock()
}

// takeRecycled takes n recycled files, all for 0.
func (p *preparer) takeRecycled(n int) []prepared {
	p.mu.Lock()
	defer p.mu.Unlock()
	if n == 0 || n > len(p.recycled) {
		n = len(p.recycled)
	}
	taken := p.recycled[:n:n]
	p.recycled = p.recycled[n:]
	return taken
}

// ask makes the preparer work ahead. Only the committer calls it.
func (c *committer) ask(least int64) {
	if !c.asked {
		c.asked = true
		c.s.prepare.pace.begin()
		c.s.prepare.requests <- least
	}
}

func (c *committer) askNow(least int64) prepared {
	c.ask(least)
	c.s.prepare.pace.end()
	f := <-c.s.prepare.ready
	c.asked = false
	return f
}

// takePrepared returns a prepared file of at least size bytes, waiting for it if it is
// not ready. On a disk without space for another segment it may be a small one.
func (c *committer) takePrepared(size int64, small bool) (prepared, error) {
	early := c.asked
	if len(c.s.prepare.ready) == 0 {
		c.s.count.prepareWaits.Add(1)
	}
	f := c.askNow(0)
	if f.err != nil && early { // it failed some time ago: what is it now?
		f = c.askNow(0)
	}
	if small && isNoSpace(f.err) {
		<-c.s.keeper.began // what a crash left reserved is free then
		f = c.askNow(size)
	}
	if f.err != nil {
		return f, f.err
	}
	if f.size < size {
		if err := f.file.Resize(format.AlignUp(size, format.MaxAlignment)); err != nil {
			c.s.prepare.discard(f)
			return f, fmt.Errorf("enlarge a segment for a large batch: %w", err)
		}
		f.size = format.AlignUp(size, format.MaxAlignment)
	}
	return f, nil
}
