package sim_test

import (
	"errors"
	"io/fs"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/chronik-go/wal/core/backend"
	"github.com/chronik-go/wal/core/backend/sim"
)

// That a Disk keeps the contract is checked by package conformance; here is what is its own.
func TestOpenDir(t *testing.T) {
	d := sim.New(sim.Options{})
	t.Run("OpenDir with Create makes all levels durable", func(t *testing.T) {
		deep := sim.New(sim.Options{})
		_, err := deep.OpenDir("/a/b/c", backend.DirOptions{Create: true})
		require.NoError(t, err)
		require.Equal(t, 3, deep.Ops())
		_, err = deep.Image(sim.Image{Mode: sim.DropAll}).OpenDir("/a/b/c", backend.DirOptions{})
		require.NoError(t, err)
		require.NoError(t, deep.Symlink("nowhere", "/link"))
		_, err = deep.OpenDir("/link/below", backend.DirOptions{Create: true})
		require.ErrorIs(t, err, fs.ErrExist)
	})
	t.Run("OpenDir with Create is durable", func(t *testing.T) {
		openDir(t, d)
		sub, err := d.OpenDir(at+"/shard-0001", backend.DirOptions{Create: true})
		require.NoError(t, err)
		require.NoError(t, sub.Close())
		img := d.Image(sim.Image{Mode: sim.DropAll})
		require.Equal(t, []string{"d"}, img.Files("/"))
		require.Equal(t, []string{"shard-0001"}, img.Files(at))
		_, err = img.OpenDir(at+"/shard-0001", backend.DirOptions{})
		require.NoError(t, err)
	})
	t.Run("the directory may be a symbolic link", func(t *testing.T) {
		require.NoError(t, d.Symlink("d", "/link"))
		require.NoError(t, d.Symlink("/link/shard-0001", "/deep"))
		require.NoError(t, d.Symlink("loop", "/loop"))
		require.NoError(t, d.WriteFile("/file", nil))
		dir, err := d.OpenDir("/deep", backend.DirOptions{})
		require.NoError(t, err)
		_, err = dir.Create("x", 0)
		require.NoError(t, err)
		require.Equal(t, []string{"x"}, d.Files(at+"/shard-0001"))
		_, err = d.OpenDir("/loop", backend.DirOptions{Create: true})
		require.ErrorIs(t, err, syscall.ELOOP)
		_, err = d.OpenDir("/file", backend.DirOptions{Create: true})
		require.ErrorIs(t, err, syscall.ENOTDIR)
	})
}

func TestDir(t *testing.T) {
	d := sim.New(sim.Options{})
	dir := openDir(t, d)
	t.Run("Lock", func(t *testing.T) {
		other := openDir(t, d)
		require.NoError(t, dir.Lock())
		require.NoError(t, dir.Lock(), "its own lock is not in its way")
		require.ErrorIs(t, other.Lock(), backend.ErrLocked)
		require.Empty(t, d.Files(at), "a lock leaves no file")
		require.NoError(t, openDir(t, d.Clone()).Lock(), "a lock ends with the process")
		require.NoError(t, dir.Close())
		require.NoError(t, other.Lock())
		require.NoError(t, other.Close())
		dir = openDir(t, d)
	})
	t.Run("errors that are the simulation's", func(t *testing.T) {
		_, err := dir.Create(strings.Repeat("n", 256), 0)
		require.ErrorIs(t, err, syscall.ENAMETOOLONG)
		_, err = dir.Create("b", -1)
		require.ErrorIs(t, err, syscall.EINVAL)
		_, err = dir.Create("b", 1<<50)
		require.ErrorIs(t, err, syscall.EFBIG)
		require.NoError(t, d.Mkdir(at+"/sub"))
		f := create(t, dir, "from", 512)
		require.ErrorIs(t, dir.Remove("sub"), syscall.EISDIR)
		require.ErrorIs(t, dir.Rename("sub", "x"), syscall.EISDIR)
		require.ErrorIs(t, dir.Rename("from", "sub"), syscall.EISDIR)
		require.NoError(t, f.Close())
	})
	t.Run("Close", func(t *testing.T) {
		require.NoError(t, dir.Close())
		_, err := dir.List()
		require.ErrorIs(t, err, backend.ErrClosed)
		require.ErrorIs(t, dir.Lock(), backend.ErrClosed)
		require.ErrorIs(t, dir.Sync(), backend.ErrClosed)
		require.ErrorIs(t, dir.Close(), backend.ErrClosed)
		require.Zero(t, d.OpenHandles())
		require.NoError(t, d.Misuse())
	})
}

