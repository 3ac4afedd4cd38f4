//go:build linux && !386 && !arm

package conformance

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	posix "github.com/chronik-go/wal/backend-posix"
	"github.com/chronik-go/wal/core/backend"
)

// layerMutant is a backend with a mistake in it that loses data. Each must be caught by the layer
// that is there for it, else that layer proves nothing.
type layerMutant struct {
	name string
	// what is the mistake.
	what   string
	direct posix.DirectMode
	bug    bug
	// caughtBy are checks one of which at least must catch it.
	caughtBy []string
}

// bug is the mistake: what a mutant does in the place of the real backend.
type bug struct {
	// write decides on the writes of a batch before the real queue gets them.
	write func(w *backend.Write)
	// sync is File.Sync, syncDir Dir.Sync after an operation named last.
	sync    func(f *mutantFile) error
	syncDir func(d *mutantDir, last string) error
	// queue carries out a batch in the place of the real one; it returns when the batch is to
	// be returned.
	queue func(b *backend.Batch)
	// extend makes a file longer.
	extend func(f backend.File, size int64) error
	// deep is queue for one that takes several batches, and knows how many are in flight.
	deep func(b *backend.Batch, inFlight int)
	// unsynced says which queues drop the syncs of their writes.
	unsynced func(o backend.QueueOptions) bool
	// openDir opens a directory.
	openDir func(b backend.Backend, path string, o backend.DirOptions) (backend.Dir, error)
}

