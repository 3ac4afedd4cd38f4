package uring

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/chronik-go/wal/core/backend"
)

// flight is a batch on its way: one request for each write, which is its own sync, and one for
// each file that is to be synced without a write, or once more. Its memory is used again.
type flight struct {
	place  int // in the engine's list
	queue  *queue
	batch  *backend.Batch
	writes []writeOp
	syncs  []syncOp
	left   int // requests that have not completed for good
}

// writeOp is how far a write has come.
type writeOp struct {
	done  int // bytes
	again int // how often in a row it was to be tried again
	short bool
}

// syncOp is the sync of a file.
type syncOp struct {
	file  *file
	again int
}

// begin plans the requests of a batch and puts the first ones in place.
func (fl *flight) begin(e *engine, q *queue, b *backend.Batch) {
	fl.queue, fl.batch, fl.left = q, b, 0
	fl.writes, fl.syncs = fl.writes[:0], fl.syncs[:0]
	for i := range b.Writes {
		w := &b.Writes[i]
		fl.writes = append(fl.writes, writeOp{})
		f := w.File.(*file)
		if w.Sync {
			if w.Err = f.Failure(); w.Err != nil {
				continue
			}
		}
		if len(w.Data) > 0 {
			fl.left++
		} else if w.Sync && !fl.willSync(f) {
			fl.addSync(f)
		}
	}
	for i := range b.Writes {
		w := &b.Writes[i]
		if w.Err != nil || len(w.Data) == 0 {
			continue
		}
		e.putWrite(fl, i)
	}
	for k := range fl.syncs {
		e.putSync(fl, k)
	}
}

// addSync plans a sync of a file.
func (fl *flight) addSync(f *file) {
	fl.syncs = append(fl.syncs, syncOp{file: f})
	fl.left++
}

// willSync reports whether a sync of a file is planned.
func (fl *flight) willSync(f *file) bool {
	return slices.ContainsFunc(fl.syncs, func(s syncOp) bool { return s.file == f })
}

// wrote takes in the completion of a write.
func (fl *flight) wrote(e *engine, i int, res int32) {
	w, op := &fl.batch.Writes[i], &fl.writes[i]
	switch {
	case res < 0 && tryAgain(errnoOf(res)) && op.again < maxAgain:
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
	if w.Err != nil {
		fl.failed(w, op.done)
	} else if op.short && w.Sync {
		// What the parts were synced by covers each its own; the whole is synced once more.
		fl.addSync(w.File.(*file))
		e.putSync(fl, len(fl.syncs)-1)
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

// tryAgain reports whether the kernel asks for a request to be sent again.
func tryAgain(err error) bool { return errors.Is(err, unix.EINTR) || errors.Is(err, unix.EAGAIN) }

// failed completes the error of a write.
func (fl *flight) failed(w *backend.Write, done int) {
	f := w.File.(*file)
	err := w.Err
	w.Err = fmt.Errorf("write %s at offset %d, %d bytes, %d of them written: %w", f.Path(), w.Offset, len(w.Data), done, err)
	if w.Sync && !noSpace(err) {
		f.Fail(fmt.Errorf("an earlier write to %s failed: %w", f.Path(), err))
	}
}

// noSpace reports whether a write was refused for lack of space: it leaves what was written
// before as it was.
func noSpace(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) || errors.Is(err, syscall.EFBIG)
}

// synced takes in the completion of a sync.
func (fl *flight) synced(e *engine, k int, res int32) {
	s := &fl.syncs[k]
	switch {
	case res < 0 && tryAgain(errnoOf(res)) && s.again < maxAgain:
		s.again++
		e.putSync(fl, k)
		return
	case res < 0:
		err := fmt.Errorf("sync %s: %w", s.file.Path(), errnoOf(res))
		s.file.Fail(err)
		fl.endSync(k, err)
		return
	}
	// Another queue may have had the error of this file's pages reported to it.
	fl.endSync(k, s.file.Failure())
}

// endSync ends a sync, with an error for all writes that wanted it.
func (fl *flight) endSync(k int, err error) {
	fl.left--
	if err == nil {
		return
	}
	for i := range fl.batch.Writes {
		w := &fl.batch.Writes[i]
		if w.Sync && w.File == backend.File(fl.syncs[k].file) && w.Err == nil {
			w.Err = err
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
	for done < len(w.Data) {
		n, err := unix.Pwrite(fd, w.Data[done:], w.Offset+int64(done))
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return err
		}
		done += n
	}
	if w.Sync {
		return unix.Fdatasync(fd)
	}
	return nil
}
