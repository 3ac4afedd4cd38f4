package wal

import (
	"errors"
	"fmt"
	"syscall"

	"github.com/chronik-go/wal/core/backend"
)

// writeFailed deals with a write or sync that failed. What was in flight is not
// acknowledged, whatever became of it on disk: the segment ends before it.
//
// For lack of space, all that is not acknowledged fails, and later appends try again.
// After another error it is written once more, to a fresh segment; the file that failed
// is never synced again, since a second sync may report success for data that the first
// one dropped. A second failure is final.
func (c *committer) writeFailed(err error) {
	c.s.count.writeErrors.Add(1)
	for _, g := range c.inflight {
		for !g.complete {
			b, waitErr := c.queue.Wait()
			if waitErr != nil {
				c.fail(waitErr)
				return
			}
			if b != nil {
				b.Tag.(*group).complete = true
			}
		}
	}
	err = fmt.Errorf("%s, LSN %d: %w", c.active.at(c.tail.End), c.tail.LSN+1, err)
	if isNoSpace(err) && !c.syncBeforeLeaving() {
		return
	}
	c.abandon()
	if isNoSpace(err) {
		c.outOfSpace(noSpace(err))
		return
	}
	c.failures++
	if c.failures > 1 || c.s.cfg.fsync == FsyncPeriodic {
		c.fail(err)
		return
	}
	c.s.cfg.logger.Warn("write failed, writing again to a new segment", "error", err)
	c.s.cfg.hooks.failed(err, false)
	c.s.mu.Lock()
	c.s.queue = append(c.inflight, c.s.queue...)
	c.s.mu.Unlock()
	c.inflight = nil
}

// syncBeforeLeaving makes durable what was acknowledged before it was (mode periodic), in a
// segment that there was no space to write on in: no sync of it has failed. Where this one
// does, the log has failed.
func (c *committer) syncBeforeLeaving() bool {
	return c.syncNow() == nil
}

// abandon ends the active segment where the acknowledged log ends, and leaves its file
// alone from then on.
func (c *committer) abandon() {
	c.awaitZeros(c.active.size.Load())
	c.zeroing = nil
	c.active.abandoned.Store(true) // first: the keeper seals what is only unsealed
	c.active.setState(stateUnsealed)
	c.active, c.chain = nil, c.tail.Chain
}

// fail makes the log read-only, for good.
func (c *committer) fail(err error) {
	err = fmt.Errorf("%w: open it again to go on from what is durable: %w", ErrFailed, err)
	c.s.mu.Lock()
	first := c.s.failure == nil
	if first {
		c.s.failure = err
	}
	c.s.mu.Unlock()
	if first {
		c.s.cfg.logger.Error("log has failed", "error", err)
		c.s.cfg.hooks.failed(err, true)
	}
	if c.active != nil {
		c.abandon()
	}
	c.rollBack(err)
}

// outOfSpace fails what is not acknowledged, and has the keeper look again: what it could not
// do for lack of space it may be able to do now.
func (c *committer) outOfSpace(err error) {
	c.rollBack(err)
	c.s.keeper.wake()
}

// rollBack fails everything that is not acknowledged: offsets and LSNs go back to what
// is, and are handed out again.
func (c *committer) rollBack(err error) {
	s := c.s
	s.mu.Lock()
	s.closeGroup()
	s.rollbacks.add(s.generation.Load(), s.acked.Load(), err)
	s.generation.Add(1)
	for _, list := range [][]*group{c.inflight, s.queue} {
		for _, g := range list {
			g.awaitEncoders()
			for i := range g.entries {
				g.entries[i].part.rollBack()
			}
			g.seg, g.frame = nil, nil
			c.dismiss(g)
		}
	}
	c.inflight, s.queue = c.inflight[:0], s.queue[:0]
	s.nextLSN = c.tail.LSN + 1
	s.unblockAll()
	s.mu.Unlock()
	c.wakeWaiters()
	c.releaseLarge()
}

// noSpace marks an error as lack of space.
func noSpace(err error) error {
	return fmt.Errorf("%w: free some, or truncate partitions: %w", ErrNoSpace, err)
}

// isNoSpace reports whether an error is lack of space, a quota, or a file size limit, by which
// nothing is lost. Of a sync it is a failure like any other.
func isNoSpace(err error) bool {
	if errors.Is(err, backend.ErrSync) {
		return false
	}
	for _, e := range []syscall.Errno{syscall.ENOSPC, syscall.EDQUOT, syscall.EFBIG} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// joinClose closes what an error leaves behind.
func joinClose(err error, q backend.Queue) error {
	return errors.Join(err, q.Close())
}
