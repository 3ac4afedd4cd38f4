//go:build linux

package loopfs

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

const blockSize = 4096

// device returns a loop device on a file of so many blocks, with what it takes to drop its caches.
func device(t *testing.T, blocks int) (fs *FS, image *os.File) {
	t.Helper()
	name := filepath.Join(t.TempDir(), "image")
	image, err := os.Create(name)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, image.Close()) })
	fill(t, image, blocks, 1)
	fs = &FS{}
	fs.loop, fs.device, err = attach(name, true)
	if err != nil && !strings.Contains(os.Getenv("CHRONIK_CONFORMANCE_REQUIRE"), "block") {
		t.Skipf("this machine has no loop device for us: %v", err)
	}
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, fs.loop.Close()) })
	if _, err := fs.cached(); errors.Is(err, unix.ENOSYS) {
		t.Skip("this kernel has no cachestat")
	}
	return fs, image
}

// fill writes blocks of one byte behind the back of the device.
func fill(t *testing.T, image *os.File, blocks int, b byte) {
	t.Helper()
	_, err := image.WriteAt(bytes.Repeat([]byte{b}, blocks*blockSize), 0)
	require.NoError(t, err)
	require.NoError(t, image.Sync())
}

// shown are the bytes at the start of each block, as the device shows them.
func shown(t *testing.T, fs *FS, blocks int) (list []byte) {
	t.Helper()
	p := make([]byte, blocks*blockSize)
	_, err := fs.loop.ReadAt(p, 0)
	require.NoError(t, err)
	for at := 0; at < len(p); at += blockSize {
		list = append(list, p[at])
	}
	return list
}

// hold keeps a page of the device in memory, as reclaim does for a moment, until it is released.
func hold(t *testing.T, fs *FS, block int64) (release func()) {
	t.Helper()
	page, err := unix.Mmap(int(fs.loop.Fd()), block*blockSize, blockSize, unix.PROT_READ, unix.MAP_SHARED|unix.MAP_POPULATE)
	require.NoError(t, err)
	release = func() {
		if page != nil {
			require.NoError(t, unix.Munmap(page))
			page = nil
		}
	}
	t.Cleanup(release)
	return release
}

// After DropCaches the device shows what its file holds, of every block.
func TestDropCachesShowsTheNewState(t *testing.T) {
	fs, image := device(t, 64)
	require.Equal(t, bytes.Repeat([]byte{1}, 64), shown(t, fs, 64))
	fill(t, image, 64, 2)
	require.Equal(t, bytes.Repeat([]byte{1}, 64), shown(t, fs, 64), "the cache is not in the way: this test shows nothing")
	require.NoError(t, fs.DropCaches())
	require.Equal(t, bytes.Repeat([]byte{2}, 64), shown(t, fs, 64))
	require.Zero(t, fs.Held)
}

// A page that is held when the caches are dropped is dropped as soon as it is let go of, so that no
// state is made of two.
func TestDropCachesWaitsForHeldPages(t *testing.T) {
	fs, image := device(t, 64)
	shown(t, fs, 64)
	release := hold(t, fs, 33)
	fill(t, image, 64, 2)
	waits := 0
	require.NoError(t, fs.drop(func() {
		if waits++; waits == 3 {
			release()
		}
	}))
	require.Equal(t, 3, waits)
	require.Equal(t, 1, fs.Held, "one call that met a page, however often it tried")
	require.Equal(t, bytes.Repeat([]byte{2}, 64), shown(t, fs, 64))
}

// A page that nobody lets go of is an error, after some tries.
func TestDropCachesGivesUp(t *testing.T) {
	fs, _ := device(t, 64)
	hold(t, fs, 5)
	waits := 0
	err := fs.drop(func() { waits++ })
	require.ErrorIs(t, err, ErrHeld)
	require.ErrorContains(t, err, fs.device)
	require.Equal(t, dropTries-1, waits)
}
