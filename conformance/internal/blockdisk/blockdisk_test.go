package blockdisk

import (
	"bytes"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/chronik-go/wal/conformance/internal/writer"
)

const size = 1 << 20

func started(t *testing.T) *Disk {
	t.Helper()
	page, err := writer.CreatePage()
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, page.Close()) })
	d := New(size, page)
	require.NoError(t, d.Start(1, nil))
	return d
}

// put writes a block of one byte; at returns that byte.
func put(t *testing.T, d *Disk, n int64, b byte) {
	t.Helper()
	require.NoError(t, d.write(n*blockSize, bytes.Repeat([]byte{b}, blockSize)))
}

func at(d *Disk, n int64) byte {
	p := make([]byte, blockSize)
	d.read(p, n*blockSize)
	return p[0]
}

func stopped(t *testing.T, d *Disk) (points int) {
	t.Helper()
	require.NoError(t, d.Stop(Nothing{}, &points))
	return points
}

func crash(t *testing.T, d *Disk, point int, m Mode, seed uint64) {
	t.Helper()
	require.NoError(t, d.Crash(Crash{Point: point, Mode: m, Seed: seed}, &State{}))
}

// What a flush covered is there in every state, and what none covered in some.
func TestFlushedSurvives(t *testing.T) {
	d := started(t)
	put(t, d, 0, 1)
	require.NoError(t, d.flush())
	put(t, d, 1, 2)
	end := stopped(t, d)
	seen := map[byte]bool{}
	for seed := range uint64(50) {
		for m := range Modes {
			crash(t, d, end, m, seed)
			require.EqualValues(t, 1, at(d, 0), m)
			seen[at(d, 1)] = true
			crash(t, d, 1, m, seed) // before its write was complete
		}
	}
	require.Equal(t, map[byte]bool{0: true, 2: true}, seen)
	crash(t, d, end, None, 0)
	require.Zero(t, at(d, 1))
	crash(t, d, end, All, 0)
	require.EqualValues(t, 2, at(d, 1))
}

// A flush that arrives while a write is under way does not cover it.
func TestFlushBesideWriteDoesNotCoverIt(t *testing.T) {
	overtaken := false
	for seed := uint64(0); !overtaken && seed < 50; seed++ {
		d := started(t)
		d.random = rand.New(rand.NewPCG(seed, seed))
		done := make(chan error)
		go func() { done <- d.write(0, bytes.Repeat([]byte{1}, blockSize)) }()
		for arrived := false; !arrived; {
			d.mu.Lock()
			arrived = len(d.recordings[0].writes) > 0
			d.mu.Unlock()
		}
		require.NoError(t, d.flush())
		require.NoError(t, <-done)
		crash(t, d, stopped(t, d), None, 0)
		overtaken = at(d, 0) == 0
	}
	require.True(t, overtaken, "no flush ever overtook a write")
}

// A flush that failed covers nothing, nor does a later one cover a write that failed. A later
// write on its place counts whatever became of it.
func TestFailedWritesAndFlushes(t *testing.T) {
	d := started(t)
	require.NoError(t, d.SetFault(Fault{Flush: 1, Count: 1}, nil))
	put(t, d, 0, 1)
	require.Error(t, d.flush())
	afterFailure := len(d.recordings[0].events)
	require.NoError(t, d.SetFault(Fault{Write: 2, Count: 1}, nil))
	put(t, d, 1, 2)
	require.Error(t, d.write(2*blockSize, bytes.Repeat([]byte{3}, blockSize)))
	require.Error(t, func() error {
		require.NoError(t, d.SetFault(Fault{Write: 1, Count: 1}, nil))
		return d.write(3*blockSize, bytes.Repeat([]byte{4}, blockSize))
	}())
	put(t, d, 3, 5)
	require.NoError(t, d.flush())
	end := stopped(t, d)
	crash(t, d, afterFailure-1, None, 0)
	require.Zero(t, at(d, 0))
	for seed := range uint64(50) {
		for m := range Modes {
			crash(t, d, end, m, seed)
			require.EqualValues(t, []byte{1, 2, 5}, []byte{at(d, 0), at(d, 1), at(d, 3)}, m)
			require.Contains(t, []byte{0, 3}, at(d, 2))
		}
	}
}

