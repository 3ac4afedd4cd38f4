package conformance

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"sync"

	"github.com/chronik-go/wal/core/backend"
)

// apartMutants are found by what checks do in processes of their own.
func apartMutants() []mutant {
	if os.Geteuid() != 0 || !hasModes {
		return nil
	}
	list := []mutant{
		{breaks: "files are sparse", check: "Dir/CreateReserves", system: true, hooks: hooks{
			create: func(d *brokenDir, name string, size int64) (backend.File, error) {
				f, err := d.Dir.Create(name, 0)
				if err != nil {
					return nil, err
				}
				return f, os.Truncate(filepath.Join(d.path, name), size)
			}}},
		{breaks: "a failed write is passed over", check: "Queue/ShortWrites", system: true, hooks: hooks{
			wait: func(q *brokenQueue) (*backend.Batch, error) {
				b, err := q.waitInside()
				if b != nil {
					for i := range b.Writes {
						b.Writes[i].Err = nil
					}
				}
				return b, err
			}}},
		{breaks: "the error of a write is at another one", check: "Queue/ShortWrites", system: true, hooks: hooks{
			wait: func(q *brokenQueue) (*backend.Batch, error) {
				b, err := q.waitInside()
				if b != nil && len(b.Writes) > 1 {
					first, last := &b.Writes[0], &b.Writes[len(b.Writes)-1]
					first.Err, last.Err = last.Err, first.Err
				}
				return b, err
			}}},
		{breaks: "the umask has its way with files", check: "Dir/CreateIsPrivate", system: true, hooks: hooks{
			create: func(d *brokenDir, name string, _ int64) (backend.File, error) {
				f, err := os.OpenFile(filepath.Join(d.path, name), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
				if err != nil {
					return nil, err
				}
				_ = f.Close() // it was for the name
				return d.Dir.Open(name)
			}}},
		{breaks: "the umask has its way with directories", check: "Backend/OpenDirMakesAllLevels", system: true, hooks: hooks{
			openDir: func(b *brokenBackend, path string, o backend.DirOptions) (backend.Dir, error) {
				if o.Create {
					if err := os.MkdirAll(path, 0o700); err != nil {
						return nil, err
					}
				}
				return b.openInside(path, o)
			}}},
		{breaks: "a refusal of the system loses its cause", check: "Errors/CausesAreKept", system: true, hooks: hooks{
			open: func(d *brokenDir, name string) (backend.File, error) {
				f, err := d.Dir.Open(name)
				if errors.Is(err, fs.ErrPermission) {
					err = errors.New(err.Error())
				}
				return f, err
			}}},
		{breaks: "a file of a read-only Dir is opened for writing", check: "Backend/ReadOnlyRefusesChanges", system: true, hooks: hooks{
			open: func(d *brokenDir, name string) (backend.File, error) {
				if fi, err := os.Lstat(filepath.Join(d.path, name)); err == nil && fi.Mode().IsRegular() {
					f, err := os.OpenFile(filepath.Join(d.path, name), os.O_RDWR, 0)
					if err != nil {
						return nil, err
					}
					_ = f.Close() // it was for the permission
				}
				return d.Dir.Open(name)
			}}},
		{breaks: "the lock is known in one process only", check: "Dir/LockExcludes", system: true, hooks: innerLock(false)},
		{breaks: "the lock outlives a process that is killed", check: "Dir/LockEnds", system: true, hooks: lockFile()},
	}
	if lockInherited.lock != nil {
		list = append(list, mutant{breaks: "child processes inherit the lock", check: "Dir/LockEnds", system: true, hooks: lockInherited})
	}
	return list
}

// lockInherited is a lock on a descriptor that child processes inherit.
var lockInherited hooks

// innerLock is a lock that other processes do not see. A hasty one lets others in between the look
// whether it is free and the taking.
func innerLock(hasty bool) hooks {
	var mu sync.Mutex
	holders := map[string]*brokenDir{}
	return hooks{
		lock: func(d *brokenDir) error {
			mu.Lock()
			defer mu.Unlock()
			by := holders[d.path]
			if hasty {
				mu.Unlock()
				runtime.Gosched()
				mu.Lock()
			}
			if by != nil && by != d {
				return backend.ErrLocked
			}
			holders[d.path] = d
			return nil
		},
		closeDir: func(d *brokenDir) error {
			mu.Lock()
			defer mu.Unlock()
			if holders[d.path] == d {
				delete(holders, d.path)
			}
			return d.Dir.Close()
		},
	}
}

// lockFile is a lock whose file stays until it is removed.
func lockFile() hooks {
	return hooks{
		lock: func(d *brokenDir) error {
			f, err := d.Dir.Create("LOCK", 0)
			if err != nil {
				return backend.ErrLocked
			}
			d.locked = true
			return f.Close()
		},
		closeDir: func(d *brokenDir) error {
			if d.locked {
				_ = d.Dir.Remove("LOCK") // else it is closed already
				d.locked = false
			}
			return d.Dir.Close()
		},
	}
}
