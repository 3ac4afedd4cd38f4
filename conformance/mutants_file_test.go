package conformance

import (
	"io"
	"io/fs"
	"sync/atomic"

	"github.com/chronik-go/wal/core/backend"
)

func fileMutants() []mutant {
	return []mutant{
		{breaks: "Sync and ReadAt do not go together", check: "File/ConcurrentUse", hooks: syncMutant()},
		{breaks: "the end of a file is no error", check: "File/ReadAtFollowsReaderAt", hooks: hooks{
			readAt: func(f *brokenFile, p []byte, off int64) (int, error) {
				n, err := f.File.ReadAt(p, off)
				if err == io.EOF { //nolint:errorlint // as the backend returns it
					err = nil
				}
				return n, err
			}}},
		{breaks: "reads are as old as the first one", check: "File/ReadsSeeWrites", hooks: hooks{readAt: staleRead}},
		{breaks: "reads are wrong while a write is in flight", check: "File/ReadsDuringWrites", hooks: tornMutant()},
		{breaks: "a size is as old as the File", check: "File/SizeIsShared", hooks: hooks{
			size: func(f *brokenFile) (int64, error) {
				f.mu.Lock()
				defer f.mu.Unlock()
				if f.virtual == 0 {
					n, err := f.File.Size()
					f.virtual = n
					return n, err
				}
				return f.virtual, nil
			},
			resize: func(f *brokenFile, size int64) error {
				f.mu.Lock()
				defer f.mu.Unlock()
				f.virtual = size
				return f.File.Resize(size)
			}}},
		{breaks: "what was cut off comes back", check: "File/ResizeCutsAndZeros", hooks: uncutMutant()},
		{breaks: "a file grows without space", check: "File/ResizeReserves", hooks: hooks{
			resize: func(f *brokenFile, size int64) error {
				if err := f.File.Resize(size); err != nil && size < 1<<50 {
					return nil
				}
				return f.File.Resize(size)
			}}},
		{breaks: "Sync refuses a file of a read-only Dir", check: "File/ReadOnlySync", hooks: hooks{
			fileSync: func(f *brokenFile) error {
				if f.dir.o.ReadOnly {
					return fs.ErrPermission
				}
				return f.File.Sync()
			}}},
		{breaks: "NextData passes over a block", check: "File/NextDataPassesZeros", hooks: hooks{
			nextData: func(f *brokenFile, off int64) (int64, error) {
				n, err := f.File.(backend.DataFinder).NextData(off)
				if off == 3*block {
					n += block
				}
				return n, err
			}}},
		{breaks: "space is not reserved", check: "Dir/CreateReserves", hooks: sparseMutant()},
		{breaks: "a closed File is read", check: "Errors/CloseDuringCalls", hooks: hooks{
			readAt: func(f *brokenFile, p []byte, off int64) (int, error) {
				f.mu.Lock()
				defer f.mu.Unlock()
				if f.closed {
					clear(p)
					return len(p), nil
				}
				return f.File.ReadAt(p, off)
			},
			closeFile: func(f *brokenFile) error {
				f.mu.Lock()
				defer f.mu.Unlock()
				f.closed = true
				return f.File.Close()
			}}},
		{breaks: "Close of a File leaves a descriptor", check: "Errors/CloseLeavesNothing", system: true, hooks: hooks{
			closeFile: func(f *brokenFile) error {
				leakDescriptor(f.dir.path)
				return f.File.Close()
			}}},
		{breaks: "a closed File is closed again", check: "Errors/ClosedIsClosed", hooks: hooks{
			closeFile: func(f *brokenFile) error {
				_ = f.File.Close() // whatever it says
				return nil
			}}},
	}
}

// syncMutant has a ReadAt that fails while a Sync is under way.
func syncMutant() hooks {
	var o overlap
	return hooks{
		fileSync: func(f *brokenFile) error {
			o.begin()
			defer o.end()
			return f.File.Sync()
		},
		readAt: func(f *brokenFile, p []byte, off int64) (int, error) {
			if o.meets() {
				return 0, io.ErrNoProgress
			}
			return f.File.ReadAt(p, off)
		},
	}
}

// staleRead reads a file once, and then from memory.
func staleRead(f *brokenFile, p []byte, off int64) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.cache == nil {
		size, err := f.File.Size()
		if err != nil {
			return 0, err
		}
		f.cache = make([]byte, size)
		if _, err := f.File.ReadAt(f.cache, 0); err != nil {
			return 0, err
		}
	}
	n := copy(p, f.cache[min(off, int64(len(f.cache))):])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// tornMutant reads something else while a write is in flight.
func tornMutant() hooks {
	var flying atomic.Int32
	return hooks{
		submit: func(q *brokenQueue, b *backend.Batch) error {
			flying.Add(1)
			return q.submitInside(b)
		},
		wait: func(q *brokenQueue) (*backend.Batch, error) {
			b, err := q.waitInside()
			flying.Add(-1)
			return b, err
		},
		readAt: func(f *brokenFile, p []byte, off int64) (int, error) {
			n, err := f.File.ReadAt(p, off)
			if flying.Load() > 0 {
				clear(p[:n])
			}
			return n, err
		},
	}
}

// uncutMutant makes a file shorter by name only.
func uncutMutant() hooks {
	return hooks{
		size: func(f *brokenFile) (int64, error) {
			size, err := f.File.Size()
			if f.virtual > 0 {
				size = f.virtual
			}
			return size, err
		},
		resize: func(f *brokenFile, size int64) error {
			old, err := f.File.Size()
			if err == nil && size <= old && size > 0 {
				f.virtual = size
				return nil
			}
			f.virtual = 0
			return f.File.Resize(size)
		},
	}
}

// sparseMutant makes files that are longer than they take space.
func sparseMutant() hooks {
	return hooks{
		create: func(d *brokenDir, name string, _ int64) (backend.File, error) { return d.Dir.Create(name, 0) },
		size:   func(f *brokenFile) (int64, error) { return 4 << 20, nil },
		submit: func(q *brokenQueue, b *backend.Batch) error {
			for i := range b.Writes {
				w := &b.Writes[i]
				f := w.File.(*brokenFile)
				size, err := f.File.Size()
				if end := w.Offset + int64(len(w.Data)); err == nil && end > size {
					err = f.File.Resize(end)
				}
				if err != nil {
					return err
				}
			}
			return q.submitInside(b)
		},
	}
}
