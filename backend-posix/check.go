package posix

import (
	"errors"
	"fmt"
	"math"
	"unsafe"

	"github.com/chronik-go/wal/core/backend"
)

// errBatch is wrapped by the error of Submit for a batch that breaks the contract.
// It is a mistake of the caller, found before any byte of the batch was written.
var errBatch = errors.New("invalid batch")

// check refuses a batch that this queue could not carry out as promised.
func (q *queue) check(b *backend.Batch) error {
	if b == nil {
		return fmt.Errorf("%w: nil", errBatch)
	}
	for i := range b.Writes {
		w := &b.Writes[i]
		f, ok := w.File.(*file)
		if !ok || f == nil || f.dir != q.dir {
			return fmt.Errorf("%w: write %d: the file is not of this directory", errBatch, i)
		}
		if err := f.enter(); err != nil {
			return f.wrap("write", err)
		}
		f.leave()
		if len(w.Data) == 0 {
			continue
		}
		if err := q.checkData(w, f); err != nil {
			return fmt.Errorf("%w: write %d to %s: %w", errBatch, i, f.path, err)
		}
	}
	return nil
}

func (q *queue) checkData(w *backend.Write, f *file) error {
	n, align := int64(len(w.Data)), int64(q.limits.Alignment)
	size := f.size.Load()
	if w.Offset > size-n { // another of its descriptors may have made it longer
		var err error
		if size, err = f.Size(); err != nil {
			return err
		}
	}
	switch {
	case w.Offset < 0 || w.Offset > math.MaxInt64-n || w.Offset+n > size:
		return fmt.Errorf("%d bytes at offset %d are outside the file's %d bytes", n, w.Offset, size)
	case w.Offset%align != 0 || n%align != 0:
		return fmt.Errorf("%d bytes at offset %d are not aligned to %d", n, w.Offset, align)
	case !q.pool.holds(w.Buffer, w.Data):
		return errors.New("the data does not lie in a buffer of this queue")
	}
	// A buffer begins at a page. The device reads memory at an alignment of its own, and
	// the kernel's error for less would come after the fact.
	if uintptr(unsafe.Pointer(&w.Data[0]))%uintptr(align) != 0 {
		return fmt.Errorf("the data does not begin at a multiple of %d in its buffer", align)
	}
	return nil
}
