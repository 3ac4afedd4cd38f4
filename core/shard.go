package wal

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/chronik-go/wal/core/backend"
	"github.com/chronik-go/wal/core/format"
)

// shard is one log: a directory of segments that some of the partitions share. Most
// Managers have one.
//
// Three goroutines work for a shard that is open for writing: the committer writes
// groups, the preparer makes the next segment ready, the keeper seals segments and
// lets go of those that nobody needs.
type shard struct {
	cfg   *config
	name  string // its folder in the data directory; "" for the data directory itself
	home  string // the path of its directory
	dir   backend.Dir
	count counters
	// unmade is that of a log which an append makes, nil of one that an open found or made.
	unmade *unmade

	// member says which log this is, nil for the only one of a data directory; closedAt is
	// where the data directory knows it to have ended.
	member   *format.Member
	closedAt format.Link

	// mu is the append lock. It guards the fields of this block, and the submission
	// side of each Partition.
	mu         *appendLock
	ring       ring
	openGroup  *group
	queue      []*group // closed, not yet sent
	nextLSN    uint64
	blocked    []chan struct{} // appends that wait for space, first come first
	large      int             // large groups not yet done
	commands   []*command
	pending    atomic.Bool // there are commands
	sleep      sleep
	linger     linger
	rollbacks  rollbacks
	failure    error
	closing    atomic.Bool    // set with mu held
	views      sync.WaitGroup // of files, which the log's end has to wait for; Add with mu held
	partitions []*Partition
	lastID     uint32 // the highest id of a partition

	// generation counts rollbacks; acked is the LSN up to which batches are
	// acknowledged, durable up to which they would survive a power failure.
	generation atomic.Uint32
	acked      atomic.Uint64
	durable    atomic.Uint64

	// The committer's own.
	commit committer

	// showing is held while several partitions change in one step, and by who looks at
	// several. Who holds it may take the lock of a partition, not that of a segment.
	showing sync.RWMutex

	segments segmentList
	retired  []*segment // of an earlier view of a reader, see rebuild; guarded by Manager.mu
	footers  footerCache
	prepare  preparer
	keeper   keeper
	id       format.LogID
	sealer   *sealer // nil: what is appended is not encrypted
	// filed are the dictionaries in use that the log has, by topic; guarded by Manager.mu.
	filed     map[string]*dictionary
	marker    bool // a close marker stands and is to be consumed
	alignment int64
	damage    []Damage
	pool      *bufferPool
	// waiters are used again, by this log only: one that was made in a testing/synctest
	// bubble must not get out of it.
	waiters sync.Pool
	workers sync.WaitGroup
}

// command is a function for the committer to run while nothing is in flight.
type command struct {
	run  func() error
	done chan error
}

// do runs f on the committer's goroutine while nothing is in flight.
func (s *shard) do(ctx context.Context, f func() error) error {
	c := &command{run: f, done: make(chan error, 1)}
	s.mu.Lock()
	if err := s.writable(); err != nil {
		s.mu.Unlock()
		return err
	}
	s.commands = append(s.commands, c)
	s.pending.Store(true)
	wake := s.sleep.interrupt()
	s.mu.Unlock()
	s.rouse(wake)
	select {
	case err := <-c.done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// writable returns why nothing can be appended, nil if it can. The caller holds mu.
func (s *shard) writable() error {
	switch {
	case s.failure != nil:
		return s.failure
	case s.closing.Load():
		return ErrClosed
	case s.cfg.readOnly:
		return ErrReadOnly
	}
	return nil
}

// path is a file's name as users see it.
func (s *shard) path(file string) string {
	if s.name == "" {
		return file
	}
	return s.name + "/" + file
}

// start begins the work of a shard that was recovered for writing.
func (s *shard) start() error {
	if err := s.startSealing(); err != nil {
		return err
	}
	queue, err := s.dir.Queue(backend.QueueOptions{Depth: maxDepth, Many: s.cfg.layout == LayoutDedicated})
	if err != nil {
		return fmt.Errorf("open a write queue: %w", err)
	}
	limits := queue.Limits()
	if limits.Depth < 1 || limits.Alignment < format.MinAlignment || limits.Alignment > format.MaxAlignment ||
		limits.Alignment&(limits.Alignment-1) != 0 {
		return joinClose(fmt.Errorf("%w: backend %s states limits %+v", ErrInvalid, s.cfg.backend.Name(), limits), queue)
	}
	size := s.cfg.bufferSize &^ (4*format.MaxAlignment - 1)
	slab, err := queue.Buffer(size)
	if err != nil {
		return joinClose(fmt.Errorf("allocate the write buffer: %w", err), queue)
	}
	depth := min(limits.Depth, maxDepth)
	s.ring = newRing(slab, size, depth)
	if s.commit.header, err = queue.Buffer(format.HeaderSize); err != nil {
		return joinClose(fmt.Errorf("allocate a header: %w", err), queue)
	}
	s.alignment = int64(limits.Alignment)
	s.commit.init(s, queue, depth)
	for _, p := range s.partitions {
		s.commit.producers += len(p.known)
	}
	s.prepare.init(s, limits.PreferWritten)
	s.keeper.init(s)
	for _, work := range []func(){s.commit.loop, s.prepare.loop, s.keeper.loop} {
		s.workers.Add(1)
		go func() {
			defer s.workers.Done()
			work()
		}()
	}
	return nil
}
