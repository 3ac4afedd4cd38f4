package wal

import (
	"context"
	"errors"
	"runtime"
	"time"

	"github.com/chronik-go/wal/core/backend"
	"github.com/chronik-go/wal/core/format"
)

// chores does what is due besides groups: commands of others, syncs and rotation by
// the clock.
func (c *committer) chores() {
	if c.s.pending.Load() {
		c.drain()
		c.runCommands()
	}
	if c.nextSync.IsZero() && c.active == nil {
		return
	}
	now := time.Now()
	if !c.nextSync.IsZero() && !now.Before(c.nextSync) {
		c.drain()
		_ = c.syncNow() // a failure is sticky; whoever appends next hears of it
	}
	if c.active != nil && c.aged(now) {
		c.drain()
		if err := c.endSegment(); err != nil {
			c.giveUp(err)
		}
	}
}

// aged reports whether the active segment holds something and is due by age.
func (c *committer) aged(now time.Time) bool {
	return c.position > format.HeaderSize && now.UnixNano()-c.active.Created >= int64(c.s.cfg.rotationAge)
}

// runCommands runs what others asked the committer to do.
func (c *committer) runCommands() {
	s := c.s
	s.mu.Lock()
	commands, failure := s.commands, s.failure
	s.commands = nil
	s.pending.Store(false)
	s.mu.Unlock()
	for _, cmd := range commands {
		if failure != nil {
			cmd.done <- failure
			continue
		}
		cmd.done <- cmd.run()
	}
}

// park waits until there is something to do. It returns false when the log is closing
// and all is done.
func (c *committer) park() bool {
	s := c.s
	s.mu.Lock()
	busy := len(s.queue) > 0 || len(s.commands) > 0 || s.openGroup != nil && s.ripe()
	if busy || s.closing.Load() {
		s.mu.Unlock()
		return busy
	}
	wait := time.Duration(-1)
	until := func(t time.Time) {
		if d := max(time.Until(t), 0); wait < 0 || d < wait {
			wait = d
		}
	}
	if s.openGroup != nil {
		until(s.openGroup.opened.Add(s.cfg.batchDelay))
	}
	if !c.nextSync.IsZero() {
		until(c.nextSync)
	}
	if c.active != nil && c.position > format.HeaderSize {
		until(time.Unix(0, c.active.Created).Add(s.cfg.rotationAge))
	}
	s.sleep.idle, s.sleep.lingers = true, s.openGroup != nil
	s.mu.Unlock()
	c.sleepFor(wait)
	s.mu.Lock()
	s.sleep.idle, s.sleep.lingers = false, false
	s.mu.Unlock()
	return true
}

// sleepFor waits for the bell, at most for wait unless that is negative.
func (c *committer) sleepFor(wait time.Duration) {
	if wait < 0 {
		<-c.s.sleep.bell
		return
	}
	c.timer.Reset(wait)
	select {
	case <-c.s.sleep.bell:
		c.timer.Stop()
	case <-c.timer.C:
	}
}

// giveWay lets other goroutines run.
func giveWay() { runtime.Gosched() }

// sync makes everything acknowledged durable. But for mode periodic it is.
func (s *shard) sync(ctx context.Context) error {
	if s.cfg.fsync != FsyncPeriodic || s.cfg.readOnly || !s.isMade() {
		return nil
	}
	return s.do(ctx, s.commit.syncNow)
}

// syncNow makes the active segment durable, with nothing in flight; those before it are.
func (c *committer) syncNow() error {
	c.nextSync = time.Time{}
	if err := c.s.sticky(); err != nil {
		return err // a second sync may report success for what the first one lost
	}
	if c.active == nil || len(c.dirty) == 0 {
		return nil
	}
	c.s.count.syncs.Add(1)
	err := c.writeNow(backend.Write{File: c.active.file, Sync: true})
	if err == nil {
		err = c.zerosFailed()
	}
	if err != nil {
		c.fail(err)
		return c.s.sticky()
	}
	c.s.durable.Store(c.tail.LSN)
	c.s.count.synced.Store(c.s.count.bytes.Load())
	for i, p := range c.dirty {
		p.stable.Store(p.visible.Load())
		p.dirty = false
		c.dirty[i] = nil
	}
	c.dirty = c.dirty[:0]
	return nil
}

// sticky returns the error that made the log read-only.
func (s *shard) sticky() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.failure
}

// giveUp deals with groups that cannot be sent.
func (c *committer) giveUp(err error) {
	if errors.Is(err, ErrNoSpace) {
		c.outOfSpace(err)
		return
	}
	c.fail(err)
}
