package conformance

import (
	"os"
	"path"
	"path/filepath"
	"runtime"

	"github.com/stretchr/testify/require"
)

// Machine is where a backend's paths lead if that is not the operating system's file system.
// A simulated backend that implements it is checked there, but for what only processes and
// permissions show. Its paths are slash-separated and start at "/".
type Machine interface {
	Mkdir(path string) error
	WriteFile(path string, content []byte) error
	ReadFile(path string) ([]byte, error)
	Symlink(target, path string) error
	Fifo(path string) error
	// OpenHandles is how many Dirs, Files and Queues are open.
	OpenHandles() int
	// SetCapacity is how many bytes the disk has, Used how many are taken.
	SetCapacity(bytes int64)
	Used() int64
}

// onSystem reports whether the backend's paths are the operating system's.
func (t *T) onSystem() bool {
	_, own := t.Backend.(Machine)
	return !own
}

// needSystem ends a check that would show nothing on a machine of the backend's own.
func (t *T) needSystem() {
	t.Helper()
	if !t.onSystem() {
		t.Skipf("needs an operating system below the backend")
	}
}

// join makes a path below a directory.
func (t *T) join(elements ...string) string {
	if t.onSystem() {
		return filepath.Join(elements...)
	}
	return path.Join(elements...)
}

func (t *T) mkdir(path string) {
	t.Helper()
	if m, ok := t.Backend.(Machine); ok {
		require.NoError(t, m.Mkdir(path))
		return
	}
	require.NoError(t, os.Mkdir(path, 0o700))
}

func (t *T) writeFile(path, content string) {
	t.Helper()
	if m, ok := t.Backend.(Machine); ok {
		require.NoError(t, m.WriteFile(path, []byte(content)))
		return
	}
	require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
}

// nameFile gives a file one more name or, where it has but one, makes another file.
func (t *T) nameFile(path, of string) {
	t.Helper()
	if !t.onSystem() || os.Link(of, path) != nil {
		t.writeFile(path, "")
	}
}

func (t *T) readFile(path string) (string, error) {
	read := os.ReadFile
	if m, ok := t.Backend.(Machine); ok {
		read = m.ReadFile
	}
	b, err := read(path)
	return string(b), err
}

// symlink makes a link; Windows lets few do that.
func (t *T) symlink(target, path string) {
	t.Helper()
	link := os.Symlink
	if m, ok := t.Backend.(Machine); ok {
		link = m.Symlink
	}
	err := link(target, path)
	if err != nil && runtime.GOOS == "windows" {
		t.missing(layerPrivilege, err)
	}
	require.NoError(t, err)
}

// fifo makes a FIFO where there are any.
func (t *T) fifo(path string) (made bool) {
	t.Helper()
	mk := mkfifo
	if m, ok := t.Backend.(Machine); ok {
		mk = m.Fifo
	} else if !hasModes {
		return false
	}
	require.NoError(t, mk(path))
	return true
}

// mode returns the permissions of a file or directory.
func (t *T) mode(path string) os.FileMode {
	t.Helper()
	fi, err := os.Stat(path)
	require.NoError(t, err)
	return fi.Mode().Perm()
}
