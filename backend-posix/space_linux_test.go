package posix

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/chronik-go/wal/core/backend"
)

// A write that reaches the largest allowed size is short, then fails: the part
// that is complete is reported as complete, the rest with its error.
func TestFileSizeLimit(t *testing.T) {
	if !isChild(t) {
		runInChild(t, nil)
		return
	}
	bothModesQueue(t, func(t *testing.T, d backend.Dir, q backend.Queue) {
		for _, sync := range []bool{true, false} {
			t.Run(fmt.Sprint("sync ", sync), func(t *testing.T) { testFileSizeLimit(t, d, q, sync) })
		}
	})
}

func testFileSizeLimit(t *testing.T, d backend.Dir, q backend.Queue, sync bool) {
	const limit = 10_000
	f, err := d.Create("f", 20480)
	require.NoError(t, err)
	defer func() {
		require.NoError(t, f.Close())
		require.NoError(t, d.Remove("f"))
	}()
	buf := buffer(t, q, 20480)
	write := func(from, to int) backend.Write {
		return backend.Write{File: f, Offset: int64(from), Data: buf.Bytes[from:to], Buffer: buf, Sync: sync}
	}
	writes := []backend.Write{write(0, 4096), write(4096, 8192), write(8192, 16384), write(16384, 20480)}
	var b *backend.Batch
	withFileSizeLimit(t, limit, func() {
		b = carryOut(t, q, writes...)
	})

	if sync && !isDirect(d) {
		assert.ErrorIs(t, b.Writes[0].Err, syscall.EFBIG, "written, and not synced beside a write that failed")
	} else {
		assert.NoError(t, b.Writes[0].Err)
		assert.NoError(t, b.Writes[1].Err)
	}
	assert.ErrorIs(t, b.Writes[2].Err, syscall.EFBIG)
	assert.ErrorContains(t, b.Writes[2].Err, fmt.Sprintf("offset 8192, 8192 bytes, %d of them written", limit-8192))
	assert.ErrorIs(t, b.Writes[3].Err, syscall.EFBIG)
	assert.ErrorContains(t, b.Writes[3].Err, "offset 16384, 4096 bytes, 0 of them written")
	require.NoError(t, carryOut(t, q, writes...).Failed(), "lack of space is not a failed sync")
	require.NoError(t, f.Sync())
}

func withFileSizeLimit(t *testing.T, limit int, do func()) {
	var old unix.Rlimit
	require.NoError(t, unix.Getrlimit(unix.RLIMIT_FSIZE, &old))
	require.NoError(t, unix.Setrlimit(unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: uint64(limit), Max: old.Max}))
	do()
	require.NoError(t, unix.Setrlimit(unix.RLIMIT_FSIZE, &old))
}

// A full disk: what cannot be reserved is not made, what was reserved can be written.
// The mount is in a name space of the child's: it ends with the child, however.
func TestFullDisk(t *testing.T) {
	needRoot(t, "a full disk")
	if !isChild(t) {
		runInChild(t, &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS})
		return
	}
	for fs, mount := range map[string]func(t *testing.T, path string){
		"tmpfs": func(t *testing.T, path string) {
			require.NoError(t, unix.Mount("none", path, "tmpfs", 0, "size=12m"))
		},
		"ext4": func(t *testing.T, path string) { mountImage(t, path, "-O", "^has_journal") },
		// Without extents there is no fallocate: space is reserved by writing zeros.
		"ext4 without fallocate": func(t *testing.T, path string) { mountImage(t, path, "-O", "^extents,^64bit,^has_journal") },
	} {
		t.Run(fs, func(t *testing.T) {
			path := t.TempDir()
			mount(t, path)
			t.Cleanup(func() { require.NoError(t, unix.Unmount(path, 0), "something in it is still open") })
			for _, mode := range []DirectMode{DirectAuto, DirectOff} {
				d := openDir(t, New(WithDirect(mode)), path, backend.DirOptions{})
				testFullDisk(t, d, path)
				require.NoError(t, d.Close())
			}
		})
	}
}

func mountImage(t *testing.T, path string, mkfs ...string) {
	image := filepath.Join(t.TempDir(), "image")
	require.NoError(t, os.WriteFile(image, nil, 0o600))
	require.NoError(t, os.Truncate(image, 16<<20))
	for _, args := range [][]string{append(append([]string{"mke2fs", "-q", "-F", "-t", "ext4"}, mkfs...), image),
		{"mount", "-o", "loop", image, path}} {
		out, err := exec.Command(args[0], args[1:]...).CombinedOutput()
		require.NoError(t, err, "%s: %s", args, out)
	}
	require.NoError(t, os.RemoveAll(filepath.Join(path, "lost+found")))
}

func testFullDisk(t *testing.T, d backend.Dir, path string) {
	_, err := d.Create("large", 64<<20)
	require.ErrorIs(t, err, syscall.ENOSPC)
	names, err := d.List()
	require.NoError(t, err)
	require.Empty(t, names, "a file that could not be made is gone")

	const size = 4 << 20
	f, q := create(t, d, "f", size), openQueue(t, d)
	requireZeros(t, content(t, f))
	require.ErrorIs(t, f.Resize(64<<20), syscall.ENOSPC)
	require.Len(t, content(t, f), size, "a file that could not grow is as it was")

	fillDisk(t, path)
	buf := buffer(t, q, size)
	w := backend.Write{File: f, Data: buf.Bytes[:size], Buffer: buf, Sync: true}
	require.NoError(t, carryOut(t, q, w).Failed(), "reserved is reserved")
	require.NoError(t, f.Sync())
	assert.Equal(t, buf.Bytes[:size], content(t, f))

	full := openDir(t, New(), path, backend.DirOptions{})
	assert.Equal(t, isDirect(d) || full.(*dir).noDirect == nil, isDirect(full), "a full disk is written as an empty one is")
	require.NoError(t, full.Close())

	require.NoError(t, d.Remove("filler"))
	require.NoError(t, d.Remove("f"))
	require.NoError(t, f.Close())
	require.NoError(t, q.Close())
	g := create(t, d, "g", size) // the space is back
	require.NoError(t, g.Close())
	require.NoError(t, d.Remove("g"))
}

// fillDisk leaves no byte free.
func fillDisk(t *testing.T, path string) {
	filler, err := os.Create(filepath.Join(path, "filler"))
	require.NoError(t, err)
	defer filler.Close()
	for n := 1 << 20; n > 0; {
		if _, err := filler.Write(make([]byte, n)); err != nil {
			require.ErrorIs(t, err, syscall.ENOSPC)
			n /= 2
		}
	}
	require.NoError(t, filler.Sync())
}
