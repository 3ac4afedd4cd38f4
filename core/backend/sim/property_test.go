package sim_test

import (
	"bytes"
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/chronik-go/wal/core/backend"
	"github.com/chronik-go/wal/core/backend/sim"
)

// oracle knows, without the simulation's help, what a crash may leave of one file: for
// each sector the durable content and the versions written since.
type oracle struct {
	file   backend.File
	base   [][]byte
	newer  [][]version
	size   int   // durable, in sectors
	sizes  []int // unsynced, in order
	cached [][]byte
}

type version struct {
	data []byte
	done int // step at which Wait returned it; 0 while in flight
	from int // the write's number
}

const oracleSectors = 8

var noContent = make([]byte, sim.SectorSize)

func newOracle(f backend.File) *oracle {
	o := &oracle{file: f, sizes: []int{oracleSectors}}
	for range oracleSectors {
		o.base = append(o.base, noContent)
		o.cached = append(o.cached, noContent)
		o.newer = append(o.newer, nil)
	}
	return o
}

// settle makes durable, in each sector, the newest version that is covered.
func (o *oracle) settle(covered func(version) bool) {
	for s, vs := range o.newer {
		for i := len(vs) - 1; i >= 0; i-- {
			if covered(vs[i]) {
				o.base[s], o.newer[s] = vs[i].data, slices.Clone(vs[i+1:])
				break
			}
		}
	}
	if n := len(o.sizes); n > 0 {
		o.size, o.sizes = o.sizes[n-1], nil
	}
}

// verify says what is wrong with an image of the file.
func (o *oracle) verify(b []byte, im sim.Image) error {
	n := len(b) / sim.SectorSize
	switch {
	case n != o.size && !slices.Contains(o.sizes, n):
		return fmt.Errorf("%d sectors, durable are %d", n, o.size)
	case im.Mode == sim.DropAll && n != o.size:
		return fmt.Errorf("%d sectors of %d", n, o.size)
	case im.Mode == sim.KeepAll && len(o.sizes) > 0 && n != o.sizes[len(o.sizes)-1]:
		return fmt.Errorf("%d sectors kept", n)
	}
	for s := range n {
		got, vs := b[s*sim.SectorSize:][:sim.SectorSize], o.newer[s]
		allowed := [][]byte{o.base[s]}
		for _, v := range vs {
			allowed = append(allowed, v.data)
		}
		switch im.Mode {
		case sim.DropAll:
			allowed = allowed[:1]
		case sim.KeepAll:
			allowed = allowed[len(vs):]
		}
		isOne := slices.ContainsFunc(allowed, func(a []byte) bool { return bytes.Equal(a, got) })
		if !isOne && (!im.Garbage || len(vs) == 0) {
			return fmt.Errorf("sector %d holds %d..., durable is %d..., %d versions are newer", s, got[0], o.base[s][0], len(vs))
		}
	}
	return nil
}

// machine drives a disk at random and keeps an oracle of each file.
type machine struct {
	t        *rapid.T
	d        *sim.Disk
	dir      backend.Dir
	q        backend.Queue
	files    []*oracle
	step     int
	perWrite bool
	flying   map[*backend.Batch]flown
}

type flown struct {
	o            *oracle
	num, at, off int
	sectors      int
}

func newMachine(t *rapid.T) *machine {
	m := &machine{t: t, flying: map[*backend.Batch]flown{}, perWrite: rapid.Bool().Draw(t, "per write sync")}
	m.d = sim.New(sim.Options{Depth: 3, Seed: rapid.Uint64().Draw(t, "seed"), PerWriteSync: m.perWrite})
	m.dir, _ = m.d.OpenDir(at, backend.DirOptions{Create: true})
	m.q, _ = m.dir.Queue(backend.QueueOptions{Depth: 3})
	for i := range 2 {
		f, err := m.dir.Create(fmt.Sprint("f", i), oracleSectors*sim.SectorSize)
		require.NoError(t, err)
		m.files = append(m.files, newOracle(f))
	}
	require.NoError(t, m.dir.Sync())
	return m
}

func (m *machine) pick() *oracle { return rapid.SampledFrom(m.files).Draw(m.t, "file") }

func (m *machine) submit(t *rapid.T) {
	if len(m.flying) == 3 {
		t.Skip()
	}
	o := m.pick()
	w := flown{o: o, num: m.step, at: m.step}
	w.off = rapid.IntRange(0, oracleSectors-1).Draw(t, "sector")
	w.sectors = rapid.IntRange(0, oracleSectors-w.off).Draw(t, "sectors")
	sync := rapid.Bool().Draw(t, "sync")
	for _, other := range m.flying {
		if other.o == o && w.off < other.off+other.sectors && other.off < w.off+w.sectors {
			t.Skip()
		}
	}
	if w.sectors == 0 && !sync {
		t.Skip()
	}
	data := pattern(w.sectors*sim.SectorSize, byte(1+m.step%250))
	b := newBatch(t, m.q, o.file, int64(w.off)*sim.SectorSize, data, sync)
	require.NoError(t, m.q.Submit(b))
	m.flying[b] = w
	for s := range w.sectors {
		o.newer[w.off+s] = append(o.newer[w.off+s], version{data: data[:sim.SectorSize], from: w.num})
	}
}

