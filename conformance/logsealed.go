package conformance

import (
	"os"
	"path/filepath"

	"github.com/stretchr/testify/require"

	"github.com/chronik-go/wal/conformance/crash"
)

func logSealed(t *T) {
	t.needSystem()
	dir := filepath.Join(t.TempDir(), "log")
	require.NoError(t, crash.CheckSealed(t.Backend, dir, logFiles(dir), 5))
}

// logFiles are the files of a log in a directory of the operating system.
type logFiles string

func (f logFiles) path(name string) string { return filepath.Join(string(f), name) }

func (f logFiles) Names() (names []string, err error) {
	list, err := os.ReadDir(string(f))
	for _, e := range list {
		names = append(names, e.Name())
	}
	return names, err
}

func (f logFiles) Read(name string) ([]byte, error)  { return os.ReadFile(f.path(name)) }
func (f logFiles) Write(name string, b []byte) error { return os.WriteFile(f.path(name), b, 0o600) }
func (f logFiles) Remove(name string) error          { return os.Remove(f.path(name)) }