var layerMutants = []layerMutant{
	{
		name: "SyncDropped", what: "writes are not synced (page cache)", direct: posix.DirectOff,
		bug:      bug{write: func(w *backend.Write) { w.Sync = false }},
		caughtBy: []string{"Crash/ShutdownExt4", "Crash/ShutdownXFS", "Crash/BlockExt4", "Faults/UnsyncedLost"},
	},
	{
		name: "SyncDroppedDirect", what: "writes are not synced (O_DIRECT, recycled segments)", direct: posix.DirectOn,
		bug: bug{write: func(w *backend.Write) {
			if w.Offset < w.File.(*mutantFile).written {
				w.Sync = false
			}
		}},
		caughtBy: []string{"Crash/BlockExt4", "Crash/BlockXFS"},
	},
	{
		name: "SyncBeforeWrite", what: "the sync comes before the write", direct: posix.DirectOff,
		bug: bug{write: func(w *backend.Write) {
			if w.Sync {
				w.Err = w.File.(*mutantFile).File.Sync()
				w.Sync = false
			}
		}},
		caughtBy: []string{"Crash/ShutdownExt4", "Crash/BlockExt4", "Faults/UnsyncedLost"},
	},
	{
		name: "SyncBesideWrite", what: "write and sync are under way at the same time (O_DIRECT)", direct: posix.DirectOn,
		bug:      bug{queue: queueBeside},
		caughtBy: []string{"Crash/BlockExt4", "Crash/BlockXFS"},
	},
	{
		name: "DirSyncDropped", what: "a directory is not synced", direct: posix.DirectOn,
		bug:      bug{syncDir: func(*mutantDir, string) error { return nil }},
		caughtBy: []string{"Faults/UnsyncedLost", "Faults/NamesLost"},
	},
	{
		name: "RenameNotSynced", what: "a directory is not synced after a rename", direct: posix.DirectOn,
		bug:      bug{syncDir: syncDirUnless("rename")},
		caughtBy: []string{"Faults/UnsyncedLost", "Faults/NamesLost"},
	},
	{
		name: "RecoveryNotSynced", what: "File.Sync does nothing: recovery serves what is not durable", direct: posix.DirectOff,
		bug:      bug{sync: func(*mutantFile) error { return nil }},
		caughtBy: []string{"File/SyncKeepsContent", "Crash/BlockExt4"},
	},
	{
		name: "UpperDirsNotSynced", what: "of several new directories only the last one's name is synced", direct: posix.DirectOff,
		bug: bug{openDir: func(b backend.Backend, path string, o backend.DirOptions) (backend.Dir, error) {
			if o.Create {
				o.Create = false
				if err := errors.Join(os.MkdirAll(path, 0o700), syncFile(filepath.Dir(path))); err != nil {
					return nil, err
				}
			}
			return b.OpenDir(path, o)
		}},
		caughtBy: []string{"Backend/OpenDirIsDurable"},
	},
	{
		name: "DirsAboveNotSynced", what: "of directories that are there only the last one's name is synced", direct: posix.DirectOff,
		bug: bug{openDir: func(b backend.Backend, path string, o backend.DirOptions) (backend.Dir, error) {
			if _, err := os.Stat(path); err == nil && o.Create {
				o.Create = false
				if err := syncFile(path + "/.."); err != nil {
					return nil, err
				}
			}
			return b.OpenDir(path, o)
		}},
		caughtBy: []string{"Backend/OpenDirIsDurable"},
	},
	{
		name: "DirsAboveByName", what: "directories above are those that the path names, not those that it leads through", direct: posix.DirectOff,
		bug: bug{openDir: func(b backend.Backend, path string, o backend.DirOptions) (backend.Dir, error) {
			if _, err := os.Stat(path); err == nil && o.Create {
				o.Create = false
				for p := filepath.Dir(path); p != "/"; p = filepath.Dir(p) {
					_ = syncFile(p) // the root of another file system may refuse
				}
			}
			return b.OpenDir(path, o)
		}},
		caughtBy: []string{"Backend/OpenDirIsDurable"},
	},
	{
		name: "OthersDirNotSynced", what: "the name of a directory that is there is not synced", direct: posix.DirectOff,
		bug: bug{openDir: func(b backend.Backend, path string, o backend.DirOptions) (backend.Dir, error) {
			if _, err := os.Stat(path); err == nil {
				o.Create = false
			}
			return b.OpenDir(path, o)
		}},
		caughtBy: []string{"Backend/OpenDirIsDurable"},
	},
	{
		name: "RemoveNotSynced", what: "a directory is not synced after a removal", direct: posix.DirectOff,
		bug:      bug{syncDir: syncDirUnless("remove")},
		caughtBy: []string{"Dir/SyncKeepsNames"},
	},
	{
		name: "CleanDirNotSynced", what: "a directory is not synced by a Dir that changed nothing", direct: posix.DirectOff,
		bug:      bug{syncDir: syncDirUnless("")},
		caughtBy: []string{"Dir/SyncKeepsNames"},
	},
	{
		name: "DirSyncByPath", what: "a directory is synced by its path, which leads elsewhere by now", direct: posix.DirectOff,
		bug:      bug{syncDir: func(d *mutantDir, _ string) error { return syncFile(d.path) }},
		caughtBy: []string{"Dir/SyncKeepsNames"},
	},
	{
		name: "SparseWithoutFallocate", what: "a file system without fallocate gets sparse files", direct: posix.DirectOff,
		bug:      bug{extend: extendSparse},
		caughtBy: []string{"Dir/CreateReserves", "File/ResizeReserves"},
	},
	{
		name: "OthersNamesNotSynced", what: "a directory is not synced in which this process changed nothing", direct: posix.DirectOff,
		bug: bug{syncDir: func(d *mutantDir, _ string) error {
			if !changedHere(d.path) {
				return nil
			}
			return d.Dir.Sync()
		}},
		caughtBy: []string{"Dir/SyncKeepsNames"},
	},
	{
		name: "OthersFileNotSynced", what: "a file is not synced in which this process changed nothing", direct: posix.DirectOff,
		bug: bug{sync: func(f *mutantFile) error {
			if !changedHere(f.path) {
				return nil
			}
			return f.File.Sync()
		}},
		caughtBy: []string{"File/SyncKeepsContent"},
	},
	{
		name: "CacheNotDropped", what: "File.Sync leaves the cache as it is", direct: posix.DirectOff,
		bug:      bug{sync: func(f *mutantFile) error { return f.File.(posix.File).SyncData() }},
		caughtBy: []string{"File/SyncShowsTheDevice"},
	},
	{
		name: "OneSyncForABatch", what: "a batch is synced at its first synced write, not at later ones", direct: posix.DirectOff,
		bug: bug{queue: func(b *backend.Batch) {
			synced := false
			queuePlain(b, pwrite, func(f *os.File) error {
				if synced {
					return nil
				}
				synced = true
				return datasync(f)
			})
		}},
		caughtBy: []string{"Queue/SyncedWritesAreDurable"},
	},
	{
		name: "RunSyncedAsItsFirst", what: "adjacent writes are one, synced as the first of them", direct: posix.DirectOff,
		bug:      bug{queue: func(b *backend.Batch) { queueRuns(b, func(run []backend.Write) bool { return run[0].Sync }) }},
		caughtBy: []string{"Queue/SyncedWritesAreDurable"},
	},
	{
		name: "RunSyncedAsItsLast", what: "adjacent writes are one, synced as the last of them", direct: posix.DirectOff,
		bug:      bug{queue: func(b *backend.Batch) { queueRuns(b, func(run []backend.Write) bool { return run[len(run)-1].Sync }) }},
		caughtBy: []string{"Queue/SyncedWritesAreDurable"},
	},
	{
		name: "ManyNotSynced", what: "writes are not synced by a queue that is one of many", direct: posix.DirectOff,
		bug:      bug{unsynced: func(o backend.QueueOptions) bool { return o.Many }},
		caughtBy: []string{"Queue/SyncedWritesAreDurable"},
	},
	{
		name: "SyncShared", what: "a batch is not synced while another one is in flight, whose sync is to do for both", direct: posix.DirectOff,
		bug: bug{deep: func(b *backend.Batch, inFlight int) {
			queuePlain(b, pwrite, func(f *os.File) error {
				if inFlight > 0 {
					return nil
				}
				return datasync(f)
			})
		}},
		caughtBy: []string{"Queue/SyncedWritesAreDurable"},
	},
	{
		name: "CleanFileNotSynced", what: "a sync without data is skipped where the File wrote nothing", direct: posix.DirectOff,
		bug: bug{queue: func(b *backend.Batch) {
			for i := range b.Writes {
				w := &b.Writes[i]
				f := w.File.(*mutantFile)
				if f.wrote = f.wrote || len(w.Data) > 0; f.wrote {
					queuePlain(&backend.Batch{Writes: b.Writes[i : i+1]}, pwrite, datasync)
				}
			}
		}},
		caughtBy: []string{"Queue/SyncWithoutData"},
	},
	{
		name: "SyncForgiven", what: "after a sync that failed the success of the next one is believed", direct: posix.DirectOff,
		bug:      bug{queue: func(b *backend.Batch) { queuePlain(b, pwrite, datasync) }},
		caughtBy: []string{"Queue/FailedSyncs"},
	},
	{
		name: "SyncForgivenToOthers", what: "after a sync that failed it is another File whose success is believed", direct: posix.DirectOff,
		bug: bug{queue: func(b *backend.Batch) {
			for i := range b.Writes {
				f := b.Writes[i].File.(*mutantFile)
				queuePlain(&backend.Batch{Writes: b.Writes[i : i+1]}, pwrite, func(own *os.File) error {
					if f.failed == nil {
						f.failed = datasync(own)
					}
					return f.failed
				})
			}
		}},
		caughtBy: []string{"Queue/FailedSyncs"},
	},
	{
		name: "SyncsApart", what: "of two syncs at the same time one is told of a failure, and the other one's success is believed", direct: posix.DirectOff,
		bug:      bug{queue: queueSyncsApart},
		caughtBy: []string{"Queue/SyncsTogether"},
	},
	{
		name: "SyncErrorBare", what: "a sync that finds no space looks like a write that is refused", direct: posix.DirectOff,
		bug:      bug{queue: func(b *backend.Batch) { queuePlain(b, pwrite, datasync) }},
		caughtBy: []string{"Queue/SyncWithoutSpace"},
	},
	{
		name: "DirSyncForgiven", what: "after a sync of a directory that failed the success of the next one is believed", direct: posix.DirectOff,
		bug:      bug{syncDir: func(d *mutantDir, _ string) error { return syncFile(d.path) }},
		caughtBy: []string{"Dir/SyncFailsForGood"},
	},
	{
		name: "ShortWritePassedOver", what: "a short write counts as complete", direct: posix.DirectOff,
		bug: bug{queue: func(b *backend.Batch) {
			queuePlain(b, func(f *os.File, w *backend.Write) error {
				_, err := unix.Pwrite(int(f.Fd()), w.Data, w.Offset)
				return err
			}, datasync)
		}},
		caughtBy: []string{"Faults/WriteShort"},
	},
	{
		name: "SyncRetried", what: "a sync that failed is tried again, and its success believed", direct: posix.DirectOff,
		bug: bug{queue: func(b *backend.Batch) {
			queuePlain(b, pwrite, func(f *os.File) error {
				if datasync(f) == nil {
					return nil
				}
				return datasync(f)
			})
		}},
		caughtBy: []string{"Faults/SyncFailsOnce", "Faults/BlockEIO"},
	},
	{
		name: "SyncErrorSwallowed", what: "the error of a sync is not reported", direct: posix.DirectOff,
		bug: bug{queue: func(b *backend.Batch) {
			queuePlain(b, pwrite, func(f *os.File) error { _ = datasync(f); return nil })
		}},
		caughtBy: []string{"Faults/SyncFailsOnce", "Faults/SyncFailsForever"},
	},
	{
		name: "WriteErrorSwallowed", what: "the error of a write is not reported", direct: posix.DirectOff,
		bug: bug{queue: func(b *backend.Batch) {
			queuePlain(b, func(f *os.File, w *backend.Write) error { _ = pwrite(f, w); return nil }, datasync)
		}},
		caughtBy: []string{"Faults/WriteFailsOnce", "Faults/DiskFull"},
	},
	{
		name: "ReturnedEarly", what: "a batch is returned before it is written", direct: posix.DirectOff,
		bug:      bug{queue: queueLater},
		caughtBy: []string{"Crash/Kill"},
	},
}

