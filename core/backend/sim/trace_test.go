package sim_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/chronik-go/wal/core/backend/sim"
)

func TestMarksStandWhereTheyWereMade(t *testing.T) {
	d := sim.New(sim.Options{})
	d.Mark("start")
	dir, q := openQueue(t, d, 1) // mkdir
	f := create(t, dir, "f", 1024)
	d.Mark("created")
	put(t, q, f, 0, pattern(512, 1), true)
	d.Mark("acked")
	tr := d.Trace()
	put(t, q, f, 0, pattern(512, 2), true)
	require.True(t, d.Mark("later"))

	require.Equal(t, 6, tr.Len(), "a trace does not grow")
	require.Equal(t, []sim.Mark{{Point: 0, Value: "start"}, {Point: 4, Value: "created"}, {Point: 6, Value: "acked"}}, tr.Marks())
	c := tr.Cursor()
	var got []int
	for ok := true; ok; ok = c.Next() {
		got = append(got, len(c.Marks()))
	}
	require.Equal(t, []int{1, 1, 1, 1, 2, 2, 3}, got)
	require.Equal(t, "sync /d/f [0, +512]", tr.Op(5).String())
	require.Contains(t, c.String(), "point 6 of 6, after sync")
	require.Equal(t, 6, tr.At(1000).Point())
	require.Equal(t, 0, tr.At(-1).Point())
}

// TestCursorRepeatsTheDisk: a cursor holds what the disk held, faults and damage included.
func TestCursorRepeatsTheDisk(t *testing.T) {
	d := sim.New(sim.Options{Depth: 2, Seed: 7})
	var hashes []uint64
	check := func() {
		for len(hashes) <= d.Ops() {
			hashes = append(hashes, 0)
		}
		hashes[d.Ops()] = d.Image(sim.Image{Mode: sim.Random, Torn: true, Garbage: true, Seed: 5}).Hash() ^ d.Clone().Hash()
	}
	dir, q := openQueue(t, d, 2)
	check()
	f := create(t, dir, "f", 4096)
	check()
	d.Inject(sim.Fault{Op: sim.OpSync, Gate: true, After: 1})
	d.Inject(sim.Fault{Op: sim.OpWrite, Short: true, After: 2})
	for i := range 6 {
		submit(t, q, f, int64(i)*512, pattern(1024, byte(i+1)), i%2 == 1)
		check()
		wait(t, q)
		check()
	}
	require.NoError(t, d.FlipBit(at+"/f", 9, 1))
	check()
	require.NoError(t, d.Symlink("f", at+"/l"))
	check()
	require.NoError(t, dir.Rename("f", "g"))
	check()
	require.NoError(t, f.Sync())
	check()
	require.NoError(t, f.Resize(100))
	check()
	tr := d.Trace()
	for c := tr.Cursor(); ; {
		if want := hashes[c.Point()]; want != 0 {
			got := c.Image(sim.Image{Mode: sim.Random, Torn: true, Garbage: true, Seed: 5}).Hash() ^
				c.Image(sim.Image{Mode: sim.Kill, N: -1}).Hash()
			require.Equal(t, want, got, c.String())
		}
		if !c.Next() {
			break
		}
	}
}

// TestCrashStates: the plan covers every point, repeats itself, and each state can be
// made again from its point and image.
func TestCrashStates(t *testing.T) {
	tr := logTrace(t)
	plan := sim.Explore{Seed: 3, Prefixes: -1, Holes: 2, Randoms: 4, Kill: true, Garbage: true, From: 10, To: 60}
	hashes := map[int][]uint64{}
	modes := map[sim.Mode]int{}
	for s := range tr.CrashStates(plan) {
		hashes[s.Point] = append(hashes[s.Point], s.Disk.Hash())
		modes[s.Image.Mode]++
		require.False(t, s.Image.Mode == sim.Prefix && s.Image.N == 0 && !s.Image.Garbage, "that is DropAll again")
		require.Equal(t, s.Disk.Hash(), tr.At(s.Point).Image(s.Image).Hash(), "%v at %d", s.Image, s.Point)
	}
	require.Len(t, hashes, 50)
	require.Len(t, modes, 6)
	again := map[int][]uint64{}
	for s := range tr.CrashStates(plan) {
		again[s.Point] = append(again[s.Point], s.Disk.Hash())
	}
	require.Equal(t, hashes, again)
	plan.Seed++
	other := map[int][]uint64{}
	for s := range tr.CrashStates(plan) {
		other[s.Point] = append(other[s.Point], s.Disk.Hash())
	}
	require.NotEqual(t, hashes, other)
	points := 0
	for range tr.CrashStates(sim.Explore{}) {
		points++
	}
	require.Greater(t, points, tr.Len())
	for range tr.CrashStates(plan) {
		break
	}
	for range tr.CrashStates(sim.Explore{From: tr.Len() + 1}) {
		t.Fatal("there is no such point")
	}
}

