package conformance

import (
	"errors"
	"os"
	"syscall"

	"github.com/stretchr/testify/require"

	"github.com/chronik-go/wal/core/backend"
)

// smallDisk is the size of the disk that gets full.
const smallDisk = 12 << 20

// full is a directory on a small disk, and what takes its last byte.
type full struct {
	dir  backend.Dir
	fill func()
}

// smallDir makes a directory on a small disk; ok is as for smallPath.
func (t *T) smallDir() (f full, ok bool) {
	t.Helper()
	s, ok := t.smallPath()
	if !ok {
		return full{}, false
	}
	d, err := t.Backend.OpenDir(s.path, backend.DirOptions{})
	if errors.Is(err, errors.ErrUnsupported) {
		t.missing(layerPrivilege, err) // the backend asks for more than a file system in memory
	}
	require.NoError(t, err)
	t.closing("Dir", d)
	return full{dir: d, fill: s.fill}, true
}

// small is a small disk: fill takes its last byte, free gives back what fill took.
type small struct {
	path       string
	fill, free func()
}

// smallPath makes a disk that can be filled: a simulated one in run, and one that only a
// process of its own can have in apart. ok is false in run of any other backend.
func (t *T) smallPath() (s small, ok bool) {
	t.Helper()
	if m, own := t.Backend.(Machine); own {
		s.path = t.TempDir()
		m.SetCapacity(m.Used() + smallDisk)
		s.fill = func() { m.SetCapacity(max(1, m.Used())) }
		s.free = func() { m.SetCapacity(m.Used() + smallDisk) }
		return s, true
	}
	if !isChild() {
		return s, false
	}
	s.path = t.TempDir()
	if err := mountSmall(s.path, smallDisk); err != nil {
		t.missing(layerPrivilege, err)
	}
	t.Cleanup(func() { require.NoError(t, unmount(s.path), "something is still open") })
	filler := t.join(s.path, "filler")
	s.fill = func() { t.fillDisk(filler) }
	s.free = func() { require.NoError(t, os.Remove(filler)) }
	return s, true
}

// fillDisk leaves no byte free.
func (t *T) fillDisk(path string) {
	t.Helper()
	f, err := os.Create(path)
	require.NoError(t, err)
	defer f.Close()
	for n := 1 << 20; n > 0; {
		if _, err := f.Write(make([]byte, n)); err != nil {
			require.ErrorIs(t, err, syscall.ENOSPC)
			n /= 2
		}
	}
}

// noSpace are the errors for which the engine waits for space instead of failing.
var noSpace = []error{syscall.ENOSPC, syscall.EDQUOT, syscall.EFBIG}

func (t *T) demandNoSpace(err error, what string) {
	t.Helper()
	for _, want := range noSpace {
		if errors.Is(err, want) {
			return
		}
	}
	require.Failf(t, "other error", "%s: %v", what, err)
}

func checkCreateReserves(t *T) {
	small, ok := t.smallDir()
	if !ok {
		return
	}
	const size = 4 << 20
	untouched, zeroed := t.create(small.dir, "untouched", size), t.create(small.dir, "zeroed", size)
	q := t.queue(small.dir, 1)
	buf := t.buffer(q, size, 1)
	zeros := t.buffer(q, size, 0)
	clear(zeros.Bytes) // written, they must not give the space back
	t.write(q, backend.Write{File: zeroed, Data: zeros.Bytes[:size], Buffer: zeros, Sync: true})
	small.fill()
	for _, f := range []backend.File{untouched, zeroed} {
		for _, sync := range []bool{false, true} {
			t.write(q, backend.Write{File: f, Data: buf.Bytes[:size/2], Buffer: buf, Sync: sync},
				backend.Write{File: f, Offset: size / 2, Data: buf.Bytes[size/2 : size], Buffer: buf, Sync: sync})
		}
		require.NoError(t, f.Sync())
		t.same(buf.Bytes[:size], t.content(f), "a file written on a full disk")
	}
}

func checkCreateNoSpace(t *T) {
	// Larger than any disk.
	usual := t.newDir()
	_, err := usual.Create("huge", 1<<60)
	t.demandNoSpace(err, "a file of 2^60 bytes")
	require.Empty(t, t.list(usual))

	small, ok := t.smallDir()
	if !ok {
		return
	}
	before := t.list(small.dir)
	_, err = small.dir.Create("large", 2*smallDisk)
	t.demandNoSpace(err, "a file that is larger than the disk")
	require.Equal(t, before, t.list(small.dir))
	f := t.create(small.dir, "most", smallDisk*3/4) // what the failed one took is back
	small.fill()
	_, err = small.dir.Create("more", 1<<20)
	t.demandNoSpace(err, "a file on a full disk")
	require.NotContains(t, t.list(small.dir), "more")
	t.zeros(t.content(f), "a file made before the disk was full")
	require.NoError(t, f.Close())
	require.NoError(t, small.dir.Remove("most"))
	t.create(small.dir, "more", 1<<20)
}

func checkResizeReserves(t *T) {
	usual := t.create(t.newDir(), "f", block)
	t.demandNoSpace(usual.Resize(1<<60), "a file that is to have 2^60 bytes")
	t.zeros(t.content(usual), "a file that could not grow")

	small, ok := t.smallDir()
	if !ok {
		return
	}
	f, q := t.create(small.dir, "f", block), t.queue(small.dir, 1)
	t.put(q, f, filled(block, 1))
	t.demandNoSpace(f.Resize(2*smallDisk), "a file that is to be larger than the disk")
	t.same(filled(block, 1), t.content(f), "a file that could not grow")
	const size = 4 << 20
	require.NoError(t, f.Resize(size))
	buf := t.buffer(q, size, 2)
	small.fill()
	t.write(q, backend.Write{File: f, Data: buf.Bytes[:size], Buffer: buf, Sync: true})
	t.same(buf.Bytes[:size], t.content(f), "a file written on a full disk")
	t.demandNoSpace(f.Resize(2*size), "a file that is to grow on a full disk")
	t.same(buf.Bytes[:size], t.content(f), "a file that could not grow")
}