func init() {
	for _, m := range layerMutants {
		shownByLayers = append(shownByLayers, m.caughtBy...)
	}
}

// syncDirUnless does not sync a directory whose last change is an operation; "": there was none.
func syncDirUnless(op string) func(*mutantDir, string) error {
	return func(d *mutantDir, last string) error {
		if last == op {
			return nil
		}
		return d.Dir.Sync()
	}
}

// extendSparse reserves where it can.
func extendSparse(file backend.File, size int64) error {
	f, err := reopen(file, os.O_RDWR)
	if err != nil {
		return err
	}
	err = unix.Fallocate(int(f.Fd()), 0, 0, size)
	if errors.Is(err, errors.ErrUnsupported) {
		err = f.Truncate(size)
	}
	return errors.Join(err, f.Close())
}

func pwrite(f *os.File, w *backend.Write) error {
	_, err := f.WriteAt(w.Data, w.Offset)
	return err
}

func datasync(f *os.File) error { return unix.Fdatasync(int(f.Fd())) }

// queuePlain writes and syncs a batch as a simple backend would.
func queuePlain(b *backend.Batch, write func(*os.File, *backend.Write) error, sync func(*os.File) error) {
	for i := range b.Writes {
		w := &b.Writes[i]
		f := w.File.(*mutantFile)
		if len(w.Data) > 0 {
			w.Err = write(f.own, w)
		}
		if w.Sync && w.Err == nil {
			w.Err = sync(f.own)
		}
	}
}

