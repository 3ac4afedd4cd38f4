package osdir

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// pathMax is the longest path that the system takes, with the zero behind it.
const pathMax = 4096

// longPath is a path below base of so many bytes.
func longPath(base string, n int) string {
	var b strings.Builder
	b.WriteString(base)
	for n-b.Len() > 200 {
		b.WriteString("/" + strings.Repeat("d", 99))
	}
	return b.String() + "/" + strings.Repeat("e", n-b.Len()-1)
}

func makeDir(path string) error {
	_, err := Make(path)
	return err
}

// What was made, and no more, can be taken back, but for what somebody put something into.
func TestUnmake(t *testing.T) {
	base := t.TempDir()
	unmake, err := Make(filepath.Join(base, "a", "b", "c"))
	require.NoError(t, err)
	require.DirExists(t, filepath.Join(base, "a", "b", "c"))
	require.NoError(t, os.WriteFile(filepath.Join(base, "a", "x"), nil, 0o600))
	unmake()
	require.NoDirExists(t, filepath.Join(base, "a", "b"))
	require.FileExists(t, filepath.Join(base, "a", "x"))
	unmake, err = Make(base)
	require.NoError(t, err)
	unmake()
	require.DirExists(t, base)
}

// Paths are what the system takes them for, links and dots included.
func TestPathsWithDots(t *testing.T) {
	base := t.TempDir()
	t.Chdir(base)
	require.NoError(t, os.MkdirAll("far/away", 0o700))
	require.NoError(t, os.Symlink("far/away", "link"))
	for path, want := range map[string]string{
		"a": "a", "b/c/": "b/c", "./d": "d", "e/.": "e", "f//g": "f/g", base + "/h": "h", "far/../i": "i",
		"link/../j": "far/j", "link/k": "far/away/k", "new/../l": "l", "link/../../m/n": "m/n", ".": ".", "//": "/",
	} {
		require.NoError(t, makeDir(path), path)
		require.DirExists(t, want, path)
	}
	require.NoDirExists(t, "j")
	for path, want := range map[string]string{"/": "/", "": "/", "/a": "/", "/a/": "/", "a": ".", "a/b": "a", "a/b//": "a", "//a": "/"} {
		require.Equal(t, want, parent(path), "%q", path)
	}
}

// A directory may have any path that the system takes, whether it is there or not.
func TestLongPaths(t *testing.T) {
	for _, n := range []int{pathMax - 1, pathMax - 2, pathMax - 4} {
		path := longPath(t.TempDir(), n)
		for _, what := range []string{"missing", "there"} {
			require.NoError(t, makeDir(path), "a path of %d bytes, %s", len(path), what)
		}
		require.DirExists(t, path)
	}
	base := t.TempDir()
	require.ErrorIs(t, makeDir(longPath(base, pathMax)), syscall.ENAMETOOLONG)
}

// What fails leaves nothing behind.
func TestFailureLeavesNothing(t *testing.T) {
	base := t.TempDir()
	require.Error(t, makeDir(filepath.Join(base, "a", "b", strings.Repeat("n", 300))))
	require.NoDirExists(t, filepath.Join(base, "a"))

	t.Chdir(base) // what is above may be closed to the other user
	require.NoError(t, os.Mkdir("closed", 0o700))
	require.NoError(t, os.Chmod("closed", 0o311))
	t.Run("not as root", func(t *testing.T) {
		if os.Geteuid() == 0 {
			runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
			require.NoError(t, os.Chown("closed", 65534, 65534))
			_, _, errno := syscall.RawSyscall(syscall.SYS_SETFSUID, 65534, 0, 0)
			require.Zero(t, errno)
		}
		require.ErrorIs(t, makeDir("closed/a/b"), os.ErrPermission, "its name cannot be made durable")
	})
	require.NoError(t, os.Chmod("closed", 0o700))
	assert.NoDirExists(t, "closed/a")
}

// Nothing stays open.
func TestNoDescriptorLeft(t *testing.T) {
	count := func() string {
		fds, err := os.ReadDir("/proc/self/fd")
		require.NoError(t, err)
		return fmt.Sprint(len(fds))
	}
	base := t.TempDir()
	require.NoError(t, makeDir(filepath.Join(base, "first")))
	before := count()
	for i := range 10 {
		require.NoError(t, makeDir(filepath.Join(base, fmt.Sprint(i), "a")))
		require.NoError(t, makeDir(filepath.Join(base, fmt.Sprint(i), "a")))
		require.Error(t, makeDir(filepath.Join(base, strings.Repeat("n", 300))))
	}
	assert.Equal(t, before, count())
}
