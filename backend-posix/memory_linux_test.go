package posix

import (
	"bytes"
	"errors"
	"io"
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
		readCached(t, f, size)
		reader := openFile(t, openDir(t, b, path, backend.DirOptions{ReadOnly: true}), "f")
		require.NotZero(t, cachedPages(t, filepath.Join(path, "f"), size))
		require.NoError(t, reader.Sync())
		assert.Zero(t, cachedPages(t, filepath.Join(path, "f"), size), "through a read-only descriptor too")
	})
}

// readCached reads in pieces that are too small to be read past the cache.
func readCached(t *testing.T, f backend.File, size int) {
	t.Helper()
	p := make([]byte, 64<<10)
	for at := 0; at < size; at += len(p) {
		_, err := f.ReadAt(p, int64(at))
		require.NoError(t, err)
	}
}

// A scan reads past the page cache, from any place and also the end, what small reads get.
func TestReadsPastCache(t *testing.T) {
	bothModes(t, func(t *testing.T, b *Backend) {
		const size = 3<<20 + 8192
		path := tempDir(t)
		d := openDir(t, b, path, backend.DirOptions{})
		f := create(t, d, "f", size)
		want := make([]byte, size)
		fill(want, 7)
		require.NoError(t, os.WriteFile(filepath.Join(path, "f"), want, 0o600))
		require.NoError(t, f.Sync())
		p := make([]byte, 1<<20)
		for _, at := range []int64{0, 4096, 2 << 20} {
			n, err := f.ReadAt(p, at)
			require.NoError(t, err)
			require.True(t, bytes.Equal(want[at:at+int64(n)], p), "from byte %d", at)
		}
		cached := cachedPages(t, filepath.Join(path, "f"), size)
		assert.Equal(t, isDirect(d), cached == 0, "%d pages are in the cache", cached)
		n, err := f.ReadAt(p, 3<<20)
		require.ErrorIs(t, err, io.EOF)
		require.Equal(t, want[3<<20:], p[:n])
		for _, at := range []int64{1, 512, size - 5000} { // not what can be read directly
			n, err := f.ReadAt(p[:len(p)-1], at)
			require.True(t, err == nil || errors.Is(err, io.EOF))
			require.True(t, bytes.Equal(want[at:at+int64(n)], p[:n]), "from byte %d", at)
		}
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
