package wal

// sleep is how the committer waits for something to do. The append lock guards it.
type sleep struct {
	// idle: the committer waits on bell, with nothing in flight.
	idle bool
	// need, if not 0: it waits in Queue.Wait, and would send a further group once
	// that has so many entries.
	need int
	// lingers: it waits for the open group to grow, or for a timer.
	lingers bool
	// waiting: it waits in Queue.Wait.
	waiting bool
	bell    chan struct{}
}

// wakeup says how a sleeping committer is to be woken.
type wakeup uint8

const (
	wakeNot wakeup = iota
	wakeBell
	wakeQueue
)

// arrived decides whether an entry that was just added wakes the committer. The caller
// holds mu.
func (z *sleep) arrived(s *shard) wakeup {
	switch {
	case z.idle && (!z.lingers || s.ripe()):
		z.idle = false
		return wakeBell
	case z.need > 0 && (len(s.queue) > 0 || len(s.openGroup.entries) >= z.need):
		z.need = 0
		return wakeQueue
	}
	return wakeNot
}

// interrupt wakes the committer whatever it waits for. The caller holds mu.
func (z *sleep) interrupt() wakeup {
	switch {
	case z.idle:
		z.idle = false
		return wakeBell
	case z.waiting:
		z.need = 0
		return wakeQueue
	}
	return wakeNot
}

// ripe reports whether the open group need not linger any more. The caller holds mu.
func (s *shard) ripe() bool {
	g := s.openGroup
	return len(s.queue) > 0 || s.closing.Load() || g != nil &&
		(s.cfg.fsync != FsyncBatch || g.n >= s.cfg.batchBytes || g.records >= s.cfg.batchRecords || s.linger.enough(g))
}

// rouse wakes the committer. The caller does not hold mu.
func (s *shard) rouse(w wakeup) {
	switch w {
	case wakeBell:
		select {
		case s.sleep.bell <- struct{}{}:
		default:
		}
	case wakeQueue:
		s.commit.queue.Wake()
	}
}
