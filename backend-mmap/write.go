package mmap

import (
	"fmt"

	"github.com/chronik-go/wal/core/backend"
)

// carryOut stores all writes of a batch, then makes those durable that want it: of each file
// the pages that were stored to, once.
func carryOut(b *backend.Batch) {
	ws := b.Writes
	for i := range ws {
		w := &ws[i]
		f := w.File.(*file)
		if w.Sync {
			if w.Err = f.Syncer().Failure(); w.Err != nil {
				continue
			}
		}
		if len(w.Data) > 0 {
			w.Err = f.store(w.Data, w.Offset)
		}
	}
	for i := range ws {
		if ws[i].Sync && ws[i].Err == nil && !syncedBefore(ws, i) {
			syncFile(ws[i:], ws[i].File.(*file))
		}
	}
}

// syncedBefore reports whether an earlier write of the batch has had its file synced.
func syncedBefore(ws []backend.Write, i int) bool {
	for j := range ws[:i] {
		if ws[j].Sync && ws[j].File == ws[i].File {
			return true
		}
	}
	return false
}

// syncFile makes the writes of a file durable that want it.
func syncFile(ws []backend.Write, f *file) {
	err := firstError(ws, f)
	if err != nil {
		// Syncing the rest would sync a file on which a write has failed.
		err = fmt.Errorf("%s was not synced, another write of the batch failed: %w", f.Path(), err)
	} else if from, to, all := extent(ws, f); all {
		err = f.SyncData()
	} else {
		err = f.flush(from, to)
	}
	if err == nil {
		return
	}
	for i := range ws {
		if ws[i].Sync && ws[i].File == backend.File(f) && ws[i].Err == nil {
			ws[i].Err = err
		}
	}
}

func firstError(ws []backend.Write, f *file) error {
	for i := range ws {
		if ws[i].Sync && ws[i].File == backend.File(f) && ws[i].Err != nil {
			return ws[i].Err
		}
	}
	return nil
}

// extent is the range that the writes of a file which want to be durable lie in. A sync
// without data is about all of the file.
func extent(ws []backend.Write, f *file) (from, to int64, all bool) {
	from = -1
	for i := range ws {
		w := &ws[i]
		if !w.Sync || w.File != backend.File(f) {
			continue
		}
		if len(w.Data) == 0 {
			return 0, 0, true
		}
		if from < 0 || w.Offset < from {
			from = w.Offset
		}
		to = max(to, w.Offset+int64(len(w.Data)))
	}
	return from, to, false
}
