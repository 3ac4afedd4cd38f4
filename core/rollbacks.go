package wal

import (
	"errors"
	"fmt"
	"sort"
)

// rollbacks remembers what became of the appends of each generation: the time between two
// rollbacks. Of a generation that has ended, what was not acknowledged by then has failed.
type rollbacks []rollback

// rollback ended the generations from one on, up to that of the next rollback.
type rollback struct {
	from  uint32
	acked uint64 // LSN up to which batches were acknowledged
	err   error
}

// add ends a generation. As long as the disk stays full nothing is acknowledged between two
// rollbacks, and one entry tells of all of them: however long that lasts, it takes no memory.
func (r *rollbacks) add(generation uint32, acked uint64, err error) {
	if n := len(*r); n > 0 {
		last := (*r)[n-1]
		if last.acked == acked && errors.Is(last.err, ErrNoSpace) && errors.Is(err, ErrNoSpace) {
			return
		}
	}
	*r = append(*r, rollback{generation, acked, err})
}

// outcome returns why a batch failed that was submitted in a generation which has ended,
// nil if it was acknowledged.
func (r rollbacks) outcome(generation uint32, lsn uint64) error {
	i := sort.Search(len(r), func(i int) bool { return r[i].from > generation }) - 1
	if r[i].acked < lsn {
		return r[i].err
	}
	return nil
}

// follows returns why an append may not follow another one: that one has failed. The
// caller holds mu.
func (s *shard) follows(a Ack) error {
	switch {
	case a.shard == nil:
		return nil
	case a.shard != s:
		return fmt.Errorf("%w: the Ack is of another log", ErrInvalid)
	case a.generation == s.generation.Load():
		return nil
	}
	if err := s.rollbacks.outcome(a.generation, a.lsn); err != nil {
		return fmt.Errorf("the append before this one failed: %w", err)
	}
	return nil
}
