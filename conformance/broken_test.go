package conformance

import (
	"errors"
	"io"
	"io/fs"
	"sync"

	"github.com/chronik-go/wal/core/backend"
)

// hooks replace methods of a backend, each called instead of it with what is inside. One that
// is nil leaves its method as it is.
type hooks struct {
	openDir func(b *brokenBackend, path string, o backend.DirOptions) (backend.Dir, error)

	lock     func(d *brokenDir) error
	list     func(d *brokenDir) ([]string, error)
	create   func(d *brokenDir, name string, size int64) (backend.File, error)
	open     func(d *brokenDir, name string) (backend.File, error)
	rename   func(d *brokenDir, oldname, newname string) error
	remove   func(d *brokenDir, name string) error
	dirSync  func(d *brokenDir) error
	closeDir func(d *brokenDir) error

	readAt    func(f *brokenFile, p []byte, off int64) (int, error)
	size      func(f *brokenFile) (int64, error)
	resize    func(f *brokenFile, size int64) error
	fileSync  func(f *brokenFile) error
	nextData  func(f *brokenFile, off int64) (int64, error)
	view      func(f *brokenFile, off int64, n int, look func(data []byte)) error
	closeFile func(f *brokenFile) error

	limits     func(q *brokenQueue) backend.Limits
	buffer     func(q *brokenQueue, size int) (*backend.Buffer, error)
	release    func(q *brokenQueue, b *backend.Buffer)
	submit     func(q *brokenQueue, b *backend.Batch) error
	wait       func(q *brokenQueue) (*backend.Batch, error)
	wake       func(q *brokenQueue)
	closeQueue func(q *brokenQueue) error
}

// brokenBackend is a backend with hooks.
type brokenBackend struct {
	backend.Backend
	h hooks

	mu     sync.Mutex
	files  map[backend.File]*brokenFile // by what is inside
	queues []*brokenQueue
}

func (b *brokenBackend) OpenDir(path string, o backend.DirOptions) (backend.Dir, error) {
	if b.h.openDir != nil {
		return b.h.openDir(b, path, o)
	}
	return b.openInside(path, o)
}

// openInside opens without the hook.
func (b *brokenBackend) openInside(path string, o backend.DirOptions) (backend.Dir, error) {
	d, err := b.Backend.OpenDir(path, o)
	if err != nil {
		return nil, err
	}
	return &brokenDir{Dir: d, b: b, path: path, o: o}, nil
}

// brokenDir is a Dir with hooks.
type brokenDir struct {
	backend.Dir
	b    *brokenBackend
	path string
	o    backend.DirOptions

	// For hooks.
	locked, closed bool
	lockFD         int
}

// wrap gives a File hooks.
func (d *brokenDir) wrap(f backend.File, err error) (backend.File, error) {
	if err != nil {
		return nil, err
	}
	w := &brokenFile{File: f, dir: d}
	d.b.mu.Lock()
	defer d.b.mu.Unlock()
	d.b.files[f] = w
	return w, nil
}

func (d *brokenDir) Lock() error {
	if h := d.b.h.lock; h != nil {
		return h(d)
	}
	return d.Dir.Lock()
}

func (d *brokenDir) List() ([]string, error) {
	if h := d.b.h.list; h != nil {
		return h(d)
	}
	return d.Dir.List()
}

func (d *brokenDir) Create(name string, size int64) (backend.File, error) {
	if h := d.b.h.create; h != nil {
		return d.wrap(h(d, name, size))
	}
	return d.wrap(d.Dir.Create(name, size))
}

func (d *brokenDir) Open(name string) (backend.File, error) {
	if h := d.b.h.open; h != nil {
		return d.wrap(h(d, name))
	}
	return d.wrap(d.Dir.Open(name))
}

func (d *brokenDir) Rename(oldname, newname string) error {
	if h := d.b.h.rename; h != nil {
		return h(d, oldname, newname)
	}
	return d.Dir.Rename(oldname, newname)
}

func (d *brokenDir) Remove(name string) error {
	if h := d.b.h.remove; h != nil {
		return h(d, name)
	}
	return d.Dir.Remove(name)
}

func (d *brokenDir) Sync() error {
	if h := d.b.h.dirSync; h != nil {
		return h(d)
	}
	return d.Dir.Sync()
}

func (d *brokenDir) Queue(o backend.QueueOptions) (backend.Queue, error) {
	q, err := d.Dir.Queue(o)
	if err != nil {
		return nil, err
	}
	w := &brokenQueue{Queue: q, b: d.b}
	d.b.queues = append(d.b.queues, w)
	return w, nil
}

