package wal

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"sync/atomic"

	"github.com/chronik-go/wal/core/format"
)

// A partition of the dedicated layout has a log of its own, which is made with its first append:
// a name that never gets a record costs no directory, no goroutine and no descriptor.

// unmade is what a log has that its first append makes.
type unmade struct {
	m    *Manager
	made atomic.Bool // set with m.mu held
}

// isMade tells whether a log is there. The log is nobody else's to touch before.
func (s *shard) isMade() bool { return s.unmade == nil || s.unmade.made.Load() }

// dedicate returns the log of a partition that is new: one that a crash or an aborted transaction
// left without records, or one that is not made yet. The caller holds m.mu.
func (m *Manager) dedicate() *shard {
	if n := len(m.spare); n > 0 {
		s := m.spare[n-1]
		m.spare = m.spare[:n-1]
		return s
	}
	s := m.newShard("", nil)
	s.unmade = &unmade{m: m}
	return s
}

// begin makes the partition's log if there is none yet and it would take the request.
func (p *Partition) begin(ctx context.Context, r *request) error {
	s := p.shard
	if s.isMade() {
		return nil
	}
	s.mu.Lock()
	err := cmp.Or(ctx.Err(), s.writable(), s.follows(r.after), p.check(r))
	s.mu.Unlock()
	if err != nil {
		return err
	}
	err = s.unmade.m.makeDedicated(p)
	r.codec = p.primed(r.codec) // the log may have brought a dictionary
	return err
}

// makeDedicated makes the log of a partition, with the dictionary that its topic has in use. One that cannot be made or started leaves its number,
// and its directory, for the next, and may be tried again.
func (m *Manager) makeDedicated(p *Partition) error {
	s := p.shard
	m.mu.Lock()
	defer m.mu.Unlock()
	if s.isMade() { // by another append
		return nil
	}
	if m.closed {
		return ErrClosed
	}
	if m.dedicated == math.MaxUint32 {
		return fmt.Errorf("%w: no number is left for a dedicated log", ErrInvalid)
	}
	if err := m.makeLog(s, format.MemberDedicated, m.dedicated+1); err != nil {
		return err
	}
	if err := s.start(); err != nil {
		m.cfg.dictionaries.leave(s)
		return errors.Join(err, s.release())
	}
	if d := m.inUse[p.topic]; d != nil && m.bringDictionary(s, d) {
		s.filed = map[string]*dictionary{p.topic: d}
		p.dictionary.Store(d)
	}
	m.dedicated++
	m.shards = append(m.shards, s)
	s.unmade.made.Store(true)
	return nil
}

// findSpare looks for dedicated logs without a partition.
func (m *Manager) findSpare() {
	for _, s := range m.shards {
		if s.kind() == format.MemberDedicated && len(s.partitions) == 0 {
			m.spare = append(m.spare, s)
		}
	}
}
