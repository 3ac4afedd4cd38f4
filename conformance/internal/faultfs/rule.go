package faultfs

import (
	"math/rand/v2"
	"syscall"
	"time"
)

// The operations that a rule can be about.
const (
	OpRead     = "read"
	OpWrite    = "write"
	OpSync     = "fsync"
	OpSyncDir  = "fsyncdir"
	OpAllocate = "fallocate"
	OpTruncate = "truncate"
	OpCreate   = "create"
	OpRename   = "rename"
	OpRemove   = "unlink"
	OpList     = "readdir" // one entry
	// OpGrow is a write, or a fallocate, that takes space which the file does not have yet.
	OpGrow = "grow"
)

// Rule makes operations fail.
type Rule struct {
	// Op is the operation.
	Op string
	// After is how many of them pass before the rule begins, Count how many it hits then; 0:
	// all.
	After, Count int
	// Percent is how many of those fail in a hundred; 0: all.
	Percent int
	// Errno is what they return.
	Errno syscall.Errno
	// Short makes a write take a part of its data, and return that.
	Short bool
	// Lie makes a sync do nothing and return nil.
	Lie bool
	// Delay is how long an operation takes before it is carried out.
	Delay time.Duration
	// Stuck makes an operation wait until the rules are set anew, or the crash.
	Stuck bool
}

// rules are the rules in force. The tree's lock guards them.
type rules struct {
	list   []*Rule
	random *rand.Rand
	// released is closed when what is stuck may go on.
	released chan struct{}
	hits     int
	stuck    int
}

// set puts rules in force, and returns how often those before were hit.
func (r *rules) set(list []Rule, seed uint64) (hits int) {
	if r.released != nil {
		close(r.released)
	}
	r.released, r.random, r.list = make(chan struct{}), rand.New(rand.NewPCG(seed, 4)), nil
	for _, x := range list {
		r.list = append(r.list, &x)
	}
	hits, r.hits = r.hits, 0
	return hits
}

// hit returns the rule that an operation falls under, nil for none.
func (r *rules) hit(op string) *Rule {
	for _, x := range r.list {
		if x.Op != op {
			continue
		}
		if x.After > 0 {
			x.After--
			continue
		}
		if x.Count < 0 || x.Percent > 0 && r.random.IntN(100) >= x.Percent {
			continue
		}
		if x.Count > 0 {
			if x.Count--; x.Count == 0 {
				x.Count = -1
			}
		}
		r.hits++
		return x
	}
	return nil
}
