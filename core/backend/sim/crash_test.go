package sim_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/chronik-go/wal/core/backend"
	"github.com/chronik-go/wal/core/backend/sim"
)

var dropAll, keepAll = sim.Image{Mode: sim.DropAll}, sim.Image{Mode: sim.KeepAll}

func join(parts ...[]byte) []byte {
	var out []byte
	for _, p := range parts {
		out = append(out, p...)
	}
	return out
}

func TestSyncedWriteSurvives(t *testing.T) {
	d := sim.New(sim.Options{})
	dir, q := openQueue(t, d, 1)
	f, err := dir.Create("f", 2048)
	require.NoError(t, err)
	require.NoError(t, dir.Sync())
	require.Empty(t, read(t, d.Image(dropAll), "f"), "the reservation is not durable yet")
	put(t, q, f, 0, pattern(512, 1), false)
	put(t, q, f, 512, pattern(512, 2), true)
	want := join(pattern(512, 1), pattern(512, 2), make([]byte, 1024))
	require.Equal(t, want, read(t, d.Image(dropAll), "f"), "with its size, and what completed before")
	put(t, q, f, 1024, pattern(512, 3), false)
	require.Equal(t, want, read(t, d.Image(dropAll), "f"))
	put(t, q, f, 0, nil, true)
	copy(want[1024:], pattern(512, 3))
	require.Equal(t, want, read(t, d.Image(dropAll), "f"), "a sync without data")
	put(t, q, f, 0, pattern(512, 4), false)
	require.NoError(t, f.Sync())
	copy(want, pattern(512, 4))
	require.Equal(t, want, read(t, d.Image(dropAll), "f"), "File.Sync")
}

func TestSyncDoesNotCoverWhatIsInFlight(t *testing.T) {
	d := sim.New(sim.Options{Depth: 2})
	dir, q := openQueue(t, d, 2)
	f := create(t, dir, "f", 2048)
	// A write of an earlier batch that is still in flight at the submission of the sync.
	submit(t, q, f, 0, pattern(512, 1), false)
	submit(t, q, f, 512, pattern(512, 2), true)
	wait(t, q)
	wait(t, q)
	require.Equal(t, join(make([]byte, 512), pattern(512, 2), make([]byte, 1024)), read(t, d.Image(dropAll), "f"))
	// One of the same batch.
	b := newBatch(t, q, f, 1024, pattern(512, 3), false)
	b.Writes = append(b.Writes, backend.Write{File: f, Sync: true})
	require.NoError(t, q.Submit(b))
	wait(t, q)
	require.Equal(t, join(pattern(512, 1), pattern(512, 2), make([]byte, 1024)), read(t, d.Image(dropAll), "f"))
}

func TestPerWriteSync(t *testing.T) {
	d := sim.New(sim.Options{PerWriteSync: true})
	dir, q := openQueue(t, d, 1)
	f := create(t, dir, "f", 1024)
	put(t, q, f, 0, pattern(1024, 1), false)
	require.NoError(t, f.Resize(1536))
	put(t, q, f, 512, pattern(512, 2), true)
	require.Equal(t, join(make([]byte, 512), pattern(512, 2), make([]byte, 512)), read(t, d.Image(dropAll), "f"))
	require.Equal(t, join(pattern(512, 1), pattern(512, 2), make([]byte, 512)), read(t, d.Image(keepAll), "f"),
		"what a synced write overwrote does not come back")
	put(t, q, f, 0, nil, true)
	require.Equal(t, pattern(512, 1), read(t, d.Image(dropAll), "f")[:512])
}

