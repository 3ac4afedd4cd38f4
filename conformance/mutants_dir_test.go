package conformance

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
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
		{breaks: "who is second to make a directory fails", check: "Backend/ConcurrentUse", system: true, hooks: hooks{
			openDir: func(b *brokenBackend, path string, o backend.DirOptions) (backend.Dir, error) {
				if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) && o.Create {
					runtime.Gosched()
					if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.Mkdir(path, 0o700)); err != nil {
						return nil, err
					}
				}
				return b.openInside(path, o)
			}}},
		{breaks: "the lock excludes nobody", check: "Dir/LockExcludes", hooks: hooks{
			lock: func(*brokenDir) error { return nil }}},
		{breaks: "Lock waits", check: "Dir/LockExcludes", hooks: hooks{
			lock: func(d *brokenDir) (err error) {
				for err = d.Dir.Lock(); errors.Is(err, backend.ErrLocked); err = d.Dir.Lock() {
					runtime.Gosched()
				}
				return err
			}}},
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

// concurrencyMutant has a List that fails while a Create is under way.
func concurrencyMutant() hooks {
	var creating atomic.Int32
	return hooks{
		create: func(d *brokenDir, name string, size int64) (backend.File, error) {
			creating.Add(1)
			defer creating.Add(-1)
			for range 50 {
				runtime.Gosched()
			}
			return d.Dir.Create(name, size)
		},
		list: func(d *brokenDir) ([]string, error) {
			if creating.Load() > 0 {
				return nil, io.ErrNoProgress
			}
			return d.Dir.List()
		},
	}
}

func nameMutants() []mutant {
	return []mutant{
		{breaks: "List leaves out an entry", check: "Dir/ListIsComplete", hooks: hooks{
			list: func(d *brokenDir) ([]string, error) {
				names, err := d.Dir.List()
				if len(names) > 500 {
					names = names[:len(names)-1]
				}
				return names, err
			}}},
		{breaks: "Create takes a file that is there", check: "Dir/CreateIsExclusive", hooks: hooks{
			create: func(d *brokenDir, name string, size int64) (backend.File, error) {
				f, err := d.Dir.Create(name, size)
				if errors.Is(err, fs.ErrExist) {
					return d.Dir.Open(name)
				}
				return f, err
			}}},
		{breaks: "a new file is longer than asked for", check: "Dir/CreateReadsAsZeros", hooks: hooks{
			create: func(d *brokenDir, name string, size int64) (backend.File, error) { return d.Dir.Create(name, size+1) }}},
		{breaks: "files may be read by everybody", check: "Dir/CreateIsPrivate", system: true, hooks: hooks{
			create: func(d *brokenDir, name string, size int64) (backend.File, error) {
				f, err := d.Dir.Create(name, size)
				if err != nil {
					return nil, err
				}
				return f, os.Chmod(filepath.Join(d.path, name), 0o644)
			}}},
		{breaks: "a file without space stays", check: "Dir/CreateWithoutSpace", hooks: hooks{
			create: func(d *brokenDir, name string, size int64) (backend.File, error) {
				f, err := d.Dir.Create(name, size)
				if err == nil {
					return f, nil
				}
				if left, leftErr := d.Dir.Create(name, 0); leftErr == nil {
					_ = left.Close() // it is there
				}
				return nil, err
			}}},
		{breaks: "lack of space has another error", check: "Dir/CreateWithoutSpace", hooks: hooks{
			create: func(d *brokenDir, name string, size int64) (backend.File, error) {
				f, err := d.Dir.Create(name, size)
				if err != nil && size > 1<<20 {
					err = io.ErrShortWrite
				}
				return f, err
			}}},
		{breaks: "Open follows links", check: "Dir/OpenRefusesOtherKinds", system: true, hooks: hooks{
			open: func(d *brokenDir, name string) (backend.File, error) {
				if to, err := os.Readlink(filepath.Join(d.path, name)); err == nil {
					name = to
				}
				return d.Dir.Open(name)
			}}},
		{breaks: "Open makes what is missing", check: "Dir/OpenGivesTheFile", hooks: hooks{
			open: func(d *brokenDir, name string) (backend.File, error) {
				f, err := d.Dir.Open(name)
				if errors.Is(err, fs.ErrNotExist) {
					return d.Dir.Create(name, 0)
				}
				return f, err
			}}},
		{breaks: "Rename does not replace", check: "Dir/RenameReplaces", hooks: hooks{
			rename: func(d *brokenDir, oldname, newname string) error {
				if f, err := d.Dir.Open(newname); err == nil {
					return errors.Join(fs.ErrExist, f.Close())
				}
				return d.Dir.Rename(oldname, newname)
			}}},
		{breaks: "Rename takes the other file away first", check: "Dir/RenameIsAtomic", hooks: hooks{
			rename: func(d *brokenDir, oldname, newname string) error {
				if err := d.Dir.Remove(newname); err != nil {
					return err
				}
				for range 50 {
					runtime.Gosched()
				}
				return d.Dir.Rename(oldname, newname)
			}}},
		{breaks: "Rename cuts the file that it replaces", check: "Dir/RenameKeepsFilesOpen", hooks: hooks{
			rename: func(d *brokenDir, oldname, newname string) error {
				return errors.Join(cut(d, newname), d.Dir.Rename(oldname, newname))
			}}},
		{breaks: "Remove of what is missing succeeds", check: "Dir/RemoveFreesTheName", hooks: hooks{
			remove: func(d *brokenDir, name string) error {
				if err := d.Dir.Remove(name); !errors.Is(err, fs.ErrNotExist) {
					return err
				}
				return nil
			}}},
		{breaks: "Remove cuts the file", check: "Dir/RemoveKeepsFilesOpen", hooks: hooks{
			remove: func(d *brokenDir, name string) error { return errors.Join(cut(d, name), d.Dir.Remove(name)) }}},
		{breaks: "a backslash is taken for something else", check: "Errors/Names", hooks: hooks{
			create: func(d *brokenDir, name string, size int64) (backend.File, error) {
				return d.Dir.Create(strings.ReplaceAll(name, `\`, "_"), size)
			}}},
		{breaks: "errors lose their cause", check: "Errors/CausesAreKept", hooks: hooks{
			remove: func(d *brokenDir, name string) error {
				if err := d.Dir.Remove(name); err != nil {
					return errors.New(err.Error())
				}
				return nil
			}}},
		{breaks: "a negative size is taken for none", check: "Errors/NegativeNumbers", hooks: hooks{
			create: func(d *brokenDir, name string, size int64) (backend.File, error) {
				return d.Dir.Create(name, max(size, 0))
			}}},
	}
}

// cut makes a file empty, if there is one.
func cut(d *brokenDir, name string) error {
	f, err := d.Dir.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return errors.Join(f.Resize(0), f.Close())
}
