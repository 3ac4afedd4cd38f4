package wal

import (
	"errors"
	"fmt"
	"slices"

	"github.com/chronik-go/wal/core/backend"
	"github.com/chronik-go/wal/core/format"
)

// beginClose ends what comes from outside: nothing is submitted any more.
func (s *shard) beginClose() {
	s.mu.Lock()
	s.closing.Store(true)
	s.unblockAll()
	wake := s.sleep.interrupt()
	s.mu.Unlock()
	if s.commit.queue != nil {
		s.rouse(wake)
	}
}

// close ends a shard in good order: all that was submitted is written, the last segment
// sealed, and the end of the log left in the close marker.
func (s *shard) close() error {
	if s.cfg.readOnly || s.commit.queue == nil {
		return s.release()
	}
	<-s.commit.ended
	s.keeper.stop()
	s.prepare.pace.end()
	close(s.prepare.requests)
	s.workers.Wait()
	for _, f := range s.prepare.takeRecycled(0) { // that came when the preparer had ended
		s.prepare.discard(f)
	}
	return errors.Join(s.finish(), s.release())
}

// finish seals the log, with all goroutines gone.
func (s *shard) finish() error {
	c := &s.commit
	if err := s.sticky(); err != nil {
		return err
	}
	if c.active != nil {
		if err := c.endSegment(); err != nil {
			return err
		}
	}
	s.keeper.sealAll()
	if c.tail.Segment == 0 || s.marker {
		return nil // nothing was ever written, or nothing since the last close
	}
	unsealed := slices.ContainsFunc(slices.Concat(s.segments.all(), s.keeper.dropped), func(g *segment) bool { return !g.is(stateSealed) })
	if err := s.writeMarker(format.Marker{Log: s.id, End: c.tail, Unsealed: unsealed}); err != nil {
		return fmt.Errorf("write close marker: %w", err)
	}
	return nil
}

// writeMarker leaves the end of the log in the close marker: durable first, then named.
func (s *shard) writeMarker(m format.Marker) error {
	if err := s.keeper.open(); err != nil {
		return err
	}
	data := make([]byte, format.AlignUp(format.MarkerSize, s.alignment))
	format.PutMarker(data, m)
	name := markerName + tempSuffix
	f, err := s.dir.Create(name, int64(len(data)))
	if err != nil {
		return err
	}
	if err := errors.Join(s.keeper.write(f, 0, data), f.Close()); err != nil {
		return err
	}
	if err := s.dir.Rename(name, markerName); err != nil {
		return err
	}
	return s.dir.Sync()
}

// release closes what is open. It is for a shard whose goroutines have ended.
func (s *shard) release() error {
	s.awaitCopies()
	var errs []error
	if s.keeper.queue != nil {
		errs = append(errs, s.keeper.queue.Close())
	}
	if s.commit.queue != nil {
		errs = append(errs, s.commit.queue.Close())
	}
	s.views.Wait() // the next writer, of another process say, may use their files again
	for _, g := range slices.Concat(s.segments.all(), s.keeper.dropped, s.retired) {
		errs = append(errs, g.file.Close())
	}
	if s.name != "" {
		errs = append(errs, s.dir.Close())
	}
	return errors.Join(errs...)
}

// overtaken returns what came over a read of a segment that failed: errDropped, or ErrClosed; nil
// where nothing did, and the cause is what it says. Closing is asked for last: it may be why the file
// could not be looked at.
func (s *shard) overtaken(g *segment, cause error) error {
	switch {
	case s.dropped(g):
		return errDropped
	case s.closing.Load() || errors.Is(cause, backend.ErrClosed):
		return ErrClosed
	}
	return nil
}

// view looks at a file. The log does not end meanwhile.
func (s *shard) view(v backend.Viewer, at int64, n int, look func(data []byte)) error {
	s.mu.Lock()
	if s.closing.Load() {
		s.mu.Unlock()
		return ErrClosed
	}
	s.views.Add(1)
	s.mu.Unlock()
	defer s.views.Done()
	return v.View(at, n, look)
}

// notify wakes the partition's followers. The caller holds p.mu.
func (p *Partition) notify() {
	if p.waiting != nil {
		close(p.waiting)
		p.waiting = nil
	}
}

// awaitCopies waits until no reader copies out of the ring: its memory is about to go.
// With closing set no further one begins.
func (s *shard) awaitCopies() {
	for {
		s.mu.Lock()
		copying := false
		for _, g := range s.ring.groups {
			copying = copying || g.readers > 0
		}
		s.mu.Unlock()
		if !copying {
			return
		}
		giveWay()
	}
}
