package conformance

import (
	"os"
	"runtime"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/chronik-go/wal/core/backend"
)

// besideMutants use a descriptor that a Close beside them has given away.
func besideMutants() []mutant {
	const check = "Errors/CloseDuringCalls"
	rename, remove, create, open, dirSync := staleDirs(), staleDirs(), staleDirs(), staleDirs(), staleDirs()
	return []mutant{
		{breaks: "Rename uses a descriptor after its end", check: check, system: true, hooks: hooks{
			closeDir: rename.close,
			rename: func(d *brokenDir, a, b string) error {
				return rename.use(d, func() error { return d.Dir.Rename(a, b) }, func(fd int) error { return unix.Renameat(fd, a, fd, b) })
			}}},
		{breaks: "Remove uses a descriptor after its end", check: check, system: true, hooks: hooks{
			closeDir: remove.close,
			remove: func(d *brokenDir, name string) error {
				return remove.use(d, func() error { return d.Dir.Remove(name) }, func(fd int) error { return unix.Unlinkat(fd, name, 0) })
			}}},
		{breaks: "Create uses a descriptor after its end", check: check, system: true, hooks: hooks{
			closeDir: create.close,
			create: func(d *brokenDir, name string, size int64) (f backend.File, err error) {
				err = create.use(d, func() error { f, err = d.Dir.Create(name, size); return err }, func(fd int) error {
					made, err := unix.Openat(fd, name, unix.O_RDWR|unix.O_CREAT|unix.O_EXCL|unix.O_CLOEXEC, 0o600)
					if err != nil {
						return err
					}
					_ = unix.Close(made) // it was for the name
					f, err = d.Dir.Open(name)
					return err
				})
				return f, err
			}}},
		{breaks: "Open uses a descriptor after its end", check: check, system: true, hooks: hooks{
			closeDir: open.close,
			open: func(d *brokenDir, name string) (f backend.File, err error) {
				err = open.use(d, func() error { f, err = d.Dir.Open(name); return err }, func(fd int) error {
					if err := unix.Faccessat(fd, name, unix.R_OK, 0); err != nil {
						return err
					}
					f, err = d.Dir.Open(name)
					return err
				})
				return f, err
			}}},
		{breaks: "Sync of a Dir uses a descriptor after its end", check: check, system: true, hooks: hooks{
			closeDir: dirSync.close,
			dirSync:  func(d *brokenDir) error { return dirSync.use(d, d.Dir.Sync, unix.Fsync) }}},
	}
}

// stale are descriptors of Dirs that do not count their users.
type stale struct {
	mu  sync.Mutex
	fds map[*brokenDir]int
}

func staleDirs() *stale { return &stale{fds: map[*brokenDir]int{}} }

// use does something by a descriptor, and what is right for a Dir that was closed before.
func (s *stale) use(d *brokenDir, closed func() error, do func(fd int) error) error {
	fd, ok := s.get(d)
	if !ok {
		return closed()
	}
	for range 200 { // time for a Close
		if _, ok := s.get(d); !ok {
			break
		}
		runtime.Gosched()
	}
	return do(fd)
}

// get returns the descriptor of a Dir, unless that is closed.
func (s *stale) get(d *brokenDir) (fd int, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if d.closed {
		return 0, false
	}
	if fd, ok := s.fds[d]; ok {
		return fd, true
	}
	fd, err := unix.Open(d.path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return 0, false
	}
	s.fds[d] = fd
	return fd, true
}

func (s *stale) close(d *brokenDir) error {
	s.mu.Lock()
	fd, ok := s.fds[d]
	delete(s.fds, d)
	d.closed = true
	s.mu.Unlock()
	if ok {
		_ = os.NewFile(uintptr(fd), d.path).Close() // whoever uses it
	}
	return d.Dir.Close()
}
