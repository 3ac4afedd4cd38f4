package posix

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/chronik-go/wal/core/backend"
)

// Files and directories are private, and usable by their owner, under any umask.
// The umask is the process's: a child's.
func TestUmask(t *testing.T) {
	if !isChild(t) {
		runInChild(t, nil)
		return
	}
	base := t.TempDir()
	t.Chdir(base)                             // what is above may be closed to the other user
	t.Run("not as root", func(t *testing.T) { // root may open everything
		if os.Geteuid() == 0 {
			runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
			require.NoError(t, os.Chown(base, 65534, 65534))
			require.NoError(t, unix.Setfsuid(65534))
		}
		testUmask(t)
	})
	unix.Umask(0o022)
}

func testUmask(t *testing.T) {
	for _, umask := range []int{0, 0o022, 0o077, 0o277, 0o700, 0o777} {
		for _, mode := range []DirectMode{DirectOn, DirectOff} {
			unix.Umask(umask)
			path := fmt.Sprint(umask, mode)
			require.NoError(t, os.Mkdir(path, 0o700))
			require.NoError(t, os.Chmod(path, 0o700))
			b := New(WithDirect(mode))
			d, err := b.OpenDir(filepath.Join(path, "a", "b"), backend.DirOptions{Create: true})
			require.NoError(t, err, "umask %o", umask)
			f, err := d.Create("f", 4096)
			require.NoError(t, err, "umask %o", umask)
			for name, want := range map[string]os.FileMode{"a": 0o700, "a/b": 0o700, "a/b/f": 0o600} {
				fi, err := os.Stat(filepath.Join(path, name))
				require.NoError(t, err)
				assert.Equal(t, want, fi.Mode().Perm(), "%s, umask %o", name, umask)
			}
			require.NoError(t, f.Close())
			f, err = d.Open("f")
			require.NoError(t, err, "umask %o", umask)
			require.NoError(t, f.Close())
			require.NoError(t, d.Close())
		}
	}
}

// A directory above that may not be read was made by somebody else, and hinders nobody.
func TestOpenBelowUnreadable(t *testing.T) {
	if !isChild(t) {
		runInChild(t, nil)
		return
	}
	base := t.TempDir()
	t.Chdir(base)
	require.NoError(t, os.MkdirAll("a/closed/b", 0o700))
	require.NoError(t, os.Chmod("a/closed", 0o311))
	t.Run("not as root", func(t *testing.T) {
		if os.Geteuid() == 0 {
			runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
			require.NoError(t, os.Chown("a/closed/b", 65534, 65534))
			require.NoError(t, os.Chown("a", 65534, 65534))
			require.NoError(t, unix.Setfsuid(65534))
		}
		_, err := os.ReadDir("a/closed")
		require.ErrorIs(t, err, os.ErrPermission)
		d, err := New().OpenDir("a/closed/b", backend.DirOptions{Create: true})
		require.NoError(t, err)
		require.NoError(t, d.Close())
	})
	require.NoError(t, os.Chmod("a/closed", 0o700))
}

// A child process of the application inherits nothing: it would keep the lock.
func TestCloseOnExec(t *testing.T) {
	bothModes(t, func(t *testing.T, b *Backend) {
		path := tempDir(t)
		d := openDir(t, b, path, backend.DirOptions{})
		f := create(t, d, "f", 0).(*file)
		g := openFile(t, d, "f").(*file)
		for _, open := range []*os.File{d.(*dir).h.f, f.buffered, f.direct, g.buffered, g.direct} {
			if open == nil {
				assert.False(t, isDirect(d))
				continue
			}
			flags, err := unix.FcntlInt(open.Fd(), unix.F_GETFD, 0)
			require.NoError(t, err)
			assert.NotZero(t, flags&unix.FD_CLOEXEC, open.Name())
		}
	})
}
