package posix

import (
	"bytes"
	"os"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/chronik-go/wal/core/backend"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// bothModes runs a test with buffered and, on Linux, with direct writes. A temporary
// directory that cannot be written directly fails the second: it would test nothing.
func bothModes(t *testing.T, test func(t *testing.T, b *Backend)) {
	modes := map[string]DirectMode{"buffered": DirectOff}
	if runtime.GOOS == "linux" {
		modes["direct"] = DirectOn
	}
	for name, mode := range modes {
		t.Run(name, func(t *testing.T) { test(t, New(WithDirect(mode))) })
	}
}

// openDir opens a directory until the end of the test, which then has no
// descriptor in it left.
func openDir(t testing.TB, b *Backend, path string, o backend.DirOptions) backend.Dir {
	t.Helper()
	d, err := b.OpenDir(path, o)
	require.NoError(t, err)
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			require.ErrorIs(t, err, backend.ErrClosed)
		}
	})
	return d
}

// tempDir is t.TempDir with a check, at the very end, that nothing in it is open.
func tempDir(t testing.TB) string {
	t.Helper()
	path := t.TempDir()
	t.Cleanup(func() { require.Empty(t, openIn(path), "descriptors left open") })
	return path
}

// openIn lists the open descriptors of files below path, deleted ones too.
func openIn(path string) []string {
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return nil // not Linux
	}
	var open []string
	for _, fd := range fds {
		target, _ := os.Readlink("/proc/self/fd/" + fd.Name())
		if strings.HasPrefix(target, path) {
			open = append(open, target)
		}
	}
	return open
}

func create(t testing.TB, d backend.Dir, name string, size int64) backend.File {
	t.Helper()
	f, err := d.Create(name, size)
	require.NoError(t, err)
	t.Cleanup(func() { _ = f.Close() })
	return f
}

func openFile(t testing.TB, d backend.Dir, name string) backend.File {
	t.Helper()
	f, err := d.Open(name)
	require.NoError(t, err)
	t.Cleanup(func() { _ = f.Close() })
	return f
}

func openQueue(t testing.TB, d backend.Dir) backend.Queue {
	t.Helper()
	q, err := d.Queue(backend.QueueOptions{Depth: 1})
	require.NoError(t, err)
	t.Cleanup(func() { _ = q.Close() })
	return q
}

// buffer returns a buffer whose bytes tell their place.
func buffer(t testing.TB, q backend.Queue, size int) *backend.Buffer {
	t.Helper()
	b, err := q.Buffer(size)
	require.NoError(t, err)
	require.GreaterOrEqual(t, len(b.Bytes), size)
	fill(b.Bytes, 1)
	return b
}

func fill(p []byte, seed int) {
	for i := range p {
		p[i] = byte(i*7 + i>>8 + i>>16 + seed)
	}
}

// carryOut submits one batch and waits for it, over wakes.
func carryOut(t testing.TB, q backend.Queue, writes ...backend.Write) *backend.Batch {
	t.Helper()
	b := &backend.Batch{Writes: writes}
	require.NoError(t, q.Submit(b))
	for {
		got, err := q.Wait()
		require.NoError(t, err)
		if got != nil {
			require.Same(t, b, got)
			return got
		}
	}
}

// content reads a whole file.
func content(t testing.TB, f backend.File) []byte {
	t.Helper()
	size, err := f.Size()
	require.NoError(t, err)
	p := make([]byte, size)
	n, err := f.ReadAt(p, 0)
	require.NoError(t, err)
	require.Len(t, p, n)
	return p
}

func requireZeros(t testing.TB, p []byte) {
	t.Helper()
	require.Zero(t, len(p)-bytes.Count(p, []byte{0}), "bytes that are not zero")
}

// isDirect says how a directory is written.
func isDirect(d backend.Dir) bool { return d.(*dir).direct }