// TestImagesAreIndependent: an image can be written, crashed and imaged in turn, and
// neither its parent nor its siblings notice.
func TestImagesAreIndependent(t *testing.T) {
	tr := logTrace(t)
	c := tr.At(tr.Len() - 20)
	im := sim.Image{Mode: sim.KeepAll}
	a, b := c.Image(im), c.Image(im)
	want := a.Hash()
	require.Equal(t, want, b.Hash())
	dir, q := openQueue(t, a, 1)
	f, err := dir.Open("1")
	require.NoError(t, err)
	put(t, q, f, 0, pattern(1024, 200), false)
	require.Equal(t, 2, a.Trace().Len(), "an image records its own trace")
	nested := a.Trace().At(1).Image(im)
	require.Equal(t, pattern(1024, 200), read(t, nested, "1")[:1024])
	put(t, q, f, 0, pattern(1024, 201), true)
	require.Equal(t, pattern(1024, 200), read(t, nested, "1")[:1024])
	require.Equal(t, pattern(1024, 1), read(t, b, "1")[:1024])
	require.Equal(t, want, b.Hash())
	require.Equal(t, want, c.Image(im).Hash())
	for c.Next() {
	}
	require.Equal(t, want, b.Hash())
	require.Equal(t, want, tr.At(tr.Len()-20).Image(im).Hash())
}

// TestHashIsOfTheContent: equal content hashes equally, however it came about, and any
// difference shows.
func TestHashIsOfTheContent(t *testing.T) {
	content := join(pattern(512, 1), make([]byte, 512), pattern(100, 2))
	a := sim.New(sim.Options{})
	require.NoError(t, a.Mkdir(at))
	require.NoError(t, a.WriteFile(at+"/f", content))
	b := sim.New(sim.Options{})
	dir, q := openQueue(t, b, 1)
	require.NoError(t, b.WriteFile(at+"/junk", pattern(5000, 3)))
	f := create(t, dir, "f", 2048)
	put(t, q, f, 0, pattern(2048, 9), true)
	require.NotEqual(t, a.Hash(), b.Hash())
	require.NoError(t, b.Delete(at+"/junk"))
	require.NoError(t, b.WriteFile(at+"/f", content))
	require.Equal(t, a.Hash(), b.Hash())
	put(t, q, f, 0, pattern(512, 8), false)
	unsynced := b.Hash()
	require.NotEqual(t, a.Hash(), unsynced)
	require.NoError(t, f.Sync())
	require.NotEqual(t, unsynced, b.Hash(), "the medium counts")
	hashes := map[uint64]bool{a.Hash(): true}
	for i, change := range []func(d *sim.Disk) error{
		func(d *sim.Disk) error { return d.FlipBit(at+"/f", 600, 0) },
		func(d *sim.Disk) error { return d.FlipBit(at+"/f", 1100, 0) },
		func(d *sim.Disk) error { return d.Truncate(at+"/f", 1125) },
		func(d *sim.Disk) error { return d.Misdirect(at+"/f", 0, 512, 512) },
		func(d *sim.Disk) error { return d.WriteFile(at+"/g", nil) },
		func(d *sim.Disk) error { return d.Mkdir(at + "/g") },
		func(d *sim.Disk) error { return d.Fifo(at + "/g") },
		func(d *sim.Disk) error { return d.Symlink("x", at+"/g") },
		func(d *sim.Disk) error { return d.Symlink("y", at+"/g") },
		func(d *sim.Disk) error { return d.Delete(at + "/f") },
	} {
		c := a.Clone()
		require.NoError(t, change(c))
		require.Len(t, hashes, i+1)
		hashes[c.Hash()] = true
		require.Len(t, hashes, i+2, "change %d does not show", i)
	}
}

func TestExportImport(t *testing.T) {
	for _, noTrace := range []bool{false, true} {
		d := sim.New(sim.Options{NoTrace: noTrace})
		require.NoError(t, d.Mkdir(at+"/sub"))
		content := join(make([]byte, 40<<10), pattern(700, 3))
		require.NoError(t, d.WriteFile(at+"/f", content))
		require.NoError(t, d.WriteFile(at+"/sub/g", nil))
		require.NoError(t, d.Truncate(at+"/sub/g", 1000))
		require.NoError(t, d.Symlink("f", at+"/l"))
		osDir := filepath.Join(t.TempDir(), "x")
		require.NoError(t, d.Export(at, osDir))
		got, err := os.ReadFile(filepath.Join(osDir, "l"))
		require.NoError(t, err)
		require.Equal(t, content, got)
		st, err := os.Stat(filepath.Join(osDir, "sub", "g"))
		require.NoError(t, err)
		require.EqualValues(t, 1000, st.Size())
		require.EqualValues(t, 0o600, st.Mode().Perm())
		require.ErrorIs(t, d.Export(at, osDir), os.ErrExist)
		require.ErrorIs(t, d.Export("/none", osDir), os.ErrNotExist)

		e := sim.New(sim.Options{NoTrace: noTrace})
		require.NoError(t, e.Import(osDir, at))
		require.Equal(t, d.Hash(), e.Hash())
		require.ErrorIs(t, e.Import(filepath.Join(osDir, "none"), at), os.ErrNotExist)
	}
}
