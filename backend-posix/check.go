package posix

import (
	"errors"
	"fmt"

	"github.com/chronik-go/wal/core/backend"
	"github.com/chronik-go/wal/core/backend/inline"
)

// Check refuses a batch that this queue could not carry out as promised.
func (q *queue) Check(b *backend.Batch) error {
	for i := range b.Writes {
		w := &b.Writes[i]
		f, ok := q.own(w.File)
		if !ok {
			return fmt.Errorf("%w: write %d: the file is not of this directory", inline.ErrBatch, i)
		}
		if err := f.Use(); err != nil {
			return fmt.Errorf("write %s: %w", f.Path(), err)
		}
		f.Done()
		if len(w.Data) == 0 {
			continue
		}
		if err := q.checkData(w, f); err != nil {
			return fmt.Errorf("%w: write %d to %s: %w", inline.ErrBatch, i, f.Path(), err)
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
