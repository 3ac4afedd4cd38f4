package posix

import (
	"errors"
	"fmt"

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
		f, ok := q.own(w.File)
		if !ok {
			return fmt.Errorf("%w: write %d: the file is not of this directory", errBatch, i)
		}
		if err := f.Use(); err != nil {
			return fmt.Errorf("write %s: %w", f.Path(), err)
		}
		f.Done()
		if len(w.Data) == 0 {
			continue
		}
		if err := q.checkData(w, f); err != nil {
			return fmt.Errorf("%w: write %d to %s: %w", errBatch, i, f.Path(), err)
		}
	}
	return nil
}

func (q *queue) checkData(w *backend.Write, f File) error {
	if !q.pool.holds(w.Buffer, w.Data) {
		return errors.New("the data does not lie in a buffer of this queue")
	}
	return f.CheckWrite(w)
}
