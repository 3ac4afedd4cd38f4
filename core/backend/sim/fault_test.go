package sim_test

import (
	"io/fs"
	"syscall"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/chronik-go/wal/core/backend"
	"github.com/chronik-go/wal/core/backend/sim"
)

// TestFaultsStrike: each operation can be made to fail, and then changes nothing.
func TestFaultsStrike(t *testing.T) {
	d := sim.New(sim.Options{})
	dir, q := openQueue(t, d, 1)
	f := create(t, dir, "f", 1024)
	for o, call := range map[sim.Op]func() error{
		sim.OpOpenDir: func() error { _, err := d.OpenDir(at, backend.DirOptions{}); return err },
		sim.OpMkdir:   func() error { _, err := d.OpenDir("/n", backend.DirOptions{Create: true}); return err },
		sim.OpLock:    dir.Lock,
		sim.OpList:    func() error { _, err := dir.List(); return err },
		sim.OpCreate:  func() error { _, err := dir.Create("g", 0); return err },
		sim.OpOpen:    func() error { _, err := dir.Open("f"); return err },
		sim.OpRename:  func() error { return dir.Rename("f", "g") },
		sim.OpRemove:  func() error { return dir.Remove("f") },
		sim.OpDirSync: dir.Sync,
		sim.OpQueue:   func() error { _, err := dir.Queue(backend.QueueOptions{Depth: 1}); return err },
		sim.OpBuffer:  func() error { _, err := q.Buffer(1); return err },
		sim.OpRead:    func() error { _, err := f.ReadAt(make([]byte, 9), 0); return err },
		sim.OpSize:    func() error { _, err := f.Size(); return err },
		sim.OpResize:  func() error { return f.Resize(0) },
		sim.OpFileSync: func() error {
			return f.Sync()
		},
		sim.OpSubmit: func() error { return q.Submit(newBatch(t, q, f, 0, pattern(512, 1), false)) },
		sim.OpWait:   func() error { _, err := q.Wait(); return err },
		sim.OpWrite:  func() error { return try(t, q, f, 0, pattern(512, 1), false) },
		sim.OpSync:   func() error { return try(t, q, f, 0, nil, true) },
	} {
		before := d.Hash()
		j := d.Inject(sim.Fault{Op: o, Err: syscall.EMFILE})
		err := call()
		require.ErrorIs(t, err, syscall.EMFILE, "%v", o)
		require.Equal(t, 1, j.Hits(), "%v", o)
		require.Equal(t, before, d.Hash(), "%v changed something", o)
		d.ClearFaults()
	}
	require.NoError(t, d.Misuse())
}

func TestFaultSchedule(t *testing.T) {
	d := sim.New(sim.Options{})
	dir := openDir(t, d)
	f := create(t, dir, "a.seg", 512)
	g := create(t, dir, "b.tmp", 512)
	j := d.Inject(sim.Fault{Op: sim.OpFileSync, Name: "*.seg", After: 1, Times: 2})
	var got []error
	for range 4 {
		require.NoError(t, g.Sync())
		got = append(got, f.Sync())
	}
	require.NoError(t, got[0])
	require.ErrorIs(t, got[1], syscall.EIO)
	require.ErrorIs(t, got[2], syscall.EIO)
	require.NoError(t, got[3])
	require.Equal(t, 2, j.Hits())
	require.NoError(t, dir.Rename("b.tmp", "b.seg"))
	j = d.Inject(sim.Fault{Op: sim.OpFileSync, Name: "b.seg", Times: sim.Forever})
	for range 3 {
		require.ErrorIs(t, g.Sync(), syscall.EIO, "the name is the present one")
	}
	j.Remove()
	require.NoError(t, g.Sync())
}