func TestReadOnlyDir(t *testing.T) {
	d := sim.New(sim.Options{})
	f := create(t, openDir(t, d), "a", 512)
	require.NoError(t, f.Resize(1024))
	before := d.Ops()
	ro, err := d.OpenDir(at, backend.DirOptions{ReadOnly: true})
	require.NoError(t, err)
	_, err = ro.Create("b", 0)
	require.ErrorIs(t, err, fs.ErrPermission)
	_, err = ro.Queue(backend.QueueOptions{Depth: 1})
	require.ErrorIs(t, err, fs.ErrPermission)
	require.ErrorIs(t, ro.Rename("a", "b"), fs.ErrPermission)
	require.ErrorIs(t, ro.Remove("a"), fs.ErrPermission)
	g, err := ro.Open("a")
	require.NoError(t, err)
	require.ErrorIs(t, g.Resize(0), fs.ErrPermission)
	require.Equal(t, before, d.Ops(), "nothing changed")
	require.NoError(t, g.Sync(), "Sync works on a file of a read-only Dir")
	img := d.Image(sim.Image{Mode: sim.DropAll})
	require.Len(t, read(t, img, "a"), 1024)
}

// TestNextData: what it passes over reads as zeros, and it passes over all sectors of zeros.
func TestNextData(t *testing.T) {
	d := sim.New(sim.Options{})
	dir, q := openQueue(t, d, 1)
	f := create(t, dir, "f", 200<<10)
	put(t, q, f, 512, pattern(512, 1), true)
	put(t, q, f, 32<<10, pattern(1024, 1), true)
	put(t, q, f, 120<<10, make([]byte, 512), true)
	finder := f.(backend.DataFinder)
	for off, want := range map[int64]int64{
		0: 512, 511: 512, 512: 512, 700: 700, 1024: 32 << 10, 20 << 10: 32 << 10,
		33<<10 - 1: 33<<10 - 1, 33 << 10: 200 << 10, 200 << 10: 200 << 10, 300 << 10: 300 << 10,
	} {
		got, err := finder.NextData(off)
		require.NoError(t, err)
		require.Equal(t, want, got, "from %d", off)
	}
	_, err := finder.NextData(-1)
	require.ErrorIs(t, err, syscall.EINVAL)
	d.Inject(sim.Fault{Op: sim.OpRead})
	_, err = finder.NextData(0)
	require.ErrorIs(t, err, syscall.EIO)
	require.NoError(t, f.Close())
	_, err = finder.NextData(0)
	require.ErrorIs(t, err, backend.ErrClosed)
	flat := create(t, openDir(t, sim.New(sim.Options{NoTrace: true})), "f", 512)
	got, err := flat.(backend.DataFinder).NextData(3)
	require.NoError(t, err)
	require.EqualValues(t, 3, got)
}

func TestCapacity(t *testing.T) {
	for _, noTrace := range []bool{false, true} {
		d := sim.New(sim.Options{Capacity: 4096, NoTrace: noTrace})
		dir, q := openQueue(t, d, 1)
		f := create(t, dir, "f", 2048)
		_, err := dir.Create("g", 2049)
		require.ErrorIs(t, err, syscall.ENOSPC)
		require.Equal(t, []string{"f"}, d.Files(at), "the file is gone again")
		g := create(t, dir, "g", 2048)
		require.ErrorIs(t, f.Resize(2049), syscall.ENOSPC)
		put(t, q, f, 0, pattern(2048, 1), true) // reserved space does not run out
		require.NoError(t, dir.Remove("g"))
		require.ErrorIs(t, f.Resize(4096), syscall.ENOSPC, "an open File holds its space")
		require.NoError(t, g.Close())
		require.NoError(t, f.Resize(4096))
		d.SetCapacity(8192)
		require.NoError(t, f.Resize(8192))
		d.SetCapacity(512)
		put(t, q, f, 0, pattern(2048, 2), true)
		require.NoError(t, f.Resize(1024))
		_, err = d.Image(sim.Image{}).OpenDir("/new", backend.DirOptions{Create: true})
		require.NoError(t, err)
	}
}

func TestLeftOpen(t *testing.T) {
	d := sim.New(sim.Options{})
	dir, q := openQueue(t, d, 1)
	f, err := dir.Create("f", 512)
	require.NoError(t, err)
	require.ErrorIs(t, dir.Close(), sim.ErrContract)
	require.ErrorIs(t, d.Misuse(), sim.ErrContract)
	require.Equal(t, 2, d.OpenHandles())
	require.NoError(t, errors.Join(f.Close(), q.Close()))
	require.Zero(t, d.OpenHandles())
}
