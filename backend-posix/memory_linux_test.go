package posix

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/chronik-go/wal/core/backend"
)

// A buffer is outside the Go heap, at a page, takes memory when it is touched, and
// goes back to the kernel.
func TestBufferMemory(t *testing.T) {
	const size = 256 << 20
	d := openDir(t, New(), tempDir(t), backend.DirOptions{})
	q := openQueue(t, d)
	virtual, resident := memory(t)
	released, err := q.Buffer(size)
	require.NoError(t, err)
	kept, err := q.Buffer(size)
	require.NoError(t, err)
	assert.Zero(t, uintptr(unsafe.Pointer(&kept.Bytes[0]))%uintptr(os.Getpagesize()))
	v, r := memory(t)
	assert.Greater(t, v, virtual+2*size-size/2)
	assert.Less(t, r, resident+size/2, "untouched memory costs nothing")
	q.Release(released)
	v, _ = memory(t)
	assert.Less(t, v, virtual+2*size-size/2, "Release unmaps")
	require.NoError(t, q.Close())
	v, _ = memory(t)
	assert.Less(t, v, virtual+size/2, "Close unmaps")
}

// memory returns the process's virtual and resident size in bytes.
func memory(t *testing.T) (virtual, resident int) {
	p, err := os.ReadFile("/proc/self/statm")
	require.NoError(t, err)
	field := strings.Fields(string(p))
	virtual, err = strconv.Atoi(field[0])
	require.NoError(t, err)
	resident, err = strconv.Atoi(field[1])
	require.NoError(t, err)
	return virtual * os.Getpagesize(), resident * os.Getpagesize()
}

// After Sync nothing of the file is in the cache: a read goes to the device.
func TestSyncDropsCache(t *testing.T) {
	bothModes(t, func(t *testing.T, b *Backend) {
		const size = 1 << 20
		path := tempDir(t)
		d := openDir(t, b, path, backend.DirOptions{})
		f := create(t, d, "f", size)
		require.NoError(t, os.WriteFile(filepath.Join(path, "f"), bytes.Repeat([]byte{1}, size), 0o600))
		require.NotZero(t, cachedPages(t, filepath.Join(path, "f"), size))
		require.NoError(t, f.Sync())
		assert.Zero(t, cachedPages(t, filepath.Join(path, "f"), size))
		content(t, f)
		reader := openFile(t, openDir(t, b, path, backend.DirOptions{ReadOnly: true}), "f")
		require.NotZero(t, cachedPages(t, filepath.Join(path, "f"), size))
		require.NoError(t, reader.Sync())
		assert.Zero(t, cachedPages(t, filepath.Join(path, "f"), size), "through a read-only descriptor too")
	})
}

// cachedPages counts the pages of a file that a read would not fetch.
func cachedPages(t *testing.T, path string, size int) int {
	f, err := os.Open(path)
	require.NoError(t, err)
	defer f.Close()
	mem, err := unix.Mmap(int(f.Fd()), 0, size, unix.PROT_READ, unix.MAP_SHARED)
	require.NoError(t, err)
	defer func() { require.NoError(t, unix.Munmap(mem)) }()
	in := make([]byte, size/os.Getpagesize())
	_, _, errno := unix.Syscall(unix.SYS_MINCORE, uintptr(unsafe.Pointer(&mem[0])), uintptr(size), uintptr(unsafe.Pointer(&in[0])))
	require.Zero(t, errno)
	n := 0
	for _, p := range in {
		n += int(p & 1)
	}
	return n
}

// Space is reserved, not only promised by the size, after Create and Resize.
func TestReserved(t *testing.T) {
	bothModes(t, func(t *testing.T, b *Backend) {
		d := openDir(t, b, tempDir(t), backend.DirOptions{})
		f := create(t, d, "f", 1<<20)
		for _, size := range []int64{1 << 20, 3<<20 + 100} {
			require.NoError(t, f.Resize(size))
			var st unix.Stat_t
			require.NoError(t, unix.Fstat(int(f.(*file).buffered.Fd()), &st))
			assert.Equal(t, size, st.Size)
			assert.GreaterOrEqual(t, st.Blocks*512, size)
		}
		_, err := d.Create("huge", 1<<60)
		require.Error(t, err)
		assert.True(t, spaceError(err), "%v", err)
		_, err = d.Open("huge")
		require.ErrorIs(t, err, os.ErrNotExist)
	})
}

func TestDirectMode(t *testing.T) {
	path := tempDir(t)
	auto := openDir(t, New(), path, backend.DirOptions{})
	assert.True(t, isDirect(auto), "this file system can be written directly")
	assert.Equal(t, "posix, direct writes", auto.(*dir).String())
	f := create(t, auto, "f", 0).(*file)
	flags, err := unix.FcntlInt(f.direct.Fd(), unix.F_GETFL, 0)
	require.NoError(t, err)
	assert.NotZero(t, flags&unix.O_DIRECT)
	assert.Equal(t, "posix, buffered writes", openDir(t, New(WithDirect(DirectOff)), path, backend.DirOptions{}).(*dir).String())
	assert.Equal(t, "posix, read-only", openDir(t, New(), path, backend.DirOptions{ReadOnly: true}).(*dir).String())

	// Nothing can be created in /proc, so nothing can be written directly.
	_, err = New(WithDirect(DirectOn)).OpenDir("/proc/self", backend.DirOptions{})
	require.ErrorIs(t, err, errors.ErrUnsupported)
	_, err = New(WithDirect(DirectOn)).OpenDir("/proc/sys", backend.DirOptions{})
	require.ErrorIs(t, err, errors.ErrUnsupported)
	assert.Empty(t, openIn("/proc/sys"), "a refused directory is closed")
	fallback := openDir(t, New(), "/proc/self", backend.DirOptions{})
	assert.False(t, isDirect(fallback))
	assert.Contains(t, fallback.(*dir).String(), "O_TMPFILE")
	assert.Equal(t, sectorSize, openQueue(t, fallback).Limits().Alignment)
}