func TestFailedWrite(t *testing.T) {
	for _, c := range []struct {
		err   error
		units int // that may still be on the medium
	}{{syscall.ENOSPC, 0}, {syscall.EFBIG, 0}, {nil, 4}} {
		d := sim.New(sim.Options{})
		dir, q := openQueue(t, d, 1)
		f := create(t, dir, "f", 2048)
		d.Inject(sim.Fault{Op: sim.OpWrite, Err: c.err})
		require.Error(t, try(t, q, f, 0, pattern(2048, 1), true))
		zeros := make([]byte, 2048)
		require.Equal(t, zeros, read(t, d, "f"))
		require.Equal(t, c.units, d.Trace().At(d.Ops()).Units())
		require.NoError(t, try(t, q, f, 0, nil, true), "a later sync succeeds, but not for it")
		require.Equal(t, zeros, read(t, d.Image(dropAll), "f"))
		require.Equal(t, c.units, d.Trace().At(d.Ops()).Units())
		put(t, q, f, 0, pattern(1024, 2), true)
		require.Equal(t, pattern(1024, 2), read(t, d.Image(keepAll), "f")[:1024], "a durable write ends the doubt")
		require.NoError(t, f.Sync())
		require.Equal(t, read(t, d, "f"), read(t, d.Image(keepAll), "f"), "and so does File.Sync")
	}
}

func TestShortWrite(t *testing.T) {
	lengths := map[int]bool{}
	for seed := range uint64(30) {
		d := sim.New(sim.Options{Seed: seed})
		dir, q := openQueue(t, d, 1)
		f := create(t, dir, "f", 2048)
		d.Inject(sim.Fault{Op: sim.OpWrite, Short: true, Err: syscall.ENOSPC})
		require.ErrorIs(t, try(t, q, f, 0, pattern(2048, 1), true), syscall.ENOSPC)
		got := read(t, d, "f")
		n := 0
		for n < 2048 && got[n] == 1 {
			n += 512
		}
		lengths[n] = true
		want := join(pattern(n, 1), make([]byte, 2048-n))
		require.Equal(t, want, got)
		require.Equal(t, make([]byte, 2048), read(t, d.Image(dropAll), "f"))
		require.NoError(t, f.Sync())
		require.Equal(t, want, read(t, d.Image(dropAll), "f"))
	}
	require.Equal(t, map[int]bool{512: true, 1024: true, 1536: true}, lengths)
}

func TestShortRead(t *testing.T) {
	d := sim.New(sim.Options{})
	dir, q := openQueue(t, d, 1)
	f := create(t, dir, "f", 1024)
	put(t, q, f, 0, pattern(1024, 1), true)
	d.Inject(sim.Fault{Op: sim.OpRead, Short: true})
	b := make([]byte, 1024)
	n, err := f.ReadAt(b, 0)
	require.ErrorIs(t, err, syscall.EIO)
	require.Equal(t, 512, n)
	require.Equal(t, join(pattern(512, 1), make([]byte, 512)), b)
}

// TestFailedSync without Gate leaves the data dirty: a later sync makes it durable.
func TestFailedSync(t *testing.T) {
	d := sim.New(sim.Options{})
	dir, q := openQueue(t, d, 1)
	f := create(t, dir, "f", 512)
	d.Inject(sim.Fault{Op: sim.OpSync})
	require.ErrorIs(t, try(t, q, f, 0, pattern(512, 1), true), syscall.EIO)
	require.Equal(t, pattern(512, 1), read(t, d, "f"))
	require.Equal(t, make([]byte, 512), read(t, d.Image(dropAll), "f"))
	put(t, q, f, 0, nil, true)
	require.Equal(t, pattern(512, 1), read(t, d.Image(dropAll), "f"))
}