// queueForgivingNothing makes no mistake: a sync that failed stays failed, for every File.
func queueForgivingNothing(b *backend.Batch) {
	for i := range b.Writes {
		syncer := b.Writes[i].File.(*mutantFile).File.(posix.File).Syncer()
		queuePlain(&backend.Batch{Writes: b.Writes[i : i+1]}, pwrite, func(own *os.File) error {
			return syncer.Sync(func() error { return datasync(own) })
		})
	}
}

// queueSyncsApart looks for a failure before a sync, and not behind it.
func queueSyncsApart(b *backend.Batch) {
	for i := range b.Writes {
		syncer := b.Writes[i].File.(*mutantFile).File.(posix.File).Syncer()
		queuePlain(&backend.Batch{Writes: b.Writes[i : i+1]}, pwrite, func(own *os.File) error {
			err := syncer.Failure()
			if err == nil {
				if err = datasync(own); err != nil {
					err = syncer.Fail(err)
				}
			}
			return err
		})
	}
}

// queueRuns writes a batch, and syncs adjacent writes if something of them says so.
func queueRuns(b *backend.Batch, synced func(run []backend.Write) bool) {
	ws := b.Writes
	for i := 0; i < len(ws); {
		n := 1
		for i+n < len(ws) && ws[i+n].File == ws[i].File && len(ws[i+n-1].Data) > 0 &&
			ws[i+n].Offset == ws[i+n-1].Offset+int64(len(ws[i+n-1].Data)) {
			n++
		}
		run := ws[i : i+n]
		all := slices.Clone(run)
		for k := range all {
			all[k].Sync = k == len(all)-1 && synced(run)
		}
		queuePlain(&backend.Batch{Writes: all}, pwrite, datasync)
		for k := range run {
			run[k].Err = all[k].Err
		}
		i += n
	}
}

// queueBeside does not wait for the write before it syncs.
func queueBeside(b *backend.Batch) {
	for i := range b.Writes {
		w := &b.Writes[i]
		f := w.File.(*mutantFile)
		var both sync.WaitGroup
		var failed error
		both.Go(func() { failed = pwrite(f.own, w) })
		if w.Sync {
			w.Err = datasync(f.own)
		}
		if both.Wait(); w.Err == nil {
			w.Err = failed
		}
	}
}

// queueLater writes and syncs when the batch was returned already.
func queueLater(b *backend.Batch) {
	for i := range b.Writes {
		f, off, data := b.Writes[i].File.(*mutantFile), b.Writes[i].Offset, append([]byte(nil), b.Writes[i].Data...)
		f.late.Add(1)
		time.AfterFunc(time.Millisecond, func() {
			defer f.late.Done()
			_, _ = f.own.WriteAt(data, off)
			_ = datasync(f.own)
		})
	}
}
