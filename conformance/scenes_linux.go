//go:build !386 && !arm

package conformance

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"syscall"
	"time"

	wal "github.com/chronik-go/wal/core"

	"github.com/chronik-go/wal/conformance/crash"
	"github.com/chronik-go/wal/conformance/internal/faultfs"
)

// scenes are the checks of the layer fuse that look at a log while something fails, rather
// than at what it leaves.
var scenes = map[string]func(*scene, context.Context) error{
	"SyncStuck":      (*scene).syncStuck,
	"SpaceComesBack": (*scene).spaceComesBack,
}

// scene is a log with one partition on a file system that fails.
type scene struct {
	*faulty
	dir  string
	log  *wal.Manager
	part *wal.Partition
	// acked is how many records must be there.
	acked int64
}

// patience is how long something may take that must not wait for the disk.
const patience = 10 * time.Second

func init() {
	for name, play := range scenes {
		layers[name] = func(ctx context.Context, s *suite, k *hostTask, r *report) error {
			return onFaultFS(ctx, s, "Faults/"+name, func(x *faulty) error {
				for n := range k.States {
					if err := x.play(ctx, play, n); err != nil {
						r.Violations = append(r.Violations, x.repeat(err, k.Seed).Error())
						break
					}
					x.states++
					x.outcomes[uint64(n)] = true
				}
				r.States, r.Distinct = x.states, len(x.outcomes)
				return nil
			})
		}
	}
}

// play opens a log, plays a scene, takes everything away that is not synced, and looks
// whether all is there that was acknowledged.
func (x *faulty) play(ctx context.Context, act func(*scene, context.Context) error, n int) error {
	v := &scene{faulty: x, dir: filepath.Join(x.root, fmt.Sprintf("log-%d", n))}
	if err := v.open(); err != nil {
		return err
	}
	err := act(v, ctx)
	closeLog := func() { _ = v.log.Close() } // its disk is gone
	if err = errors.Join(err, x.lose(faultfs.Crash{Loss: faultfs.Everything}, closeLog)); err != nil {
		return err
	}
	if err := v.open(); err != nil {
		return violation(crash.Recovers, "%v", err)
	}
	return errors.Join(v.count(ctx), v.append(ctx, 1), v.log.Close())
}

func (v *scene) open() error {
	b, err := v.s.factory()
	if err != nil {
		return err
	}
	v.log, err = wal.Open(v.dir, wal.WithBackend(b), wal.WithFsyncMode(wal.FsyncAlways),
		wal.WithSegmentSize(64<<10), wal.WithBufferSize(64<<10))
	if err != nil {
		return err
	}
	v.part, err = v.log.Partition("scene", 0)
	return err
}

// append appends records one after the other.
func (v *scene) append(ctx context.Context, n int) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for range n {
		if _, err := v.part.Append(ctx, wal.Record{Value: make([]byte, 500)}); err != nil {
			return err
		}
		v.acked++
	}
	return nil
}

// count reads the log and compares the number of its records with what it must be.
func (v *scene) count(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	n := v.part.FirstOffset()
	for _, err := range v.part.Read(ctx, n) {
		if err != nil {
			return violation(crash.ReadersWhole, "read behind %d records: %v", n, err)
		}
		n++
	}
	if n < v.acked {
		return violation(crash.AckedDurable, "%d records, %d were acknowledged", n, v.acked)
	}
	return nil
}

// syncStuck: a sync does not return. Its append is not acknowledged, whoever waits for it can
// give up, and readers read.
func (v *scene) syncStuck(ctx context.Context) error {
	if err := v.append(ctx, 5); err != nil {
		return err
	}
	if err := v.set(faultfs.Faults{Rules: []faultfs.Rule{{Op: faultfs.OpSync, Stuck: true}}}); err != nil {
		return err
	}
	ack, err := v.part.AppendAsync(ctx, wal.Record{Value: []byte("stuck")})
	if err != nil {
		return violation(crash.FailedWrite, "an append that does not wait failed: %v", err)
	}
	for stuck, deadline := 0, time.Now().Add(patience); stuck == 0; {
		if err := v.fs.Call("Server.Stuck", faultfs.No{}, &stuck); err != nil {
			return err
		}
		if time.Now().After(deadline) {
			return violation(crash.AckedDurable, "an append began no sync")
		}
	}
	short, cancel := context.WithTimeout(ctx, 20*time.Millisecond)
	defer cancel()
	if err := ack.Wait(short); !errors.Is(err, context.DeadlineExceeded) {
		return violation(crash.AckedDurable, "the wait for a sync that is stuck ended with %v, not with its context", err)
	}
	if err := v.count(ctx); err != nil {
		return err
	}
	if n := v.part.NextOffset(); n != v.acked {
		return violation(crash.ReadersDurable, "readers see %d records, of which %d are synced", n, v.acked)
	}
	if err := v.set(faultfs.Faults{}); err != nil {
		return err
	}
	long, stop := context.WithTimeout(ctx, patience)
	defer stop()
	if err := ack.Wait(long); err != nil {
		return violation(crash.Bounded, "the sync returned, and its append did not: %v", err)
	}
	v.acked++
	return v.append(ctx, 5)
}

// spaceComesBack: the disk is full. Appends say so, all else works, and appends work again
// as soon as there is space.
func (v *scene) spaceComesBack(ctx context.Context) error {
	if err := v.append(ctx, 5); err != nil {
		return err
	}
	if err := v.set(faultfs.Faults{Rules: []faultfs.Rule{
		{Op: faultfs.OpWrite, Errno: syscall.ENOSPC}, {Op: faultfs.OpAllocate, Errno: syscall.ENOSPC},
	}}); err != nil {
		return err
	}
	if err := v.append(ctx, 1); !errors.Is(err, wal.ErrNoSpace) {
		return violation(crash.NoSpace, "an append to a full disk returned %v", err)
	}
	if err := v.count(ctx); err != nil {
		return err
	}
	if err := v.set(faultfs.Faults{}); err != nil {
		return err
	}
	deadline := time.Now().Add(patience)
	for {
		err := v.append(ctx, 1)
		if err == nil {
			return v.append(ctx, 200) // over several segments
		}
		if !errors.Is(err, wal.ErrNoSpace) || time.Now().After(deadline) {
			return violation(crash.NoSpace, "there is space again, and an append returned %v", err)
		}
	}
}