func (m *machine) wait(t *rapid.T) {
	if len(m.flying) == 0 {
		t.Skip()
	}
	b := wait(t, m.q)
	require.NoError(t, b.Failed())
	w := m.flying[b]
	delete(m.flying, b)
	for s := w.off; s < w.off+w.sectors; s++ {
		for i := range w.o.newer[s] {
			if v := &w.o.newer[s][i]; v.from == w.num {
				v.done, w.o.cached[s] = m.step, v.data
			}
		}
	}
	if b.Writes[0].Sync {
		w.o.settle(func(v version) bool {
			return v.from == w.num || v.done != 0 && v.done < w.at && (!m.perWrite || w.sectors == 0)
		})
	}
}

func (m *machine) syncFile(t *rapid.T) {
	o := m.pick()
	require.NoError(t, o.file.Sync())
	o.settle(func(v version) bool { return v.done != 0 })
}

// check looks at an image, and at what readers see.
func (m *machine) check(t *rapid.T) {
	im := sim.Image{
		Mode:    rapid.SampledFrom([]sim.Mode{sim.DropAll, sim.KeepAll, sim.Random, sim.Prefix, sim.Hole}).Draw(t, "mode"),
		N:       rapid.IntRange(0, 20).Draw(t, "n"),
		Seed:    rapid.Uint64().Draw(t, "seed"),
		Torn:    rapid.Bool().Draw(t, "torn"),
		Garbage: rapid.Bool().Draw(t, "garbage"),
	}
	img := m.d.Image(im)
	require.Equal(t, img.Hash(), m.d.Image(im).Hash(), "same seed, same image")
	require.Equal(t, img.Hash(), m.d.Trace().At(m.d.Ops()).Image(im).Hash(), "the trace repeats the disk")
	for i, o := range m.files {
		b, err := img.ReadFile(fmt.Sprint(at, "/f", i))
		require.NoError(t, err, "a durable name survives")
		require.NoError(t, o.verify(b, im), "file %d, image %v", i, im)
		seen := make([]byte, oracleSectors*sim.SectorSize)
		_, err = o.file.ReadAt(seen, 0)
		require.NoError(t, err)
		require.True(t, bytes.Equal(slices.Concat(o.cached...), seen), "a read sees what Wait returned, and no more")
	}
	require.Equal(t, img.Hash(), img.Image(sim.Image{}).Hash(), "in an image everything is durable")
}

// TestCrashProperties: what was durable survives, nothing is invented.
func TestCrashProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := newMachine(t)
		t.Repeat(map[string]func(*rapid.T){
			"submit": m.submit, "submit more": m.submit, "wait": m.wait, "wait more": m.wait,
			"sync file": m.syncFile, "check": m.check,
			"": func(*rapid.T) { m.step++ },
		})
		m.check(t)
		require.NoError(t, m.d.Misuse())
	})
}

// TestEntryProperties: without a Sync of the directory, what a crash leaves is what some
// of the operations leave, such that none survives that shares a name with an earlier
// one that does not.
func TestEntryProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := sim.New(sim.Options{})
		require.NoError(t, d.Mkdir(at))
		dir, err := d.OpenDir(at, backend.DirOptions{})
		require.NoError(t, err)
		name := rapid.SampledFrom([]string{"a", "b", "c", "d"})
		type entries map[string]int64 // name to size, which tells the files apart
		type step struct {
			kind     string
			old, new string
			size     int64
		}
		apply := func(e entries, s step) {
			switch s.kind {
			case "create":
				e[s.old] = s.size
			case "remove":
				delete(e, s.old)
			case "rename":
				size := e[s.old]
				delete(e, s.old)
				e[s.new] = size
			}
		}
		durable, pending := entries{}, []step(nil)
		size := int64(0)
		for range rapid.IntRange(1, 8).Draw(t, "steps") {
			s := step{kind: rapid.SampledFrom([]string{"create", "remove", "rename", "sync"}).Draw(t, "op"), old: name.Draw(t, "name")}
			err := error(nil)
			switch s.kind {
			case "create":
				size++
				s.size = size
				var f backend.File
				if f, err = dir.Create(s.old, size); err == nil {
					require.NoError(t, f.Sync())
				}
			case "remove":
				err = dir.Remove(s.old)
			case "rename":
				if s.new = name.Draw(t, "new name"); s.new == s.old {
					continue
				}
				err = dir.Rename(s.old, s.new)
			case "sync":
				require.NoError(t, dir.Sync())
				for _, p := range pending {
					apply(durable, p)
				}
				pending = nil
				continue
			}
			if err == nil {
				pending = append(pending, s)
			}
		}
		allowed := map[string]bool{}
		for set := range 1 << len(pending) {
			e, lost, ok := entries{}, "", true
			for k, v := range durable {
				e[k] = v
			}
			for i, s := range pending {
				names := s.old + s.new
				switch {
				case set>>i&1 == 0:
					lost += names
				case bytes.ContainsAny([]byte(names), lost):
					ok = false
				default:
					apply(e, s)
				}
			}
			if ok {
				allowed[fmt.Sprint(e)] = true
			}
		}
		seen := map[string]bool{}
		for seed := range uint64(200) {
			img := d.Image(sim.Image{Mode: sim.Random, Seed: seed})
			e := entries{}
			for _, f := range img.Files(at) {
				b, err := img.ReadFile(at + "/" + f)
				require.NoError(t, err)
				e[f] = int64(len(b))
			}
			require.Contains(t, allowed, fmt.Sprint(e), "durable %v, pending %v", durable, pending)
			seen[fmt.Sprint(e)] = true
		}
		if len(pending) < 4 {
			require.Equal(t, allowed, seen, "every outcome comes up")
		}
	})
}