// TestSectorsSurviveOneByOne enumerates what one unsynced write of three sectors, the
// first over durable data, can leave behind.
func TestSectorsSurviveOneByOne(t *testing.T) {
	d := sim.New(sim.Options{})
	dir, q := openQueue(t, d, 1)
	f := create(t, dir, "f", 2048)
	put(t, q, f, 0, pattern(512, 1), true)
	put(t, q, f, 1536, pattern(512, 5), true)
	submit(t, q, f, 0, pattern(1536, 2), false)
	c := d.Trace().At(d.Ops())
	require.Equal(t, 3, c.Units())
	kind := func(b []byte) string {
		out := ""
		for i := 0; i < len(b); i += 512 {
			switch s := string(b[i : i+512]); s {
			case string(pattern(512, 1)):
				out += "o" // old
			case string(pattern(512, 2)):
				out += "n" // new
			case string(pattern(512, 5)):
				out += "x" // not being written
			case string(make([]byte, 512)):
				out += "z"
			default:
				out += "g"
			}
		}
		return out
	}
	show := func(im sim.Image) string { return kind(read(t, c.Image(im), "f")) }
	require.Equal(t, "ozzx", show(dropAll))
	require.Equal(t, "nnnx", show(keepAll))
	for n, want := range []string{"ozzx", "nzzx", "nnzx", "nnnx"} {
		require.Equal(t, want, show(sim.Image{Mode: sim.Prefix, N: n}))
	}
	for n, want := range []string{"onnx", "nznx", "nnzx"} {
		require.Equal(t, want, show(sim.Image{Mode: sim.Hole, N: n}))
	}
	whole, torn, garbage := map[string]int{}, map[string]int{}, map[string]int{}
	for seed := range uint64(2000) {
		whole[show(sim.Image{Mode: sim.Random, Seed: seed})]++
		torn[show(sim.Image{Mode: sim.Random, Seed: seed, Torn: true})]++
		garbage[show(sim.Image{Mode: sim.Hole, N: 0, Seed: seed, Garbage: true})]++
	}
	require.Len(t, whole, 2, "%v", whole)
	require.Len(t, torn, 8, "every combination of old and new: %v", torn)
	require.Len(t, garbage, 2, "%v", garbage)
	require.Positive(t, garbage["znnx"])
	require.Greater(t, garbage["gnnx"], 1000)
}

func TestEntriesAndSizes(t *testing.T) {
	d := sim.New(sim.Options{})
	dir, q := openQueue(t, d, 1)
	f, err := dir.Create("f", 512)
	require.NoError(t, err)
	put(t, q, f, 0, pattern(512, 1), true)
	require.Empty(t, d.Image(dropAll).Files(at), "a lost name loses the file, however well it was synced")
	require.NoError(t, dir.Sync())
	require.Equal(t, []string{"f"}, d.Image(dropAll).Files(at))
	require.NoError(t, dir.Rename("f", "g"))
	require.Equal(t, []string{"f"}, d.Image(dropAll).Files(at))
	require.Equal(t, []string{"g"}, d.Image(keepAll).Files(at))
	require.NoError(t, dir.Sync())
	require.Equal(t, []string{"g"}, d.Image(dropAll).Files(at))
	require.Equal(t, pattern(512, 1), read(t, d.Image(dropAll), "g"))
	put(t, q, f, 0, pattern(512, 2), false)
	require.NoError(t, dir.Remove("g"))
	require.Equal(t, pattern(512, 1), read(t, d.Image(dropAll), "g"))
	require.Empty(t, d.Image(keepAll).Files(at))
	require.NoError(t, dir.Sync())
	require.Empty(t, d.Image(dropAll).Files(at))
	require.Zero(t, d.Trace().At(d.Ops()).Units(), "a file without names leaves nothing to decide")
}

// TestRenameIsAtomic: the replaced file or the new one, never none; and operations on
// a name survive in order.
func TestRenameIsAtomic(t *testing.T) {
	d := sim.New(sim.Options{})
	require.NoError(t, d.Mkdir(at))
	require.NoError(t, d.WriteFile(at+"/a", []byte("old")))
	dir := openDir(t, d)
	f, err := dir.Create("tmp", 3)
	require.NoError(t, err)
	require.NoError(t, f.Sync())
	require.NoError(t, d.WriteFile("/other", nil))
	require.NoError(t, dir.Rename("tmp", "a"))
	_, err = dir.Create("b", 0)
	require.NoError(t, err)
	require.NoError(t, dir.Remove("a"))
	seen := map[string]bool{}
	for seed := range uint64(500) {
		img := d.Image(sim.Image{Mode: sim.Random, Seed: seed})
		s := ""
		for _, name := range img.Files(at) {
			s += name + "=" + string(read(t, img, name)) + " "
		}
		seen[s] = true
	}
	require.Equal(t, map[string]bool{
		"a=old ": true, "a=old b= ": true, // nothing of tmp
		"a=old tmp=\x00\x00\x00 ": true, "a=old b= tmp=\x00\x00\x00 ": true, // created
		"a=\x00\x00\x00 ": true, "a=\x00\x00\x00 b= ": true, // renamed
		"": true, "b= ": true, // removed
	}, seen)
}

