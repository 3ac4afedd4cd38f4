package posix

import (
	"errors"
	"fmt"

	"github.com/chronik-go/wal/core/backend"
)

// executor carries out batches, one at a time. It keeps its scratch memory, so that
// a batch allocates nothing.
type executor struct {
	vec vector
}

// run writes a batch and sets its errors. A batch that is one run of adjacent
// writes, which a group commit is, goes out as one system call that is also its
// sync, where the file is written directly. Any other batch is written first and
// then synced once for each file.
func (x *executor) run(b *backend.Batch) {
	ws := b.Writes
	for i := 0; i < len(ws); {
		n := runLength(ws[i:])
		if n == len(ws) && ws[0].File.(*file).direct != nil && len(ws[0].Data) > 0 {
			x.writeRun(ws, anySync(ws))
			return
		}
		x.writeRun(ws[i:i+n], false)
		i += n
	}
	syncFiles(ws)
}

// runLength is how many of the writes, from the first on, continue each other.
func runLength(ws []backend.Write) int {
	n := 1
	for n < len(ws) {
		prev, next := &ws[n-1], &ws[n]
		if len(prev.Data) == 0 || len(next.Data) == 0 ||
			next.File != prev.File || next.Offset != prev.Offset+int64(len(prev.Data)) {
			break
		}
		n++
	}
	return n
}

func anySync(ws []backend.Write) bool {
	for i := range ws {
		if ws[i].Sync {
			return true
		}
	}
	return false
}

// writeRun writes adjacent writes of one file. With durable set, what it reports as
// written is also durable.
func (x *executor) writeRun(ws []backend.Write, durable bool) {
	if len(ws[0].Data) == 0 {
		return
	}
	f := ws[0].File.(*file)
	err := f.enter()
	done := int64(0)
	if err == nil {
		done, err = x.writeEntered(f, ws, durable)
		f.leave()
	}
	if err == nil {
		return
	}
	// A write that ends before the place of the failure is complete.
	for i, end := 0, int64(0); i < len(ws); i++ {
		end += int64(len(ws[i].Data))
		if end > done {
			ws[i].Err = fmt.Errorf("write %s at offset %d, %d bytes, %d of them written: %w", f.path,
				ws[i].Offset, len(ws[i].Data), max(0, done+int64(len(ws[i].Data))-end), err)
		}
	}
}

// writeEntered returns how much was written, and durable if that was asked for. A write that is
// its own sync is reported after the syncs that are in progress: of a device whose cache is gone
// each of them may be told, or one.
func (x *executor) writeEntered(f *file, ws []backend.Write, durable bool) (int64, error) {
	if !durable {
		return x.vec.write(f, ws, false)
	}
	if err := f.syncer.Failure(); err != nil {
		return 0, err
	}
	n, err := x.vec.write(f, ws, true)
	if err != nil && !errors.Is(err, backend.ErrSync) && !refused(f, ws, n, err) {
		return n, f.syncer.Fail(fmt.Errorf("write %s: %w", f.path, err))
	}
	if err == nil {
		if err = f.syncer.Settled(); err != nil {
			n = 0
		}
	}
	return n, err
}

// refused is File.Refused for writes that failed behind the first done bytes.
func refused(f *file, ws []backend.Write, done int64, err error) bool {
	for i := range ws {
		if n := int64(len(ws[i].Data)); done >= n {
			done -= n
			continue
		}
		return f.Refused(err, ws[i].Data[done:], ws[i].Offset+done)
	}
	return false
}

// syncFiles makes the writes with Sync durable: one sync for each file.
func syncFiles(ws []backend.Write) {
	for i := range ws {
		if !ws[i].Sync || syncedBefore(ws, i) {
			continue
		}
		f := ws[i].File.(*file)
		err := firstError(ws[i:], f)
		if err != nil {
			// Part of what was to be durable together is not there: syncing the rest
			// would sync a file on which a write has failed.
			err = fmt.Errorf("%s was not synced, another write of the batch failed: %w", f.path, err)
		} else if err = f.enter(); err != nil {
			err = f.wrap("sync", err)
		} else {
			err = f.syncData()
			f.leave()
		}
		if err == nil {
			continue
		}
		for j := i; j < len(ws); j++ {
			if ws[j].Sync && ws[j].File == ws[i].File && ws[j].Err == nil {
				ws[j].Err = err
			}
		}
	}
}

// syncedBefore says whether an earlier write with Sync is of the same file.
func syncedBefore(ws []backend.Write, i int) bool {
	for j := range ws[:i] {
		if ws[j].Sync && ws[j].File == ws[i].File {
			return true
		}
	}
	return false
}

// firstError returns the first error of a write with Sync to the file.
func firstError(ws []backend.Write, f *file) error {
	for i := range ws {
		if ws[i].Sync && ws[i].File == backend.File(f) && ws[i].Err != nil {
			return ws[i].Err
		}
	}
	return nil
}
