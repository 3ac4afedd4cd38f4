//go:build !386 && !arm

package faultfs

import (
	"errors"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

// FS is the file system. Its exported methods with two arguments are called by net/rpc. Safe
// for concurrent use.
type FS struct {
	dir    string
	server *fuse.Server
	tree   *tree
}

// tree is the file system between two crashes.
type tree struct {
	mu    sync.Mutex
	root  *node
	next  uint64
	dead  bool
	rules rules
}

// No is what a call without an argument, or a result, has.
type No struct{}

// New makes an empty file system and mounts it.
func New(dir string) (*FS, error) {
	root := &node{ino: 1, isDir: true, mtime: time.Now(), entries: map[string]*node{}, durable: map[string]*node{}}
	f := &FS{dir: dir, tree: newTree(root, 2)}
	return f, f.mount()
}

func newTree(root *node, next uint64) *tree {
	t := &tree{root: root, next: next}
	t.rules.set(nil, 0)
	return t
}

// Ready returns as soon as calls are answered: the file system is mounted then.
func (f *FS) Ready(No, *No) error { return nil }

// Faults are rules and what their chances follow from.
type Faults struct {
	Rules []Rule
	Seed  uint64
}

// SetFaults puts rules in the place of those before, and returns how often these made something
// fail. What is stuck goes on.
func (f *FS) SetFaults(x Faults, hits *int) error {
	t := f.tree
	t.mu.Lock()
	defer t.mu.Unlock()
	*hits = t.rules.set(x.Rules, x.Seed)
	return nil
}

// Stuck returns how many operations are stuck.
func (f *FS) Stuck(_ No, n *int) error {
	f.tree.mu.Lock()
	defer f.tree.mu.Unlock()
	*n = f.tree.rules.stuck
	return nil
}

// Part is a part of the file of a path, by its elements.
type Part struct {
	Path      []string
	Off, Size int64
}

// Durable returns what a crash at this moment would leave for certain of a part of a file.
func (f *FS) Durable(p Part, content *[]byte) error {
	t := f.tree
	t.mu.Lock()
	defer t.mu.Unlock()
	n := t.root
	for _, name := range p.Path {
		if n = n.durable[name]; n == nil {
			return syscall.ENOENT
		}
	}
	size := int64(len(n.base))
	*content = slices.Clone(n.base[min(p.Off, size):min(p.Off+p.Size, size)])
	return nil
}

// Crash ends the file system at this moment: nothing changes it any more, everything fails. It
// returns how many faults there were. Remount mounts what is left.
func (f *FS) Crash(c Crash, hits *int) error {
	t := f.tree
	t.mu.Lock()
	defer t.mu.Unlock()
	t.dead = true
	*hits = t.rules.set(nil, 0)
	f.tree = newTree(crashed(t.root, c))
	return nil
}

// Remount mounts what a crash left in the place of what was there. A process that was killed a
// moment ago may still hold files.
func (f *FS) Remount(No, *No) error {
	deadline := time.Now().Add(10 * time.Second)
	tick := time.NewTicker(200 * time.Microsecond)
	defer tick.Stop()
	for range tick.C {
		err := unix.Unmount(f.dir, 0)
		if err == nil {
			break
		}
		if !errors.Is(err, unix.EBUSY) || time.Now().After(deadline) {
			return err
		}
	}
	return f.mount()
}

// do runs an operation on the tree, under its lock, with the rule that it falls under.
func (t *tree) do(op string, f func(r *Rule) syscall.Errno) syscall.Errno {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.dead {
		return syscall.EIO
	}
	r := t.rules.hit(op)
	if r == nil {
		r = &Rule{}
	}
	if r.Errno != 0 && op != OpSync {
		return r.Errno
	}
	return f(r)
}

// wait is for operations that take time: it gives the lock up meanwhile.
func (t *tree) wait(r *Rule) {
	released := t.rules.released
	var timeout <-chan time.Time
	if r.Delay > 0 {
		timer := time.NewTimer(r.Delay)
		defer timer.Stop()
		timeout = timer.C
	} else if !r.Stuck {
		return
	}
	t.rules.stuck++
	t.mu.Unlock()
	select {
	case <-released:
	case <-timeout:
	}
	t.mu.Lock()
	t.rules.stuck--
}
