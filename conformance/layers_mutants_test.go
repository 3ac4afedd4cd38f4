//go:build linux && !386 && !arm

package conformance

import (
	"errors"
	"os"
	"path/filepath"
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
		bug: bug{syncDir: func(d *mutantDir, last string) error {
			if last == "rename" {
				return nil
			}
			return d.Dir.Sync()
		}},
		caughtBy: []string{"Faults/UnsyncedLost", "Faults/NamesLost"},
	},
	{
		name: "RecoveryNotSynced", what: "File.Sync does nothing: recovery serves what is not durable", direct: posix.DirectOff,
		bug:      bug{sync: func(*mutantFile) error { return nil }},
		caughtBy: []string{"Crash/BlockExt4", "File/SyncKeepsContent"},
	},
	{
		name: "UpperDirsNotSynced", what: "of several new directories only the last one's name is synced", direct: posix.DirectOff,
		bug: bug{openDir: func(b backend.Backend, path string, o backend.DirOptions) (backend.Dir, error) {
			if o.Create {
				o.Create = false
				if err := errors.Join(os.MkdirAll(path, 0o700), syncPath(filepath.Dir(path))); err != nil {
					return nil, err
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
		bug: bug{syncDir: func(d *mutantDir, last string) error {
			if last == "remove" {
				return nil
			}
			return d.Dir.Sync()
		}},
		caughtBy: []string{"Dir/SyncKeepsNames"},
	},
	{
		name: "CleanDirNotSynced", what: "a directory is not synced by a Dir that changed nothing", direct: posix.DirectOff,
		bug: bug{syncDir: func(d *mutantDir, last string) error {
			if last == "" {
				return nil
			}
			return d.Dir.Sync()
		}},
		caughtBy: []string{"Dir/SyncKeepsNames"},
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

func syncPath(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
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

func (m *layerMutant) factory() (backend.Backend, error) {
	return &mutantBackend{Backend: posix.New(posix.WithDirect(m.direct)), m: m}, nil
}

// real is the backend without the mistake.
func (m *layerMutant) real() (backend.Backend, error) {
	return posix.New(posix.WithDirect(m.direct)), nil
}

type mutantBackend struct {
	backend.Backend
	m *layerMutant
}

func (b *mutantBackend) OpenDir(path string, o backend.DirOptions) (backend.Dir, error) {
	open := b.m.bug.openDir
	if open == nil {
		open = backend.Backend.OpenDir
	}
	d, err := open(b.Backend, path, o)
	if err != nil {
		return nil, err
	}
	return &mutantDir{Dir: d, m: b.m, path: path, readOnly: o.ReadOnly}, nil
}

type mutantDir struct {
	backend.Dir
	m        *layerMutant
	path     string
	readOnly bool

	mu   sync.Mutex
	last string // operation on names
}

func (d *mutantDir) did(op string) {
	d.mu.Lock()
	d.last = op
	d.mu.Unlock()
}

func (d *mutantDir) wrap(f backend.File, name string, written int64, err error) (backend.File, error) {
	if err != nil {
		return nil, err
	}
	m := &mutantFile{File: f, m: d.m, written: written}
	if d.m.bug.queue == nil || d.readOnly {
		return m, nil
	}
	flags := os.O_RDWR
	if d.m.direct == posix.DirectOn {
		flags |= unix.O_DIRECT
	}
	m.own, err = os.OpenFile(filepath.Join(d.path, name), flags, 0)
	return m, err
}

func (d *mutantDir) Create(name string, size int64) (backend.File, error) {
	d.did("create")
	f, err := d.Dir.Create(name, size)
	return d.wrap(f, name, 0, err)
}

func (d *mutantDir) Open(name string) (backend.File, error) {
	f, err := d.Dir.Open(name)
	if err != nil {
		return nil, err
	}
	size, err := f.Size()
	return d.wrap(f, name, size, err)
}

func (d *mutantDir) Rename(a, b string) error {
	d.did("rename")
	return d.Dir.Rename(a, b)
}

func (d *mutantDir) Remove(name string) error {
	d.did("remove")
	return d.Dir.Remove(name)
}

func (d *mutantDir) Sync() error {
	if d.m.bug.syncDir == nil {
		return d.Dir.Sync()
	}
	d.mu.Lock()
	last := d.last
	d.mu.Unlock()
	return d.m.bug.syncDir(d, last)
}

func (d *mutantDir) Queue(o backend.QueueOptions) (backend.Queue, error) {
	q, err := d.Dir.Queue(o)
	if err != nil {
		return nil, err
	}
	return &mutantQueue{Queue: q, m: d.m, batches: map[*backend.Batch]inFlight{}}, nil
}

// mutantFile is a file of a mutant. Its own descriptor is for mutants that write themselves.
type mutantFile struct {
	backend.File
	m       *layerMutant
	own     *os.File
	written int64 // how far the file was ever written
	wrote   bool
	late    sync.WaitGroup
}

func (f *mutantFile) Sync() error {
	if f.m.bug.sync != nil {
		return f.m.bug.sync(f)
	}
	return f.File.Sync()
}

func (f *mutantFile) NextData(offset int64) (int64, error) {
	if d, ok := f.File.(backend.DataFinder); ok {
		return d.NextData(offset)
	}
	return offset, nil
}

func (f *mutantFile) Close() error {
	f.late.Wait()
	if f.own != nil {
		f.own.Close()
	}
	return f.File.Close()
}

// mutantQueue gives the real queue the files that it knows.
type mutantQueue struct {
	backend.Queue
	m       *layerMutant
	batches map[*backend.Batch]inFlight
}

// inFlight is what a batch was when it was submitted.
type inFlight struct {
	writes []backend.Write
	files  []backend.File
}

func (q *mutantQueue) Submit(b *backend.Batch) error {
	x := inFlight{writes: b.Writes}
	for i := range b.Writes {
		w := &b.Writes[i]
		if q.m.bug.write != nil {
			q.m.bug.write(w)
		}
		f := w.File.(*mutantFile)
		f.written = max(f.written, w.Offset+int64(len(w.Data)))
		x.files = append(x.files, f)
	}
	if q.m.bug.queue != nil {
		q.m.bug.queue(b)
		b.Writes = nil // the real queue has something to return, and nothing to do
	}
	for i := range b.Writes {
		b.Writes[i].File = x.files[i].(*mutantFile).File
	}
	q.batches[b] = x
	return q.Queue.Submit(b)
}

func (q *mutantQueue) Wait() (*backend.Batch, error) {
	b, err := q.Queue.Wait()
	if b != nil {
		x := q.batches[b]
		delete(q.batches, b)
		b.Writes = x.writes
		for i := range b.Writes {
			b.Writes[i].File = x.files[i]
		}
	}
	return b, err
}
