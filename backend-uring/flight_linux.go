package uring

import (
	"errors"
	"fmt"
	"io"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/chronik-go/wal/core/backend"
)

// flight is a batch on its way: one request for each write, which is its own sync, and one for
// each file that is to be synced without a write, or once more. Its memory is used again.
type flight struct {
	place   int // in the engine's list
	queue   *queue
	batch   *backend.Batch
	writes  []writeOp
	syncs   []*syncOp // of which the first planned ones are of this batch
	planned int
	left    int // requests that have not completed for good
}

// writeOp is how far a write has come.
type writeOp struct {
	done  int // bytes
	again int // how often in a row it was to be tried again
	short bool
}

// syncOp is the sync of a file, by a goroutine of its own: as a request it would take a thread of
// the kernel, and of two rings that sync a file at the same time each would be told when its queue
// is waited for, of a failure perhaps one.
type syncOp struct {
	flight *flight
	file   *file
	settle bool // it is the wait for those of others, for which the engine has no time
	err    error
	start  func() // run, made once: else each start would allocate it
}

// run syncs the file and tells the engine.
func (s *syncOp) run(e *engine) {
	if s.settle {
		s.err = s.file.Syncer().Settled()
	} else {
		s.err = s.file.SyncData()
	}
	e.mu.Lock()
	e.synced = append(e.synced, s)
	e.mu.Unlock()
	e.bell.tell()
}

// begin plans the requests of a batch and puts the first ones in place.
func (fl *flight) begin(e *engine, q *queue, b *backend.Batch) {
	fl.queue, fl.batch, fl.left = q, b, 0
	fl.writes, fl.planned = fl.writes[:0], 0
	for i := range b.Writes {
		w := &b.Writes[i]
		fl.writes = append(fl.writes, writeOp{})
		f := w.File.(*file)
		if w.Sync {
			if w.Err = f.Syncer().Failure(); w.Err != nil {
				continue
			}
		}
		if len(w.Data) > 0 {
			fl.left++
		} else if w.Sync && !fl.willSync(f) {
			fl.addSync(e, f, false)
		}
	}
	for i := range b.Writes {
		w := &b.Writes[i]
		if w.Err != nil || len(w.Data) == 0 {
			continue
		}
		e.putWrite(fl, i)
	}
}

// addSync starts a sync of a file, or a wait for others.
func (fl *flight) addSync(e *engine, f *file, settle bool) {
	if fl.planned == len(fl.syncs) {
		s := &syncOp{flight: fl}
		s.start = func() { s.run(e) }
		fl.syncs = append(fl.syncs, s)
	}
	s := fl.syncs[fl.planned]
	fl.planned++
	fl.left++
	s.file, s.settle = f, settle
	go s.start()
}

// willSync reports whether a sync of a file was started.
func (fl *flight) willSync(f *file) bool {
	return slices.ContainsFunc(fl.syncs[:fl.planned], func(s *syncOp) bool { return s.file == f })
}

// wrote takes in the completion of a write.
func (fl *flight) wrote(e *engine, i int, res int32) {
	w, op := &fl.batch.Writes[i], &fl.writes[i]
	switch {
	case res < 0 && sendAgain(errnoOf(res), op.again):
		op.again++
		e.putWrite(fl, i)
		return
	case res == -int32(unix.EINVAL):
		w.Err = writeThroughCache(w, op.done)
	case res < 0:
		w.Err = errnoOf(res)
	case res == 0:
		w.Err = fmt.Errorf("the kernel wrote nothing: %w", io.ErrShortWrite)
	case op.done+int(res) < len(w.Data):
		op.short, op.again = true, 0
		if fl.goOn(op, int(res)) {
			e.putWrite(fl, i)
			return
		}
		w.Err = writeThroughCache(w, op.done+int(res))
	}
	switch {
	case w.Err != nil:
		fl.failed(w, op.done)
	case op.short && w.Sync:
		// What the parts were synced by covers each its own; the whole is synced once more.
		fl.addSync(e, w.File.(*file), false)
	case w.Sync && !w.File.(*file).Syncer().Idle():
		fl.addSync(e, w.File.(*file), true)
	case w.Sync:
		w.Err = w.File.(*file).Syncer().Failure()
	}
	fl.left--
}

// goOn moves a write on by what was written. It goes on with a whole block, and cannot if it did
// not get as far as one.
func (fl *flight) goOn(op *writeOp, n int) bool {
	next := (op.done + n) &^ (fl.queue.limits.Alignment - 1)
	moved := next > op.done
	op.done = next
	return moved
}

// failed completes the error of a write.
func (fl *flight) failed(w *backend.Write, done int) {
	f := w.File.(*file)
	err := w.Err
	if w.Sync && !errors.Is(err, backend.ErrSync) && !f.refused(err, w, done) {
		err = f.Syncer().Fail(err)
	}
	w.Err = fmt.Errorf("write %s at offset %d, %d bytes, %d of them written: %w", f.Path(), w.Offset, len(w.Data), done, err)
}

// refused is posix.File.Refused, for a file that may be closed.
func (f *file) refused(err error, w *backend.Write, done int) bool {
	if f.Use() != nil {
		return false
	}
	defer f.Done()
	return f.Refused(err, w.Data[done:], w.Offset+int64(done))
}

// end ends a sync, and gives its error to all writes that wanted it.
func (s *syncOp) end() {
	fl := s.flight
	fl.left--
	if s.err == nil {
		return
	}
	for i := range fl.batch.Writes {
		w := &fl.batch.Writes[i]
		if w.Sync && w.File == backend.File(s.file) && w.Err == nil {
			w.Err = s.err
		}
	}
}

// writeThroughCache writes the rest of a write by plain system calls. A file size limit
// (RLIMIT_FSIZE) inside a block cuts a write to a length that cannot be written directly. The
// cache takes what fits, and says what the matter is.
func writeThroughCache(w *backend.Write, done int) error {
	f := w.File.(*file)
	if err := f.Use(); err != nil {
		return err
	}
	defer f.Done()
	fd, _ := f.Descriptors()
	for again := 0; done < len(w.Data); {
		n, err := unix.Pwrite(fd, w.Data[done:], w.Offset+int64(done))
		if err != nil && sendAgain(err, again) {
			again++
			continue
		}
		if err != nil {
			return err
		}
		done += n
	}
	if w.Sync {
		return f.SyncData()
	}
	return nil
}
