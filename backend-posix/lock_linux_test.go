package posix

import (
	"bufio"
	"fmt"
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/chronik-go/wal/core/backend"
)

// The refusal names the process that holds the lock.
func TestLockNamesItsHolder(t *testing.T) {
	const dirEnv = "CHRONIK_POSIX_TEST_LOCK_DIR"
	if isChild(t) {
		d, err := New().OpenDir(os.Getenv(dirEnv), backend.DirOptions{})
		require.NoError(t, err)
		require.NoError(t, d.Lock())
		fmt.Println("locked")
		_, _ = os.Stdin.Read(make([]byte, 1)) // until killed
		return
	}
	path := tempDir(t)
	child := childCommand(t)
	child.Env = append(child.Env, dirEnv+"="+path)
	hold, err := child.StdinPipe()
	require.NoError(t, err)
	defer hold.Close()
	out, err := child.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, child.Start())
	t.Cleanup(func() { _ = child.Process.Kill() })
	lines := bufio.NewScanner(out)
	for lines.Scan() && lines.Text() != "locked" {
	}
	require.Equal(t, "locked", lines.Text())

	d := openDir(t, New(), path, backend.DirOptions{})
	err = d.Lock()
	require.ErrorIs(t, err, backend.ErrLocked)
	assert.ErrorContains(t, err, fmt.Sprint("process ", child.Process.Pid))
	require.NoError(t, hold.Close())
	require.NoError(t, child.Wait())
	require.NoError(t, d.Lock())
	require.ErrorContains(t, openDir(t, New(), path, backend.DirOptions{}).Lock(), "this process")
}

// Of all the locks on the machine, the message names the holder of this one.
func TestLockHolder(t *testing.T) {
	locked := openDir(t, New(), tempDir(t), backend.DirOptions{}).(*dir)
	free := openDir(t, New(), tempDir(t), backend.DirOptions{}).(*dir)
	require.NoError(t, locked.Lock())
	assert.Equal(t, ": this process", lockHolder(locked.h.fd))
	assert.Empty(t, lockHolder(free.h.fd))
}

// The lock needs no permission to write.
func TestLockReadOnly(t *testing.T) {
	path := tempDir(t)
	require.NoError(t, os.Chmod(path, 0o500))
	reader := openDir(t, New(), path, backend.DirOptions{ReadOnly: true})
	require.NoError(t, reader.Lock())
	require.ErrorIs(t, openDir(t, New(), path, backend.DirOptions{ReadOnly: true}).Lock(), backend.ErrLocked)
	require.NoError(t, os.Chmod(path, 0o700))
}
