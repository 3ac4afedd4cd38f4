package sim_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/chronik-go/wal/core/backend/sim"
)

// The tests of this file are about memory that disks, traces and images share: what one
// of them changes must not show in another.

// TestImageSharesNoCache: in an image, cache and medium come from one content and part
// with the first write.
func TestImageSharesNoCache(t *testing.T) {
	d := sim.New(sim.Options{})
	dir, q := openQueue(t, d, 1)
	f := create(t, dir, "f", 1024)
	put(t, q, f, 0, pattern(1024, 1), false)
	img := d.Image(keepAll)
	before := img.Hash()
	dir2, q2 := openQueue(t, img, 1)
	g, err := dir2.Open("f")
	require.NoError(t, err)
	put(t, q2, g, 0, pattern(512, 2), false)
	require.Equal(t, pattern(1024, 1), read(t, img.Image(dropAll), "f"))
	require.Equal(t, before, img.Trace().Cursor().Image(dropAll).Hash(), "the trace starts where the image did")
	require.NotEqual(t, before, img.Hash())
}

// TestDiskGoesOn: what happens to a disk after an image was made of it stays out of it.
func TestDiskGoesOn(t *testing.T) {
	d := sim.New(sim.Options{})
	dir, q := openQueue(t, d, 1)
	f := create(t, dir, "f", 1024)
	put(t, q, f, 0, pattern(1024, 1), true)
	img := d.Image(dropAll)
	put(t, q, f, 0, pattern(512, 2), true)
	require.NoError(t, dir.Rename("f", "g"))
	require.NoError(t, dir.Sync())
	require.Equal(t, pattern(1024, 1), read(t, img, "f"))
}

// TestCloneKeepsItsOwnDoubts: unsynced changes are shared too, and each owner settles its
// own.
func TestCloneKeepsItsOwnDoubts(t *testing.T) {
	d := sim.New(sim.Options{PerWriteSync: true})
	dir, q := openQueue(t, d, 1)
	f := create(t, dir, "f", 2048)
	put(t, q, f, 0, pattern(2048, 1), false)
	put(t, q, f, 0, pattern(512, 2), true) // takes a sector out of the write before it
	before := d.Image(keepAll).Hash()
	clone := d.Clone()
	require.Equal(t, before, clone.Image(keepAll).Hash())
	dir2, q2 := openQueue(t, clone, 1)
	g, err := dir2.Open("f")
	require.NoError(t, err)
	put(t, q2, g, 512, pattern(512, 3), true)
	require.Equal(t, before, d.Image(keepAll).Hash(), "the disk")
	require.Equal(t, before, clone.Trace().Cursor().Image(keepAll).Hash(), "the start of the clone's trace")
}

// TestPendingIsNotShared: a sync of a clone settles nothing in the start of its trace.
func TestPendingIsNotShared(t *testing.T) {
	d := sim.New(sim.Options{})
	dir, q := openQueue(t, d, 1)
	f := create(t, dir, "f", 1024)
	put(t, q, f, 0, pattern(512, 1), false)
	put(t, q, f, 512, pattern(512, 2), false)
	before := d.Image(keepAll).Hash()
	clone := d.Clone()
	g, err := openDir(t, clone).Open("f")
	require.NoError(t, err)
	require.NoError(t, g.Sync())
	require.Equal(t, before, clone.Trace().Cursor().Image(keepAll).Hash())
}

// TestImagesMakeTheirOwnDirectories.
func TestImagesMakeTheirOwnDirectories(t *testing.T) {
	d := sim.New(sim.Options{})
	a, b := d.Image(dropAll), d.Image(dropAll)
	for _, p := range []string{"/x", "/y"} {
		require.NoError(t, a.Mkdir(p))
	}
	for _, p := range []string{"/y", "/z", "/x"} {
		require.NoError(t, b.Mkdir(p))
	}
	require.NoError(t, a.WriteFile("/x/f", nil))
	require.NoError(t, b.WriteFile("/y/g", nil))
	require.Equal(t, []string{"f"}, a.Files("/x"))
	require.Empty(t, a.Files("/y"))
	require.Empty(t, b.Files("/x"))
	require.Equal(t, []string{"g"}, b.Files("/y"))
	require.Empty(t, d.Files("/"))
}

// TestCacheAfterFailedSync: File.Sync makes the cache a copy of the medium, not the
// medium itself.
func TestCacheAfterFailedSync(t *testing.T) {
	d := sim.New(sim.Options{})
	dir, q := openQueue(t, d, 1)
	f := create(t, dir, "f", 1024)
	put(t, q, f, 512, pattern(512, 1), true)
	d.Inject(sim.Fault{Op: sim.OpSync, Gate: true})
	require.Error(t, try(t, q, f, 0, pattern(512, 2), true))
	put(t, q, f, 512, pattern(512, 3), false)
	require.NoError(t, f.Sync())
	put(t, q, f, 0, pattern(1024, 4), false)
	require.Equal(t, join(make([]byte, 512), pattern(512, 3)), read(t, d.Image(dropAll), "f"))
}
