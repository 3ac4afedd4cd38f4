package wal

import "sync/atomic"

// Zeros in the active segment are bought dearly: they turn reserved space into written space, a
// change of the file's metadata, and each synced group of the same file has to wait until the file
// system's journal holds it. In the next segment's file, which nobody syncs yet, they cost the
// device's time only. So that file gets its zeros up to its end while the active one is
// written, at the same pace: a file zeroed in one go would keep the device from the log.

// pace is how far the zeros of the next file may have come. The committer sets it, the preparer goes
// by it.
type pace struct {
	allowed atomic.Int64  // bytes
	over    atomic.Bool   // no more zeros: the file is needed, or groups are large
	changed chan struct{} // holds at most one call
}

// begin is for a new file.
func (w *pace) begin() {
	w.allowed.Store(0)
	w.over.Store(false)
}

// end has no more zeros written.
func (w *pace) end() {
	w.over.Store(true)
	call(w.changed)
}

// allow lets the preparer go on up to n bytes. It is called for every group, and calls the preparer
// only where that can write something more.
func (w *pace) allow(n int64) {
	if n >= w.allowed.Load()+zeroStep {
		w.allowed.Store(n)
		call(w.changed)
	}
}

// keepPace allows as many zeros in the next file as belong to the active segment's position: they
// begin when the file is asked for, and reach its end when the segment is full.
func (c *committer) keepPace() {
	if c.usual > zeroMaxGroup {
		c.s.prepare.pace.end()
		return
	}
	size := c.active.size.Load()
	begun := size / askedAt
	c.s.prepare.pace.allow(zeroStep + int64(float64(c.position-begun)/float64(size-begun)*float64(size)))
}

// zeroRest writes zeros to a file that was made, up to its end or until no more are wanted, as the
// committer allows. Meanwhile the preparer also does what is asked of it for the active segment.
func (p *preparer) zeroRest(f *prepared) error {
	begun := f.written
	for f.written < f.size && !p.pace.over.Load() {
		to := min(f.written+zeroStep, f.size)
		if to > p.pace.allowed.Load() {
			select {
			case <-p.pace.changed:
			case z := <-p.zeroes:
				p.zero(z)
			}
			continue
		}
		if err := p.writeZeros(f.file, f.written, to); err != nil {
			return err
		}
		f.written = to
	}
	if f.written == begun {
		return nil
	}
	return p.syncZeros(f.file)
}