// TestRecycling: a name that is given on survives in order with the file that had it.
func TestRecycling(t *testing.T) {
	d := sim.New(sim.Options{})
	require.NoError(t, d.Mkdir(at))
	require.NoError(t, d.WriteFile(at+"/a", []byte("A")))
	require.NoError(t, d.WriteFile(at+"/b", []byte("B")))
	dir := openDir(t, d)
	require.NoError(t, dir.Rename("b", "c"))
	require.NoError(t, dir.Rename("a", "b"))
	seen := map[string]bool{}
	for seed := range uint64(100) {
		img := d.Image(sim.Image{Mode: sim.Random, Seed: seed})
		s := ""
		for _, name := range img.Files(at) {
			s += name + string(read(t, img, name))
		}
		seen[s] = true
	}
	require.Equal(t, map[string]bool{"aAbB": true, "aAcB": true, "bAcB": true}, seen)
}

// TestPrefixFollowsTheOrderOfTheMachine, across files and directories.
func TestPrefixFollowsTheOrderOfTheMachine(t *testing.T) {
	d := sim.New(sim.Options{})
	dir, q := openQueue(t, d, 1)
	f, g := create(t, dir, "f", 512), create(t, dir, "g", 512)
	put(t, q, g, 0, pattern(512, 1), false)
	h, err := dir.Create("h", 0)
	require.NoError(t, err)
	require.NoError(t, h.Sync())
	put(t, q, f, 0, pattern(512, 1), false)
	require.NoError(t, dir.Remove("h"))
	put(t, q, g, 0, pattern(512, 2), false)
	c := d.Trace().At(d.Ops())
	require.Equal(t, 5, c.Units())
	var got []string
	for n := range 6 {
		img := c.Image(sim.Image{Mode: sim.Prefix, N: n})
		s := ""
		for _, name := range img.Files(at) {
			if s += name; name != "h" {
				s += string('0' + read(t, img, name)[0])
			}
		}
		got = append(got, s)
	}
	require.Equal(t, []string{"f0g0", "f0g1", "f0g1h", "f1g1h", "f1g1", "f1g2"}, got)
}

// TestRemovedFileMayComeBack: with what was written to it, and what was not.
func TestRemovedFileMayComeBack(t *testing.T) {
	d := sim.New(sim.Options{})
	dir, q := openQueue(t, d, 1)
	f, err := dir.Create("f", 512)
	require.NoError(t, err)
	put(t, q, f, 0, pattern(512, 1), true)
	put(t, q, f, 0, pattern(512, 2), false)
	require.NoError(t, dir.Remove("f"))
	c := d.Trace().At(d.Ops())
	require.Equal(t, 3, c.Units())
	require.Equal(t, pattern(512, 1), read(t, c.Image(sim.Image{Mode: sim.Prefix, N: 1}), "f"))
	require.Equal(t, pattern(512, 2), read(t, c.Image(sim.Image{Mode: sim.Prefix, N: 2}), "f"))
	require.Empty(t, c.Image(sim.Image{Mode: sim.Prefix, N: 3}).Files(at))
}

// TestPartialSector: where a lost growth leaves the end of the file inside a sector, what
// was written behind the end does not come back when the file grows again.
func TestPartialSector(t *testing.T) {
	d := sim.New(sim.Options{})
	dir, q := openQueue(t, d, 1)
	f := create(t, dir, "f", 700)
	require.NoError(t, f.Resize(1024))
	put(t, q, f, 512, pattern(512, 1), false)
	img := d.Image(sim.Image{Mode: sim.Hole, N: 0})
	want := join(make([]byte, 512), pattern(188, 1))
	require.Equal(t, want, read(t, img, "f"))
	require.NoError(t, img.Truncate(at+"/f", 1024))
	require.Equal(t, join(want, make([]byte, 324)), read(t, img, "f"))
}

// TestDurableShrinking ends the doubt about what was written into the space that it freed.
func TestDurableShrinking(t *testing.T) {
	d := sim.New(sim.Options{PerWriteSync: true})
	dir, q := openQueue(t, d, 1)
	f := create(t, dir, "f", 2048)
	put(t, q, f, 0, pattern(2048, 1), false)
	require.NoError(t, f.Resize(512))
	require.NoError(t, f.Resize(2048))
	put(t, q, f, 512, pattern(512, 2), true)
	require.Equal(t, join(pattern(512, 1), pattern(512, 2), make([]byte, 1024)), read(t, d.Image(keepAll), "f"))
}