func (d *brokenDir) Close() error {
	if h := d.b.h.closeDir; h != nil {
		return h(d)
	}
	return d.Dir.Close()
}

// brokenFile is a File with hooks.
type brokenFile struct {
	backend.File
	dir *brokenDir

	// For hooks.
	mu      sync.Mutex
	cache   []byte
	virtual int64
	closed  bool
}

func (f *brokenFile) ReadAt(p []byte, off int64) (int, error) {
	if h := f.dir.b.h.readAt; h != nil {
		return h(f, p, off)
	}
	return f.File.ReadAt(p, off)
}

func (f *brokenFile) Size() (int64, error) {
	if h := f.dir.b.h.size; h != nil {
		return h(f)
	}
	return f.File.Size()
}

func (f *brokenFile) Resize(size int64) error {
	if h := f.dir.b.h.resize; h != nil {
		return h(f, size)
	}
	return f.File.Resize(size)
}

func (f *brokenFile) Sync() error {
	if h := f.dir.b.h.fileSync; h != nil {
		return h(f)
	}
	return f.File.Sync()
}

func (f *brokenFile) NextData(off int64) (int64, error) {
	if h := f.dir.b.h.nextData; h != nil {
		return h(f, off)
	}
	return f.File.(backend.DataFinder).NextData(off)
}

// View shows a copy where what is inside is no Viewer.
func (f *brokenFile) View(off int64, n int, look func(data []byte)) error {
	if h := f.dir.b.h.view; h != nil {
		return h(f, off, n, look)
	}
	if v, ok := f.File.(backend.Viewer); ok {
		return v.View(off, n, look)
	}
	if n < 0 {
		return fs.ErrInvalid
	}
	p := make([]byte, n)
	if read, err := f.File.ReadAt(p, off); read < n || read == 0 && err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	look(p)
	return nil
}

func (f *brokenFile) Close() error {
	if h := f.dir.b.h.closeFile; h != nil {
		return h(f)
	}
	return f.File.Close()
}

// brokenQueue is a Queue with hooks.
type brokenQueue struct {
	backend.Queue
	b *brokenBackend

	// For hooks.
	mu     sync.Mutex
	count  int
	closed bool
	held   []*backend.Batch
	last   *backend.Batch
	buf    *backend.Buffer
	errs   []error
}

func (q *brokenQueue) Limits() backend.Limits {
	if h := q.b.h.limits; h != nil {
		return h(q)
	}
	return q.Queue.Limits()
}

func (q *brokenQueue) Buffer(size int) (*backend.Buffer, error) {
	if h := q.b.h.buffer; h != nil {
		return h(q, size)
	}
	return q.Queue.Buffer(size)
}

func (q *brokenQueue) Release(b *backend.Buffer) {
	if h := q.b.h.release; h != nil {
		h(q, b)
		return
	}
	q.Queue.Release(b)
}

func (q *brokenQueue) Submit(b *backend.Batch) error {
	if h := q.b.h.submit; h != nil {
		return h(q, b)
	}
	return q.submitInside(b)
}

// submitInside submits to the queue inside, which knows the files inside.
func (q *brokenQueue) submitInside(b *backend.Batch) error {
	for i := range b.Writes {
		if f, ok := b.Writes[i].File.(*brokenFile); ok {
			b.Writes[i].File = f.File
		}
	}
	err := q.Queue.Submit(b)
	if err != nil {
		q.restore(b)
	}
	return err
}

// restore undoes what submitInside did to the batch.
func (q *brokenQueue) restore(b *backend.Batch) {
	if b == nil {
		return
	}
	q.b.mu.Lock()
	defer q.b.mu.Unlock()
	for i := range b.Writes {
		if f := q.b.files[b.Writes[i].File]; f != nil {
			b.Writes[i].File = f
		}
	}
}

func (q *brokenQueue) Wait() (*backend.Batch, error) {
	if h := q.b.h.wait; h != nil {
		return h(q)
	}
	return q.waitInside()
}

func (q *brokenQueue) waitInside() (*backend.Batch, error) {
	b, err := q.Queue.Wait()
	q.restore(b)
	return b, err
}

func (q *brokenQueue) Wake() {
	if h := q.b.h.wake; h != nil {
		h(q)
		return
	}
	q.Queue.Wake()
}

func (q *brokenQueue) Close() error {
	if h := q.b.h.closeQueue; h != nil {
		return h(q)
	}
	return q.Queue.Close()
}