// A recording that is dropped leaves the disk as it was, and states do not see each other.
func TestRecordingsNest(t *testing.T) {
	d := started(t)
	put(t, d, 0, 1)
	end := stopped(t, d)
	crash(t, d, end, All, 0)
	require.NoError(t, d.Start(1, nil))
	put(t, d, 0, 2)
	put(t, d, 1, 2)
	inner := stopped(t, d)
	crash(t, d, inner, None, 0)
	require.EqualValues(t, []byte{1, 0}, []byte{at(d, 0), at(d, 1)})
	crash(t, d, inner, All, 0)
	require.EqualValues(t, []byte{2, 2}, []byte{at(d, 0), at(d, 1)})
	require.NoError(t, d.Drop(Nothing{}, nil))
	require.EqualValues(t, []byte{1, 0}, []byte{at(d, 0), at(d, 1)})
	crash(t, d, end, None, 0)
	require.Zero(t, at(d, 0))
	require.Error(t, d.Crash(Crash{Point: end + 1}, &State{}))
}

// Torn writes keep whole sectors only.
func TestTornBySectors(t *testing.T) {
	d := started(t)
	put(t, d, 0, 7)
	end := stopped(t, d)
	parts := map[int]bool{}
	for seed := range uint64(200) {
		crash(t, d, end, Torn, seed)
		p := make([]byte, blockSize)
		d.read(p, 0)
		for s := 0; s < blockSize; s += sector {
			require.Equal(t, bytes.Repeat(p[s:s+1], sector), p[s:s+sector])
		}
		parts[bytes.Count(p, []byte{7})/sector] = true
	}
	require.Greater(t, len(parts), 4)
}

// A read sees what was written, byte by byte, whatever the blocks.
func TestImageIsADisk(t *testing.T) {
	m, want := newImage(size), make([]byte, size)
	seed := uint64(time.Now().UnixNano())
	t.Log("seed", seed)
	random := rand.New(rand.NewPCG(seed, 1))
	for n := range 500 {
		if n%50 == 0 {
			m.push()
		}
		off := random.IntN(size)
		p := make([]byte, random.IntN(min(size-off, 3*blockSize))+1)
		if random.IntN(3) > 0 {
			for i := range p {
				p[i] = byte(random.Uint32())
			}
		}
		copy(want[off:], p)
		m.write(p, int64(off))
	}
	got := make([]byte, size)
	require.Equal(t, size, m.read(got, 0))
	require.True(t, bytes.Equal(want, got))
	require.Equal(t, 10, m.read(make([]byte, 100), size-10))
}

// What is kept of a disk is what the crash left, with holes, and says of each write what became
// of it.
func TestKeep(t *testing.T) {
	d := started(t)
	put(t, d, 0, 1)
	require.NoError(t, d.flush())
	put(t, d, 100, 2)
	put(t, d, 101, 3)
	end := stopped(t, d)
	c := Crash{Point: end, Mode: None}
	crash(t, d, end, All, 0)
	dir := t.TempDir()
	require.NoError(t, d.Keep(Keep{Dir: dir, Crash: &c}, nil))

	image, err := os.ReadFile(filepath.Join(dir, KeptImage))
	require.NoError(t, err)
	want := append(bytes.Repeat([]byte{1}, blockSize), make([]byte, size-blockSize)...)
	require.True(t, bytes.Equal(want, image))
	text, err := os.ReadFile(filepath.Join(dir, KeptEvents))
	require.NoError(t, err)
	for _, line := range []string{
		"# crash before event 7, none of the unflushed writes left, image seed 0",
		"0 0 0/0/0 write 0 arrives: 4096 bytes at 0, hash ",
		", flushed\n1 0 0/0/0 write 0 is complete\n2 0 0/0/0 flush 0 is complete: it covers what was complete before event 2\n",
		"write 1 arrives: 4096 bytes at 409600, hash ",
		", not flushed: 0 bytes left\n4 0 0/0/0 write 1 is complete\n",
	} {
		require.Contains(t, string(text), line)
	}
	require.Error(t, d.Keep(Keep{Dir: dir, Crash: &c}, nil), "what is kept is never written over")
}
