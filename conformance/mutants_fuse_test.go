package conformance

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"slices"
	"syscall"

	"github.com/chronik-go/wal/core/backend"
)

// fuseMutants are found by what checks do on a file system that fails and loses.
func fuseMutants() []mutant {
	if os.Geteuid() != 0 || len(layers) == 0 {
		return nil
	}
	list := []mutant{
		{breaks: "what is in flight at Close is not synced", check: "Queue/CloseCarriesOut", hooks: unsyncedClose()},
		{breaks: "every hundredth sync is left out", check: "Queue/SyncedWritesAreDurable", hooks: altered(
			func(q *brokenQueue, ws []backend.Write) []backend.Write {
				if q.count++; q.count%100 == 0 {
					ws[0].Sync = false
				}
				return ws
			})},
		{breaks: "of a batch eight files are synced", check: "Queue/SyncedWritesAreDurable", hooks: altered(
			func(_ *brokenQueue, ws []backend.Write) []backend.Write {
				var files []backend.File
				for i := range ws {
					if w := &ws[i]; w.Sync && !slices.Contains(files, w.File) {
						files = append(files, w.File)
						w.Sync = len(files) <= 8
					}
				}
				return ws
			})},
		{breaks: "what is behind a sync that failed is forgotten", check: "Queue/SyncedWritesAreDurable", hooks: hooks{
			submit: submitUntilFailure, wait: waitHeld}},
		{breaks: "what cannot be read is zeros", check: "File/ReadAtFollowsReaderAt", hooks: unreadable(
			func(p []byte) (int, error) { return len(p), nil })},
		{breaks: "what cannot be read is the end", check: "File/ReadAtFollowsReaderAt", hooks: unreadable(
			func([]byte) (int, error) { return 0, io.EOF })},
		{breaks: "List leaves out what it cannot read", check: "Dir/ListIsComplete", hooks: hooks{
			list: func(d *brokenDir) (names []string, _ error) {
				entries, _ := os.ReadDir(d.path) // the mistake
				for _, e := range entries {
					names = append(names, e.Name())
				}
				return names, nil
			}}},
		{breaks: "Sync of a read-only Dir does nothing", check: "Dir/ReadOnlySync", hooks: hooks{
			dirSync: func(d *brokenDir) error { return d.unlessReadOnly(d.Dir.Sync) }}},
		{breaks: "Sync of a file of a read-only Dir does nothing", check: "File/ReadOnlySync", hooks: hooks{
			fileSync: func(f *brokenFile) error { return f.dir.unlessReadOnly(f.File.Sync) }}},
		{breaks: "a directory above that cannot be synced is passed over", check: "Backend/OpenDirIsDurable", hooks: syncsAbove(100, false)},
		{breaks: "three directories above are synced", check: "Backend/OpenDirIsDurable", hooks: syncsAbove(3, true)},
	}
	for i := range list {
		list[i].system = true
	}
	return list
}

// unsyncedClose carries out a batch when it is waited for, or at Close, and syncs it then no more.
func unsyncedClose() hooks {
	h := carriedOutByWait()
	h.closeQueue = func(q *brokenQueue) error {
		var errs []error
		for _, b := range q.held {
			for i := range b.Writes {
				b.Writes[i].Sync = false
			}
			if err := q.submitInside(b); err != nil {
				errs = append(errs, err)
				continue
			}
			_, err := q.waitInside()
			errs = append(errs, err)
		}
		return errors.Join(append(errs, q.Queue.Close())...)
	}
	return h
}

// submitUntilFailure carries out a batch up to the first write that fails.
func submitUntilFailure(q *brokenQueue, b *backend.Batch) error {
	for i := range b.Writes {
		one := &backend.Batch{Writes: slices.Clone(b.Writes[i : i+1])}
		if err := q.submitInside(one); err != nil {
			return err
		}
		if _, err := q.waitInside(); err != nil {
			return err
		}
		if b.Writes[i].Err = one.Failed(); b.Writes[i].Err != nil {
			break
		}
	}
	q.held = append(q.held, b)
	return nil //nolint:nilerr // the write has it
}

// unreadable reads something else where the device reads nothing.
func unreadable(instead func(p []byte) (int, error)) hooks {
	return hooks{readAt: func(f *brokenFile, p []byte, off int64) (int, error) {
		n, err := f.File.ReadAt(p, off)
		if errors.Is(err, syscall.EIO) {
			clear(p)
			return instead(p)
		}
		return n, err
	}}
}

// unlessReadOnly syncs, but for a read-only Dir.
func (d *brokenDir) unlessReadOnly(sync func() error) error {
	q, err := d.Dir.Queue(backend.QueueOptions{Depth: 1})
	if errors.Is(err, fs.ErrPermission) {
		return nil
	}
	if err == nil {
		err = q.Close()
	}
	return errors.Join(err, sync())
}

// syncsAbove syncs so many directories above; strict is to say so if that fails.
func syncsAbove(levels int, strict bool) hooks {
	return hooks{openDir: func(b *brokenBackend, path string, o backend.DirOptions) (backend.Dir, error) {
		if o.Create {
			o.Create = false
			if err := os.MkdirAll(path, 0o700); err != nil {
				return nil, err
			}
			above := path
			for range levels {
				above += "/.."
				f, err := os.Open(above)
				if err == nil {
					err = errors.Join(f.Sync(), f.Close())
				}
				if err != nil && strict {
					return nil, err
				}
			}
		}
		return b.openInside(path, o)
	}}
}
