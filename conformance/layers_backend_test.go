//go:build linux && !386 && !arm

package conformance

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"golang.org/x/sys/unix"

	posix "github.com/chronik-go/wal/backend-posix"
	"github.com/chronik-go/wal/core/backend"
)

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

// changes are the paths of the directories and files that mutants of this process have changed.
var changes sync.Map

func changedHere(path string) bool {
	_, ok := changes.Load(path)
	return ok
}

func (d *mutantDir) did(op string) {
	changes.Store(d.path, true)
	d.mu.Lock()
	d.last = op
	d.mu.Unlock()
}

func (d *mutantDir) wrap(f backend.File, name string, written int64, err error) (backend.File, error) {
	if err != nil {
		return nil, err
	}
	m := &mutantFile{File: f, m: d.m, path: filepath.Join(d.path, name), written: written}
	if d.m.bug.queue == nil && d.m.bug.deep == nil || d.readOnly {
		return m, nil
	}
	flags := os.O_RDWR
	if d.m.direct == posix.DirectOn {
		flags |= unix.O_DIRECT
	}
	m.own, err = reopen(f, flags)
	return m, err
}

// reopen opens a file once more: the file itself, wherever it is by now.
func reopen(f backend.File, flags int) (*os.File, error) {
	p := f.(posix.File)
	if err := p.Use(); err != nil {
		return nil, err
	}
	defer p.Done()
	fd, _ := p.Descriptors()
	return os.OpenFile(fmt.Sprintf("/proc/self/fd/%d", fd), flags, 0)
}

func (d *mutantDir) Create(name string, size int64) (backend.File, error) {
	d.did("create")
	if extend := d.m.bug.extend; extend != nil && size > 0 {
		f, err := d.Dir.Create(name, 0)
		if err == nil {
			err = extend(f, size)
		}
		return d.wrap(f, name, 0, err)
	}
	f, err := d.Dir.Create(name, size)
	changes.Store(filepath.Join(d.path, name), true)
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
	changes.Store(filepath.Join(d.path, b), true)
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
	unsynced := d.m.bug.unsynced != nil && d.m.bug.unsynced(o)
	return &mutantQueue{Queue: q, m: d.m, batches: map[*backend.Batch]*backend.Batch{}, unsynced: unsynced}, nil
}

// mutantFile is a file of a mutant. Its own descriptor is for mutants that write themselves.
type mutantFile struct {
	backend.File
	m       *layerMutant
	path    string
	own     *os.File
	written int64 // how far the file was ever written
	wrote   bool
	failed  error // for a mutant that keeps the first failure of a sync
	late    sync.WaitGroup
}

func (f *mutantFile) Resize(size int64) error {
	if extend := f.m.bug.extend; extend != nil {
		if old, err := f.Size(); err != nil || size > old {
			return errors.Join(err, extend(f.File, size))
		}
	}
	changes.Store(f.path, true)
	return f.File.Resize(size)
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
	m        *layerMutant
	batches  map[*backend.Batch]*backend.Batch // those outside, by those that the real queue has
	unsynced bool
	held     []*backend.Batch // of a mutant with deep: they are carried out
}

func (q *mutantQueue) Limits() backend.Limits {
	l := q.Queue.Limits()
	if q.m.bug.deep != nil {
		l.Depth = 4
	}
	return l
}

func (q *mutantQueue) Submit(b *backend.Batch) error {
	if q.m.bug.deep != nil {
		q.m.bug.deep(b, len(q.held))
		q.held = append(q.held, b)
		return nil
	}
	inside := &backend.Batch{Writes: slices.Clone(b.Writes)}
	for i := range inside.Writes {
		w := &inside.Writes[i]
		if q.m.bug.write != nil {
			q.m.bug.write(w)
		}
		w.Sync = w.Sync && !q.unsynced
		f := w.File.(*mutantFile)
		if len(w.Data) > 0 {
			changes.Store(f.path, true)
		}
		f.written = max(f.written, w.Offset+int64(len(w.Data)))
	}
	if q.m.bug.queue != nil {
		q.m.bug.queue(inside)
		for i := range b.Writes {
			b.Writes[i].Err = inside.Writes[i].Err
		}
		inside.Writes = nil // the real queue has something to return, and nothing to do
	}
	for i := range inside.Writes {
		w := &inside.Writes[i]
		w.File = w.File.(*mutantFile).File
	}
	if err := q.Queue.Submit(inside); err != nil {
		return err
	}
	q.batches[inside] = b
	return nil
}

func (q *mutantQueue) Wait() (*backend.Batch, error) {
	if len(q.held) > 0 {
		b := q.held[0]
		q.held = q.held[1:]
		return b, nil
	}
	inside, err := q.Queue.Wait()
	if inside == nil {
		return nil, err
	}
	b := q.batches[inside]
	delete(q.batches, inside)
	b.Err = inside.Err
	for i := range inside.Writes {
		b.Writes[i].Err = inside.Writes[i].Err
	}
	return b, err
}