// TestFsyncGate: the sync fails once, later ones return nil, reads show the data, and a
// crash loses it; File.Sync returning nil ends the pretence.
func TestFsyncGate(t *testing.T) {
	for _, sync := range []func(t *testing.T, q backend.Queue, f backend.File) error{
		func(t *testing.T, q backend.Queue, f backend.File) error {
			return try(t, q, f, 512, pattern(512, 2), true)
		},
		func(t *testing.T, q backend.Queue, f backend.File) error {
			put(t, q, f, 512, pattern(512, 2), false)
			return f.Sync()
		},
	} {
		d := sim.New(sim.Options{})
		dir, q := openQueue(t, d, 1)
		f := create(t, dir, "f", 1536)
		put(t, q, f, 0, pattern(512, 1), false)
		d.Inject(sim.Fault{Op: sim.OpSync, Gate: true})
		d.Inject(sim.Fault{Op: sim.OpFileSync, Gate: true})
		require.ErrorIs(t, sync(t, q, f), syscall.EIO)
		d.ClearFaults()
		put(t, q, f, 1024, pattern(512, 3), true)
		put(t, q, f, 0, nil, true)
		shown := join(pattern(512, 1), pattern(512, 2), pattern(512, 3))
		require.Equal(t, shown, read(t, d, "f"))
		held := join(make([]byte, 1024), pattern(512, 3))
		require.Equal(t, held, read(t, d.Image(dropAll), "f"))
		killed := d.Clone()
		require.Equal(t, shown, read(t, killed, "f"), "the pretence outlives the process")

		next := openDir(t, killed)
		g, err := next.Open("f")
		require.NoError(t, err)
		require.NoError(t, g.Sync())
		require.Equal(t, held, read(t, killed, "f"), "after File.Sync reads show the medium")
		require.Equal(t, held, read(t, killed.Image(keepAll), "f"), "and a crash does not bring it back")
		put(t, q, f, 0, pattern(512, 4), true)
		require.Equal(t, join(pattern(512, 4), make([]byte, 512), pattern(512, 3)), read(t, d.Image(dropAll), "f"))
	}
}

// TestGateSparesTheSize: sizes are in the journal, not in the data that failed.
func TestGateSparesTheSize(t *testing.T) {
	d := sim.New(sim.Options{})
	dir, q := openQueue(t, d, 1)
	f := create(t, dir, "f", 512)
	require.NoError(t, f.Resize(1024))
	d.Inject(sim.Fault{Op: sim.OpSync, Gate: true})
	require.Error(t, try(t, q, f, 512, pattern(512, 1), true))
	require.Len(t, read(t, d.Image(dropAll), "f"), 512)
	put(t, q, f, 0, pattern(512, 2), true)
	require.Equal(t, join(pattern(512, 2), make([]byte, 512)), read(t, d.Image(dropAll), "f"))
}

func TestDirSyncGate(t *testing.T) {
	d := sim.New(sim.Options{})
	dir := openDir(t, d)
	_, err := dir.Create("a", 0)
	require.NoError(t, err)
	j := d.Inject(sim.Fault{Op: sim.OpDirSync, Gate: true})
	require.ErrorIs(t, dir.Sync(), syscall.EIO)
	require.Equal(t, 1, j.Hits())
	_, err = dir.Create("b", 0)
	require.NoError(t, err)
	require.NoError(t, dir.Rename("a", "c"))
	require.NoError(t, dir.Sync())
	require.Equal(t, []string{"b", "c"}, d.Files(at))
	require.Equal(t, []string{"b"}, d.Image(dropAll).Files(at), "what depends on a lost entry is lost")
}

func TestLies(t *testing.T) {
	d := sim.New(sim.Options{})
	dir, q := openQueue(t, d, 1)
	f := create(t, dir, "f", 512)
	require.NoError(t, dir.Rename("f", "g"))
	lies := []func(){
		func() { d.LieAboutSync(true) },
		func() {
			d.LieAboutSync(false)
			for _, o := range []sim.Op{sim.OpSync, sim.OpFileSync, sim.OpDirSync} {
				d.Inject(sim.Fault{Op: o, Lie: true})
			}
		},
	}
	for _, lie := range lies {
		lie()
		put(t, q, f, 0, pattern(512, 1), true)
		require.NoError(t, f.Sync())
		require.NoError(t, dir.Sync())
		require.Equal(t, make([]byte, 512), read(t, d.Image(dropAll), "f"))
	}
	require.NoError(t, f.Sync())
	require.NoError(t, dir.Sync())
	require.Equal(t, pattern(512, 1), read(t, d.Image(dropAll), "g"), "an honest sync makes it good")
}