// TestSizeIsLostInOrder: what is written beyond a size that is lost is lost too, and a
// lost shrinking does not let through what was written into the space it freed.
func TestSizeIsLostInOrder(t *testing.T) {
	d := sim.New(sim.Options{})
	dir, q := openQueue(t, d, 1)
	f := create(t, dir, "f", 1024)
	put(t, q, f, 0, pattern(1024, 1), true)
	require.NoError(t, f.Resize(512))
	require.NoError(t, f.Resize(1536))
	put(t, q, f, 512, pattern(1024, 2), false)
	old, shrunk := pattern(1024, 1), pattern(512, 1)
	grown := join(shrunk, make([]byte, 1024))
	c := d.Trace().At(d.Ops())
	require.Equal(t, 4, c.Units(), "two sizes, two sectors")
	for n, want := range [][]byte{old, shrunk, grown, join(shrunk, pattern(512, 2), make([]byte, 512)), read(t, d, "f")} {
		require.Equal(t, want, read(t, c.Image(sim.Image{Mode: sim.Prefix, N: n}), "f"), "prefix %d", n)
	}
	require.Equal(t, old, read(t, c.Image(sim.Image{Mode: sim.Hole, N: 0}), "f"))
	require.Equal(t, shrunk, read(t, c.Image(sim.Image{Mode: sim.Hole, N: 1}), "f"))
	require.NoError(t, f.Sync())
	require.Equal(t, read(t, d, "f"), read(t, d.Image(dropAll), "f"))
}

func TestKilledProcessKeepsTheCache(t *testing.T) {
	d := sim.New(sim.Options{Depth: 2})
	dir, q := openQueue(t, d, 2)
	f := create(t, dir, "f", 2048)
	put(t, q, f, 0, pattern(512, 1), false)
	require.NoError(t, dir.Rename("f", "g"))
	submit(t, q, f, 512, pattern(1024, 2), true)
	seen := map[string]bool{}
	for seed := range uint64(200) {
		img := d.Image(sim.Image{Mode: sim.Kill, Seed: seed, Torn: true})
		require.Equal(t, pattern(512, 1), read(t, img, "g")[:512])
		seen[string(read(t, img, "g")[512:1536])] = true
		// It is still unsynced: the power may yet fail.
		require.Equal(t, make([]byte, 2048), read(t, img.Image(dropAll), "f"))
		// A sync by the next process makes it durable.
		next := openDir(t, img)
		g, err := next.Open("g")
		require.NoError(t, err)
		require.NoError(t, g.Sync())
		require.NoError(t, next.Sync())
		require.Equal(t, read(t, img, "g"), read(t, img.Image(dropAll), "g"))
	}
	require.Len(t, seen, 4)
	require.Equal(t, make([]byte, 1024), read(t, d.Clone(), "g")[512:1536], "a clone has nothing in flight")
}

// TestCrashLive: after the crash every call fails, blocked ones too, and nothing changes.
func TestCrashLive(t *testing.T) {
	work := func(d *sim.Disk) error {
		dir, err := d.OpenDir(at, backend.DirOptions{Create: true})
		if err != nil {
			return err
		}
		f, err := dir.Create("tmp", 1024)
		if err != nil {
			return err
		}
		q, err := dir.Queue(backend.QueueOptions{Depth: 1})
		if err != nil {
			return err
		}
		if err := dir.Rename("tmp", "f"); err != nil {
			return err
		}
		if err := dir.Sync(); err != nil {
			return err
		}
		buf, err := q.Buffer(1024)
		if err != nil {
			return err
		}
		copy(buf.Bytes, pattern(1024, 1))
		b := &backend.Batch{Writes: []backend.Write{
			{File: f, Data: buf.Bytes[:512], Buffer: buf},
			{File: f, Offset: 512, Data: buf.Bytes[512:1024], Buffer: buf, Sync: true},
		}}
		if err := q.Submit(b); err != nil {
			return err
		}
		if _, err := q.Wait(); err != nil {
			return err
		}
		if err := f.Resize(2048); err != nil {
			return err
		}
		return f.Sync()
	}
	whole := sim.New(sim.Options{})
	require.NoError(t, work(whole))
	require.Equal(t, 10, whole.Ops())
	tr := whole.Trace()
	for k := range whole.Ops() {
		d := sim.New(sim.Options{})
		d.CrashAt(k)
		require.ErrorIs(t, work(d), sim.ErrCrashed, "crash at %d", k)
		require.True(t, d.Crashed())
		require.Equal(t, k, d.Ops())
		require.False(t, d.Mark("too late"))
		for _, im := range []sim.Image{dropAll, keepAll, {Mode: sim.Random, Seed: 3, Torn: true}} {
			require.Equal(t, tr.At(k).Image(im).Hash(), d.Image(im).Hash(), "a live crash is a crash in the trace")
		}
		require.ErrorIs(t, work(d), sim.ErrCrashed)
		require.ErrorIs(t, d.WriteFile("/x", nil), sim.ErrCrashed)
		require.Equal(t, k, d.Ops())
	}
}
