package posix

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/chronik-go/wal/core/backend"
)

// An open that fails leaves no directory that it made, and those that were there.
func TestOpenThatFailsLeavesNoDirectory(t *testing.T) {
	needRoot(t, "a file system without direct writes")
	mount := t.TempDir()
	require.NoError(t, unix.Mount("ramfs", mount, "ramfs", 0, ""))
	t.Cleanup(func() { require.NoError(t, unix.Unmount(mount, 0)) })
	b, path := New(WithDirect(DirectOn)), filepath.Join(mount, "a")
	_, err := b.OpenDir(filepath.Join(path, "b"), backend.DirOptions{Create: true})
	require.ErrorIs(t, err, errors.ErrUnsupported)
	require.NoDirExists(t, path)
	require.NoError(t, os.Mkdir(path, 0o700))
	_, err = b.OpenDir(path, backend.DirOptions{Create: true})
	require.ErrorIs(t, err, errors.ErrUnsupported)
	require.DirExists(t, path)
}