func TestReadOnlyFileSystem(t *testing.T) {
	d := sim.New(sim.Options{})
	dir, q := openQueue(t, d, 1)
	f := create(t, dir, "f", 512)
	d.ReadOnly(true)
	require.NoError(t, f.Sync(), "nothing to do")
	require.NoError(t, dir.Sync())
	before := d.Hash()
	_, err := dir.Create("g", 0)
	require.ErrorIs(t, err, syscall.EROFS)
	require.ErrorIs(t, dir.Rename("f", "g"), syscall.EROFS)
	require.ErrorIs(t, dir.Remove("f"), syscall.EROFS)
	require.ErrorIs(t, f.Resize(0), syscall.EROFS)
	require.ErrorIs(t, try(t, q, f, 0, pattern(512, 1), true), syscall.EROFS)
	_, err = d.OpenDir("/new", backend.DirOptions{Create: true})
	require.ErrorIs(t, err, syscall.EROFS)
	require.Equal(t, before, d.Hash())
	d.ReadOnly(false)
	put(t, q, f, 0, pattern(512, 1), false)
	require.NoError(t, dir.Rename("f", "g"))
	d.ReadOnly(true)
	require.ErrorIs(t, f.Sync(), syscall.EROFS, "it cannot be made durable")
	require.ErrorIs(t, dir.Sync(), syscall.EROFS)
	require.Equal(t, make([]byte, 512), read(t, d.Image(dropAll), "f"))
}

// TestBeforeOp: the hook sees every operation, may block, and may use the disk.
func TestBeforeOp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := sim.New(sim.Options{})
		var seen []string
		gate := make(chan struct{})
		d.BeforeOp(func(i sim.OpInfo) {
			seen = append(seen, i.String())
			if i.Op == sim.OpSync {
				<-gate
				d.Hash()
			}
		})
		dir, q := openQueue(t, d, 1)
		f := create(t, dir, "f", 512)
		done := make(chan struct{})
		go func() {
			defer close(done)
			put(t, q, f, 0, pattern(512, 1), true)
		}()
		synctest.Wait()
		require.Equal(t, make([]byte, 512), read(t, d, "f"), "the sync is stuck")
		close(gate)
		<-done
		require.Equal(t, pattern(512, 1), read(t, d, "f"))
		d.BeforeOp(nil)
		require.NoError(t, f.Sync())
		require.Equal(t, []string{
			"opendir /d", "queue /d", "create /d/f size 512", "filesync /d/f", "dirsync /d", "buffer /d",
			"submit /d/f [0, +512]", "wait /d", "sync /d/f [0, +512]",
		}, seen)
	})
}

// TestCrashUnblocks: a Wait and a Close that are blocked return when the machine
// crashes, and so does one whose sync is stuck in the hook.
func TestCrashUnblocks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := sim.New(sim.Options{})
		errs := make(chan error, 3)
		dir := openDir(t, d)
		release := make(chan struct{})
		for i, call := range []func(q backend.Queue) error{
			func(q backend.Queue) error { _, err := q.Wait(); return err },
			func(q backend.Queue) error { return q.Close() },
			func(q backend.Queue) error { _, err := q.Wait(); return err },
		} {
			q, err := dir.Queue(backend.QueueOptions{Depth: 1})
			require.NoError(t, err)
			f := create(t, dir, string(rune('a'+i)), 512)
			submit(t, q, f, 0, pattern(512, 1), true)
			d.Stall()
			if i == 2 {
				d.Complete(1)
				d.BeforeOp(func(i sim.OpInfo) {
					if i.Op == sim.OpSync {
						<-release
					}
				})
			}
			go func() { errs <- call(q) }()
			synctest.Wait()
		}
		d.Crash()
		require.ErrorIs(t, <-errs, sim.ErrCrashed)
		require.ErrorIs(t, <-errs, sim.ErrCrashed)
		close(release)
		require.ErrorIs(t, <-errs, sim.ErrCrashed)
		require.Equal(t, make([]byte, 512), read(t, d.Image(dropAll), "c"))
	})
}

