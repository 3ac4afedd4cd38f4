//go:build !386 && !arm

package conformance

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/chronik-go/wal/conformance/internal/blockdisk"
	"github.com/chronik-go/wal/conformance/internal/loopfs"
	"github.com/chronik-go/wal/conformance/internal/writer"
)

func init() {
	for name, o := range map[string]blockOptions{
		"BlockExt4":          {check: "Crash/BlockExt4", kind: "ext4"},
		"BlockXFS":           {check: "Crash/BlockXFS", kind: "xfs"},
		"BlockEIO":           {check: "Faults/BlockEIO", kind: "ext4", faults: true},
		"BlockExt4NoBarrier": {check: "Crash/BlockExt4", kind: "ext4", mount: "barrier=0"},
	} {
		layers[name] = func(ctx context.Context, s *suite, k *hostTask, r *report) error {
			return blockLayer(ctx, s, k, r, o)
		}
	}
}

// blockOptions tell the block layers apart.
type blockOptions struct {
	check  string
	kind   string
	mount  string
	faults bool
}

// diskSize is the size of a disk: xfs takes no less than 300 MB, and what nobody writes takes
// no memory.
var diskSize = map[string]int64{"ext4": 64 << 20, "xfs": 320 << 20}

// How the states are spread: so many crashes of each recording, one in so many of which is the
// beginning of another recording, up to so deep.
const (
	blockCrashes     = 20
	blockNestCrashes = 8
	blockNestEvery   = 8
	blockDepth       = 3
	blockOps         = 150
)

// diskLayer is the layer that crashes a disk: a file system stands on one that notes what it is
// told, and is mounted again on each state that a crash may leave of it.
type diskLayer struct {
	*cycles
	o      blockOptions
	disk   *server
	fs     *loopfs.FS
	target int
	// kept is where the disk of a failure is left.
	kept string
	// broken counts states that the file system could not be mounted on: it relies on more
	// than a disk promises, such as blocks of 4 KiB written whole.
	broken int
}

func blockLayer(ctx context.Context, s *suite, k *hostTask, r *report, o blockOptions) (err error) {
	dir, err := os.MkdirTemp(*flagDir, "block-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	c, err := newCycles(s, o.check, filepath.Join(dir, "mnt"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.close()) }()
	c.ops, c.mayFail = blockOps, o.faults
	served := filepath.Join(dir, "disk")
	if err := os.Mkdir(served, 0o700); err != nil {
		return err
	}
	disk, err := s.startServer(ctx, serveTask{Kind: "disk", Dir: served, Page: c.page.Path(), Size: diskSize[o.kind]})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, disk.Close()) }()
	fs, err := loopfs.On(filepath.Join(disk.dir, blockdisk.File), dir, loopfs.Options{Kind: o.kind, Mount: o.mount, Direct: true})
	if noPrivilege(err) {
		return fmt.Errorf("%w: %w", errMissing, err)
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, fs.Close()) }()
	b := &diskLayer{cycles: c, o: o, disk: disk, fs: fs, target: k.States, kept: k.Kept}
	err = b.seeds(ctx, k.Seed)
	if v, ok := errors.AsType[*repeatable](err); ok {
		r.Violations, err = append(r.Violations, v.Error()), nil
	}
	r.States, r.Distinct, r.Unmountable, r.Held = c.states, len(c.outcomes), b.broken, fs.Held
	if err == nil && b.broken > b.states+blockCrashes { // few of few say nothing
		err = fmt.Errorf("%d states could not be mounted, only %d could", b.broken, b.states)
	}
	return err
}

// seeds crashes the logs of one seed after the other.
func (b *diskLayer) seeds(ctx context.Context, seed uint64) error {
	for ; b.states < b.target; seed++ {
		if err := b.explore(ctx, b.job(b.reseed(seed), seed), 1); err != nil {
			return b.repeat(err, seed)
		}
		if err := b.fs.Mount(); err != nil {
			return err
		}
	}
	return nil
}

// explore records writers of a log on the file system, which is mounted, and checks states that
// crashes of them leave. Afterwards the disk is as it was, and not mounted.
func (b *diskLayer) explore(ctx context.Context, job writer.Job, depth int) error {
	r, err := b.record(ctx, job)
	if err != nil {
		return b.keep(ctx, errors.Join(err, b.fs.Unmount()), nil)
	}
	crashes := blockNestCrashes
	if depth == 1 {
		crashes = blockCrashes
	}
	for n := range crashes {
		if b.states >= b.target {
			break
		}
		c := r.crash(b.random)
		if n == 0 && len(r.jobs) > 1 { // one was killed
			c = r.atOnce(c, b.random)
		}
		if err := b.state(ctx, r, c, depth); err != nil {
			return fmt.Errorf("%w\nat depth %d of %d events: %v", err, depth, r.events, c)
		}
	}
	if err := b.disk.Call("Server.Drop", nothing, &nothing); err != nil {
		return err
	}
	return b.fs.DropCaches()
}

// state makes the disk what a crash left of it and checks that; sometimes it goes on from
// there.
func (b *diskLayer) state(ctx context.Context, r *recorded, c blockdisk.Crash, depth int) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	var s blockdisk.State
	if err := b.disk.Call("Server.Crash", c, &s); err != nil {
		return err
	}
	if err := b.fs.DropCaches(); err != nil {
		return err
	}
	if err := b.fs.Mount(); err != nil {
		if c.Mode.Atomic() && b.o.mount == "" && !b.o.faults {
			return b.keep(ctx, fmt.Errorf("image %016x: %w", s.Hash, err), &c)
		}
		b.broken++
		return nil
	}
	job := r.jobs[s.Phase]
	found, err := b.check(ctx, job, s.Progress)
	if err != nil {
		err = fmt.Errorf("image %016x, round %d: %w", s.Hash, job.Plan.Round, err)
		return b.keep(ctx, errors.Join(err, b.fs.Unmount()), &c)
	}
	b.count(found)
	if depth == blockDepth || b.random.IntN(blockNestEvery) > 0 {
		return b.fs.Unmount()
	}
	job.Plan, job.Done = job.Plan.Next(), found.Done
	return b.explore(ctx, job, depth+1)
}

// nothing is the argument of a call that has none.
var nothing blockdisk.Nothing
