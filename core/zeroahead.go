package wal

import (
	"sync/atomic"

	"github.com/chronik-go/wal/core/backend"
	"github.com/chronik-go/wal/core/format"
)

// A sync of space that was written before is about twice as fast as one of space that is
// only reserved, since the file system has no metadata to change. So the preparer writes
// zeros ahead of the log: to the next segment's file (zeronext.go) and, where a log begins, to that
// of the active one. It doubles the bytes written, which is worth it for groups whose
// write is mostly waiting, and not for large ones: a stream of those gets none.

const (
	// zeroAhead is how far ahead of the log zeros are written at most.
	zeroAhead = 32 << 20
	// zeroFirst is how many zeros a log begins with, bytes. It gets more as it grows, for of many
	// logs in one directory most may hold little: 256 of them with 32 MiB each kept a device busy
	// for ten seconds.
	zeroFirst = 1 << 20
	// askedAt is the part of a segment after which the next one's file is asked for: a quarter.
	askedAt = 4
	// zeroStep is how much is zeroed by one write, bytes: little, for a group that
	// comes meanwhile waits behind it.
	zeroStep = 256 << 10
	// zeroMaxGroup is the size of groups, bytes, in a smoothed mean, up to which zeros are
	// worth it: among large groups there is always a small one.
	zeroMaxGroup = 128 << 10
)

// zeroRequest asks the preparer for zeros in a range of the active segment. The committer
// writes nothing there until done is closed.
type zeroRequest struct {
	file     backend.File
	from, to int64
	// syncing is set before the file is synced, and stays so. If that fails the kernel
	// may never again report that the log's own data was lost: err is the log's error.
	syncing atomic.Bool
	err     error // valid once done is closed
	done    chan struct{}
}

// lookAhead has the next segment prepared, and zeros written, before they are needed.
func (c *committer) lookAhead(written int) {
	size := c.active.size.Load()
	c.usual += (written - c.usual) / 8
	if c.position > size/askedAt {
		c.ask(0)
	}
	if c.asked {
		c.keepPace()
	}
	ahead := min(zeroAhead, max(zeroFirst, 2*c.position))
	if !c.s.prepare.written || c.usual > zeroMaxGroup || c.zeroed >= size || c.position+ahead/2 < c.zeroed {
		return
	}
	if c.zeroing != nil {
		select {
		case <-c.zeroing.done:
		default:
			return
		}
		if c.zeroing.err != nil {
			return
		}
	}
	from := format.AlignUp(max(c.zeroed, c.position+ahead/4), format.MaxAlignment)
	to := min(from+ahead/2, size) &^ (format.MaxAlignment - 1)
	if from >= to {
		return
	}
	c.zeroing = &zeroRequest{file: c.active.file, from: from, to: to, done: make(chan struct{})}
	c.zeroed = to
	c.s.prepare.zeroes <- c.zeroing
}

// awaitZeros waits until no zeros are being written to the next n bytes: they would
// overwrite records.
func (c *committer) awaitZeros(n int64) {
	if z := c.zeroing; z != nil && c.position+n > z.from {
		<-z.done
		if z.err == nil {
			c.zeroing = nil
		}
	}
}

// zerosFailed returns the error of a sync that the preparer made of the active segment's
// file while, or before, the log's own data was synced; see zeroRequest.
func (c *committer) zerosFailed() error {
	z := c.zeroing
	if z == nil || !z.syncing.Load() {
		return nil
	}
	<-z.done
	return z.err
}

// zero writes zeros. Though they are only for speed, a write or sync of them that fails is
// a failure of the log: it is in the same file.
func (p *preparer) zero(z *zeroRequest) {
	defer close(z.done)
	if p.broken || p.queue == nil && !p.openQueue() {
		return
	}
	z.err = p.writeZeros(z.file, z.from, z.to)
	z.syncing.Store(true) // also so that an error is looked at
	if z.err == nil {
		z.err = p.syncZeros(z.file)
	}
}

func (p *preparer) writeZeros(f backend.File, from, to int64) error {
	for from < to {
		n := min(zeroStep, to-from)
		if err := p.write(backend.Write{File: f, Offset: from, Data: p.zeros.Bytes[:n], Buffer: p.zeros}); err != nil {
			return err
		}
		p.s.count.bytesWritten.Add(uint64(n))
		from += n
	}
	return nil
}

// syncZeros makes zeros durable at once, or the next group's sync has the metadata of all of them
// to write.
func (p *preparer) syncZeros(f backend.File) error {
	return p.write(backend.Write{File: f, Sync: true})
}

func (p *preparer) write(w backend.Write) error {
	p.batch = backend.Batch{Writes: append(p.batch.Writes[:0], w)}
	if err := p.queue.Submit(&p.batch); err != nil {
		return err
	}
	if _, err := p.queue.Wait(); err != nil {
		p.broken = true
		return err
	}
	return p.batch.Failed()
}

func (p *preparer) openQueue() bool {
	q, err := p.s.dir.Queue(backend.QueueOptions{Depth: 1, Many: p.s.cfg.layout == LayoutDedicated})
	if err != nil {
		return false
	}
	if p.zeros, err = q.Buffer(zeroStep); err != nil {
		_ = q.Close()
		return false
	}
	clear(p.zeros.Bytes)
	p.queue = q
	return true
}