// TestDamageSettles: a helper leaves nothing unsynced in the file, but for what is in
// flight.
func TestDamageSettles(t *testing.T) {
	d := sim.New(sim.Options{})
	dir, q := openQueue(t, d, 1)
	f := create(t, dir, "f", 1536)
	put(t, q, f, 0, pattern(1024, 1), false)
	submit(t, q, f, 1024, pattern(512, 2), false)
	require.NoError(t, d.FlipBit(at+"/f", 0, 3))
	want := join([]byte{9}, pattern(1023, 1), make([]byte, 512))
	require.Equal(t, want, read(t, d.Image(dropAll), "f"))
	copy(want[1024:], pattern(512, 2))
	require.Equal(t, want, read(t, d.Image(keepAll), "f"))
	wait(t, q)
	require.Equal(t, want, read(t, d, "f"))
}

func TestDamage(t *testing.T) {
	for _, noTrace := range []bool{false, true} {
		d := sim.New(sim.Options{NoTrace: noTrace})
		require.NoError(t, d.Mkdir("/d/sub"))
		require.NoError(t, d.Mkdir("/d/sub"))
		p := at + "/f"
		require.ErrorIs(t, d.FlipBit(p, 0, 0), fs.ErrNotExist)
		old := join(pattern(700, 1), pattern(800, 2))
		require.NoError(t, d.WriteFile(p, old))
		is := func(want []byte, msg string) {
			t.Helper()
			require.Equal(t, want, read(t, d, "f"), msg)
			require.Equal(t, want, read(t, d.Image(dropAll), "f"), msg)
		}
		is(old, "written")
		require.NoError(t, d.FlipBit(p, 1499, 7))
		want := append(old[:1499:1499], 2^128)
		is(want, "bit flip")
		require.NoError(t, d.Zero(p, 600, 600))
		clear(want[600:1200])
		is(want, "zeroed")
		require.NoError(t, d.Misdirect(p, 0, 512, 512))
		copy(want[512:1024], pattern(512, 1))
		is(want, "misdirected")
		require.NoError(t, d.Overwrite(p, 1490, []byte("end")))
		copy(want[1490:], "end")
		is(want, "overwritten")
		require.NoError(t, d.Truncate(p, 100))
		require.NoError(t, d.Truncate(p, 600))
		is(join(want[:100], make([]byte, 500)), "truncated")
		require.NoError(t, d.Edit(p, func(b []byte) []byte { b[0] = 9; return b[:3] }))
		is([]byte{9, 1, 1}, "edited")
		require.NoError(t, d.WriteFile(p, old))
		is(old, "stale version back")
		for _, err := range []error{
			d.Zero(p, 1000, 501), d.Overwrite(p, -1, nil), d.Misdirect(p, 1400, 0, 200),
			d.Truncate(p, -1), d.Zero(p, 1<<62, 1<<62),
		} {
			require.ErrorIs(t, err, syscall.EINVAL)
		}
		is(old, "refused")
		require.ErrorIs(t, d.Edit(at+"/sub", nil), backend.ErrNotRegular)
		require.ErrorIs(t, d.Delete(at+"/sub"), syscall.EISDIR)
		require.ErrorIs(t, d.Symlink("x", p), fs.ErrExist)
		f, err := openDir(t, d).Open("f")
		require.NoError(t, err)
		require.NoError(t, d.Delete(p))
		require.Equal(t, []string{"sub"}, d.Files(at))
		require.Equal(t, []string{"sub"}, d.Image(dropAll).Files(at))
		_, err = f.ReadAt(make([]byte, 1), 0)
		require.NoError(t, err)
	}
}
