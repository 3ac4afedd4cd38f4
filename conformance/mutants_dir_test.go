package conformance

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"sync/atomic"

	"github.com/chronik-go/wal/core/backend"
)

// leaked is what mutants leave behind.
var leaked []*os.File

func leakDescriptor(path string) {
	f, _ := os.Open(path) // a mutant may fail to leak
	leaked = append(leaked, f)
}

func leakGoroutine() { go func() { select {} }() }

func dirMutants() []mutant { return append(openMutants(), nameMutants()...) }

func openMutants() []mutant {
	return []mutant{
		{breaks: "OpenDir makes what is missing without being asked", check: "Backend/OpenDirNeedsTheDirectory", hooks: hooks{
			openDir: func(b *brokenBackend, path string, o backend.DirOptions) (backend.Dir, error) {
				o.Create = true
				return b.openInside(path, o)
			}}},
		{breaks: "directories are open to everybody", check: "Backend/OpenDirMakesAllLevels", system: true, hooks: hooks{
			openDir: func(b *brokenBackend, path string, o backend.DirOptions) (backend.Dir, error) {
				d, err := b.openInside(path, o)
				if o.Create {
					err = errors.Join(err, os.Chmod(path, 0o755))
				}
				return d, err
			}}},
		{breaks: "OpenDir refuses links", check: "Backend/OpenDirFollowsLinks", system: true, hooks: hooks{
			openDir: func(b *brokenBackend, path string, o backend.DirOptions) (backend.Dir, error) {
				if fi, err := os.Lstat(path); err == nil && fi.Mode()&fs.ModeSymlink != 0 {
					return nil, fs.ErrInvalid
				}
				return b.openInside(path, o)
			}}},
		{breaks: "OpenDir of a file opens what is above", check: "Backend/OpenDirRefusesFiles", system: true, hooks: hooks{
			openDir: func(b *brokenBackend, path string, o backend.DirOptions) (backend.Dir, error) {
				if fi, err := os.Stat(path); err == nil && !fi.IsDir() {
					path = filepath.Dir(path)
				}
				return b.openInside(path, o)
			}}},
		{breaks: "every Create goes by the path", check: "Backend/DirSurvivesItsPath", system: true, hooks: hooks{
			create: func(d *brokenDir, name string, size int64) (backend.File, error) {
				by, err := d.b.Backend.OpenDir(d.path, d.o)
				if err != nil {
					return nil, err
				}
				f, err := by.Create(name, size)
				if err != nil {
					return nil, errors.Join(err, by.Close())
				}
				return f, nil
			}}},
		{breaks: "a read-only OpenDir makes the directory", check: "Backend/ReadOnlyMakesNothing", hooks: hooks{
			openDir: func(b *brokenBackend, path string, o backend.DirOptions) (backend.Dir, error) {
				o.ReadOnly = o.ReadOnly && !o.Create
				return b.openInside(path, o)
			}}},
		{breaks: "a read-only Dir takes changes", check: "Backend/ReadOnlyRefusesChanges", hooks: hooks{
			openDir: func(b *brokenBackend, path string, o backend.DirOptions) (backend.Dir, error) {
				o.ReadOnly = false
				return b.openInside(path, o)
			}}},
		{breaks: "who is second to make a directory fails", check: "Backend/ConcurrentUse", system: true, hooks: secondMutant()},
		{breaks: "the lock excludes nobody", check: "Dir/LockExcludes", hooks: hooks{
			lock: func(*brokenDir) error { return nil }}},
		{breaks: "Lock waits", check: "Dir/LockExcludes", hooks: hooks{
			lock: func(d *brokenDir) (err error) {
				for err = d.Dir.Lock(); errors.Is(err, backend.ErrLocked); err = d.Dir.Lock() {
					runtime.Gosched()
				}
				return err
			}}},
		{breaks: "two that ask at the same time get the lock", check: "Dir/LockExcludes", hooks: innerLock(true)},
		{breaks: "the lock is in the way of who holds it", check: "Dir/LockAgain", hooks: hooks{
			lock: func(d *brokenDir) error {
				if d.locked {
					return backend.ErrLocked
				}
				d.locked = true
				return d.Dir.Lock()
			}}},
		{breaks: "the lock outlives its Dir", check: "Dir/LockEnds", hooks: hooks{
			closeDir: func(*brokenDir) error { return nil }}},
		{breaks: "the lock is a file", check: "Dir/LockHindersNobody", hooks: hooks{
			lock: func(d *brokenDir) error {
				f, err := d.Dir.Create("LOCK", 0)
				if err != nil {
					return backend.ErrLocked
				}
				return f.Close()
			}}},
		{breaks: "Create and List do not go together", check: "Dir/ConcurrentUse", hooks: concurrencyMutant()},
		{breaks: "Sync refuses a read-only Dir", check: "Dir/ReadOnlySync", hooks: hooks{
			dirSync: func(d *brokenDir) error {
				if d.o.ReadOnly {
					return fs.ErrPermission
				}
				return d.Dir.Sync()
			}}},
		{breaks: "a second Close of a Dir succeeds", check: "Errors/ClosedIsClosed", hooks: hooks{
			closeDir: func(d *brokenDir) error {
				if d.closed {
					return nil
				}
				d.closed = true
				return d.Dir.Close()
			}}},
		{breaks: "a failed Open leaves a goroutine", check: "Errors/FailuresLeaveNothing", hooks: hooks{
			open: func(d *brokenDir, name string) (backend.File, error) {
				f, err := d.Dir.Open(name)
				if err != nil {
					leakGoroutine()
				}
				return f, err
			}}},
		{breaks: "a failed Create leaves a descriptor", check: "Errors/FailuresLeaveNothing", system: true, hooks: hooks{
			create: func(d *brokenDir, name string, size int64) (backend.File, error) {
				f, err := d.Dir.Create(name, size)
				if err != nil {
					leakDescriptor(d.path)
				}
				return f, err
			}}},
	}
}

// overlap is of two calls: one that is open for the other, and waits for it.
type overlap struct{ open, came atomic.Int64 }

// begin waits a while for the other call to come.
func (o *overlap) begin() {
	o.open.Add(1)
	before := o.came.Load()
	for i := 0; i < 10_000 && o.came.Load() == before; i++ {
		runtime.Gosched()
	}
}

func (o *overlap) end() { o.open.Add(-1) }

// meets is called by the other one: it says whether the first is under way.
func (o *overlap) meets() bool {
	o.came.Add(1)
	return o.open.Load() > 0
}

// concurrencyMutant has a List that fails while a Create is under way.
func concurrencyMutant() hooks {
	var o overlap
	return hooks{
		create: func(d *brokenDir, name string, size int64) (backend.File, error) {
			o.begin()
			defer o.end()
			return d.Dir.Create(name, size)
		},
		list: func(d *brokenDir) ([]string, error) {
			if o.meets() {
				return nil, io.ErrNoProgress
			}
			return d.Dir.List()
		},
	}
}

// secondMutant makes a directory in two steps.
func secondMutant() hooks {
	var both overlap
	return hooks{
		openDir: func(b *brokenBackend, path string, o backend.DirOptions) (backend.Dir, error) {
			if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) && o.Create {
				both.meets()
				both.begin()
				defer both.end()
				if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.Mkdir(path, 0o700)); err != nil {
					return nil, err
				}
			}
			return b.openInside(path, o)
		},
	}
}
