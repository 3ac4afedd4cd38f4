package wal_test

import (
	"fmt"
	"math"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cespare/xxhash/v2"
	"github.com/stretchr/testify/require"

	wal "github.com/chronik-go/wal/core"
	"github.com/chronik-go/wal/core/backend/sim"
	"github.com/chronik-go/wal/core/format"
)

func segments(t tester, m *wal.Manager) []wal.SegmentInfo {
	t.Helper()
	list, err := m.Segments()
	require.NoError(t, err)
	return list
}

// names returns the files in the data directory that end so.
func names(disk *sim.Disk, suffix string) (list []string) {
	for _, name := range disk.Files(dataDir) {
		if strings.HasSuffix(name, suffix) {
			list = append(list, name)
		}
	}
	return list
}

// Segments stay below their size, follow each other without a gap in LSNs, and all but
// the last one are sealed in the background.
func TestRotationBySize(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const size = 16 << 10
		disk := newDisk(t, sim.Options{})
		var sealed, rotated recorder[string]
		m := open(t, disk, wal.WithSegmentSize(size), wal.WithHooks(wal.Hooks{Rotated: rotated.add, Sealed: sealed.add}))
		fill(t, m, 3, 100)
		synctest.Wait()
		list := segments(t, m)
		require.Greater(t, len(list), 3)
		lsn, records := uint64(0), int64(0)
		for i, s := range list {
			require.EqualValues(t, i+1, s.Number)
			require.Equal(t, fmt.Sprintf("%020d.wal", i+1), s.Name)
			require.Equal(t, s.Name, rotated.all()[i])
			require.Equal(t, lsn+1, s.FirstLSN)
			require.LessOrEqual(t, s.Bytes, int64(size))
			data, err := disk.ReadFile(dataDir + "/" + s.Name)
			require.NoError(t, err)
			require.EqualValues(t, len(data), s.Size)
			lsn, records = s.LastLSN, records+s.Records
			if i == len(list)-1 {
				require.Equal(t, "active", s.State)
				require.EqualValues(t, size, s.Size, "reserved as a whole")
				continue
			}
			require.Equal(t, "sealed", s.State)
			require.Equal(t, s.Name, sealed.all()[i])
			require.Less(t, s.Size, s.Bytes+2048, "cut behind its footer")
		}
		require.EqualValues(t, 300, lsn)
		require.EqualValues(t, 300, records)
		require.EqualValues(t, len(list), m.Stats().Rotations)
		require.NoError(t, m.Close())
		require.Len(t, sealed.all(), len(list), "a clean close seals the last one too")
		requireSealed(t, disk, names(disk, ".wal"))
		require.Equal(t, []string{"close.marker"}, names(disk, "marker"))
		require.Empty(t, names(disk, ".tmp"))
		requireFilled(t, open(t, disk), 3, 100)
	})
}

// requireSealed demands of each segment a footer that tells the truth, and that each
// header names the end of the segment before.
func requireSealed(t *testing.T, disk *sim.Disk, names []string) {
	t.Helper()
	var last format.Link
	for i, name := range names {
		data, err := disk.ReadFile(dataDir + "/" + name)
		require.NoError(t, err)
		h, err := format.ReadSegmentHeader(data)
		require.NoError(t, err)
		if i > 0 {
			require.Equal(t, last, h.Predecessor)
		}
		trailer, err := format.ReadTrailer(data)
		require.NoError(t, err)
		f, err := trailer.ReadBody(data[trailer.BodyAt : trailer.BodyAt+trailer.BodyLength])
		require.NoError(t, err)
		require.Equal(t, h.Number, f.Number)
		require.Equal(t, h.Epoch, f.Epoch)
		require.Equal(t, f.BodyAt, f.End.End)
		require.Equal(t, xxhash.Sum64(data[:f.BodyAt]), f.XXH64)
		requireFooterTells(t, f, h, data[:f.BodyAt])
		last = f.End
	}
}

// requireFooterTells reads the frames of a segment and compares them with its footer.
func requireFooterTells(t *testing.T, f *format.Footer, h format.SegmentHeader, data []byte) {
	t.Helper()
	frames, records, newest := int64(0), int64(0), int64(0)
	ends := map[uint32]int64{}
	lsn := h.FirstLSN
	for at := int64(format.HeaderSize); at < int64(len(data)); frames++ {
		fh, err := format.ReadFrameHeader(data[at:])
		require.NoError(t, err)
		require.Equal(t, lsn, fh.LSN)
		entries, err := format.ReadDirectory(nil, fh, data[at+fh.DirectoryAt():at+fh.Length])
		require.NoError(t, err)
		for _, e := range entries {
			if e.Kind.HasLSN() {
				lsn++
			}
			if e.Kind == format.KindData {
				records += int64(e.Count)
				newest = max(newest, e.MaxTimestamp)
				ends[e.Partition] = e.End()
			}
		}
		at += format.AlignUp(fh.Length, h.Alignment)
	}
	require.Equal(t, frames, f.Frames)
	require.Equal(t, records, f.Records)
	require.Equal(t, newest, f.MaxTimestamp)
	require.Equal(t, lsn-1, f.End.LSN)
	require.Len(t, f.Partitions, len(ends))
	for _, p := range f.Partitions {
		require.NotEmpty(t, p.Index)
		require.Equal(t, ends[p.ID], p.Runs[len(p.Runs)-1].End)
	}
}

// A segment is closed when it is old enough and holds something, by the clock: no append
// is needed for it. The next one begins with the next append.
func TestRotationByAge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := newDisk(t, sim.Options{})
		var sealed recorder[string]
		m := open(t, disk, wal.WithRotationAge(time.Minute), wal.WithHooks(wal.Hooks{Sealed: sealed.add}))
		time.Sleep(time.Hour)
		require.Empty(t, names(disk, ".wal"), "nothing was appended")
		p := partition(t, m, "t", 0)
		appendValues(t, p, 1)
		time.Sleep(59 * time.Second)
		appendValues(t, p, 1)
		synctest.Wait()
		require.Empty(t, sealed.all())
		time.Sleep(time.Second)
		synctest.Wait()
		require.Len(t, sealed.all(), 1)
		time.Sleep(time.Hour)
		require.Len(t, segments(t, m), 1)
		appendValues(t, p, 1)
		require.Len(t, segments(t, m), 2)
		synctest.Wait()
		require.Len(t, sealed.all(), 1)
		requireValues(t, p, 0, 3)
	})
}

// The next segment's file is made while the one before is being written, so that an
// append does not wait for it.
func TestNextSegmentIsPreparedInBackground(t *testing.T) {
	for _, written := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			disk := newDisk(t, sim.Options{PreferWritten: written})
			m := open(t, disk, wal.WithSegmentSize(16<<10))
			p := partition(t, m, "t", 0)
			appendValues(t, p, 1)
			synctest.Wait()
			require.Len(t, names(disk, ".tmp"), 1, "ready long before it is needed")
			disk.Stall()
			if written { // its space is written with zeros ahead of the log
				data, err := disk.ReadFile(dataDir + "/" + names(disk, ".tmp")[0])
				require.NoError(t, err)
				require.Len(t, data, 16<<10)
			}
			disk.Resume()
			for p.NextOffset() < 100 {
				appendValues(t, p, 1)
				synctest.Wait()
				if list := segments(t, m); list[len(list)-1].Bytes > 8<<10 {
					require.Len(t, names(disk, ".tmp"), 1)
				}
			}
			requireValues(t, p, 0, 100)
		})
	}
}

// Zeros written ahead never meet a record: neither in a segment whose file was made, nor
// in one whose file is used again, nor across a failure.
func TestZerosAheadOfTheLog(t *testing.T) {
	disk := newDisk(t, sim.Options{PreferWritten: true, Depth: 4})
	m := open(t, disk, wal.WithSegmentSize(70<<20), wal.WithBufferSize(1<<20), wal.WithMaxRecordSize(64<<20))
	p := partition(t, m, "t", 0)
	var want int
	for i := range 12 {
		for range 12 {
			_, err := p.Append(bg, big(64<<10, byte(want)))
			require.NoError(t, err)
			want++
		}
		if i%4 == 3 {
			_, err := p.Append(bg, big(9<<20, byte(want)))
			require.NoError(t, err)
			want++
		}
	}
	require.Greater(t, m.Stats().BytesWritten, m.Stats().Bytes+32<<20, "zeros were written")
	next := 0
	for r, err := range p.Read(bg, 0) {
		require.NoError(t, err)
		require.Equal(t, byte(next), r.Value[0])
		next++
	}
	require.Equal(t, want, next)
}

// A log that holds little makes few zeros: a directory may have many such logs.
func TestZerosOfALittleLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := open(t, newDisk(t, sim.Options{PreferWritten: true, NoTrace: true}), wal.WithSegmentSize(80<<20))
		p := partition(t, m, "t", 0)
		for n := int64(0); n < 4<<20; n += 64 << 10 {
			_, err := p.Append(bg, big(64<<10, 'x'))
			require.NoError(t, err)
			synctest.Wait()
			require.LessOrEqual(t, int64(m.Stats().BytesWritten), 2<<20+4*n, "after %d bytes", n)
		}
	})
}

// The next segment's file gets its zeros while the active one is written, at that one's pace, so that
// none have to be written to a segment while the log is in it.
func TestZerosOfTheNextSegment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const size, record = 80 << 20, 64 << 10
		disk := newDisk(t, sim.Options{PreferWritten: true, NoTrace: true})
		m := open(t, disk, wal.WithSegmentSize(size), wal.WithBufferSize(1<<20))
		p := partition(t, m, "t", 0)
		zeros := map[string]*atomic.Int64{".tmp": {}, ".wal": {}}
		disk.BeforeOp(func(o sim.OpInfo) {
			if o.Op == sim.OpWrite && o.Len > 128<<10 {
				zeros[filepath.Ext(o.Name)].Add(int64(o.Len))
			}
		})
		for n := int64(0); m.Stats().Rotations < 2; n += record {
			_, err := p.Append(bg, big(record, 'x'))
			require.NoError(t, err)
			synctest.Wait()
			if m.Stats().Rotations < 2 {
				next := max(0, zeros[".tmp"].Load()-1<<20) // without those of the first file
				require.LessOrEqual(t, next, max(0, 1<<20+(n-size/5)*4/3), "after %d bytes of %d", n, size)
			}
		}
		require.GreaterOrEqual(t, zeros[".tmp"].Load(), int64(1<<20+size), "up to the end")
		zeros[".wal"].Store(0)
		for m.Stats().Rotations < 3 {
			must(p.Append(bg, big(record, 'x')))
			synctest.Wait()
		}
		require.Zero(t, zeros[".wal"].Load())
	})
}

// Among large groups there is always a small one; zeros for its sake would double the bytes
// that all of them write.
func TestLargeGroupsGetNoZeros(t *testing.T) {
	disk := newDisk(t, sim.Options{PreferWritten: true, NoTrace: true})
	m := open(t, disk, wal.WithSegmentSize(1<<30), wal.WithBufferSize(4<<20))
	p := partition(t, m, "t", 0)
	for i := range 300 {
		size := 400 << 10
		if i%8 == 7 {
			size = 1 << 10
		}
		must(p.Append(bg, big(size, 'x')))
	}
	s := m.Stats()
	const headOfSegments = 2 * 32 << 20 // of this one and the one prepared
	require.Less(t, s.BytesWritten, s.Bytes+s.Bytes/4+headOfSegments)
}

// The log does not write where zeros are still on their way: they would overwrite it.
func TestLogWaitsForZeros(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := newDisk(t, sim.Options{PreferWritten: true, NoTrace: true})
		m := open(t, disk, wal.WithSegmentSize(60<<20), wal.WithBufferSize(1<<20))
		p := partition(t, m, "t", 0)
		gate := make(chan struct{})
		var from atomic.Int64
		disk.BeforeOp(func(o sim.OpInfo) {
			zeros := o.Len > 128<<10 && o.Offset > 0 && strings.HasSuffix(o.Name, ".wal")
			if zeros && (o.Op == sim.OpSync || o.Op == sim.OpWrite) && from.CompareAndSwap(0, o.Offset) {
				<-gate // these zeros take their time
			}
		})
		const n = 700
		done := run(func() error {
			for i := range n {
				if _, err := p.Append(bg, big(64<<10, byte(i))); err != nil {
					return err
				}
			}
			return nil
		})
		synctest.Wait() // it waits for the zeros, or is done
		require.Positive(t, from.Load(), "zeros were written ahead")
		require.LessOrEqual(t, segments(t, m)[0].Bytes, from.Load())
		close(gate)
		require.NoError(t, <-done)
		disk.BeforeOp(nil)
		i := 0
		for r, err := range p.Read(bg, 0) {
			require.NoError(t, err)
			require.Equal(t, byte(i), r.Value[0])
			i++
		}
		require.Equal(t, n, i)
	})
}

// A batch may be larger than a group, and than a segment: it gets one of its own.
func TestBatchLargerThanSegment(t *testing.T) {
	for _, alignment := range []int{512, 4096} {
		disk := newDisk(t, sim.Options{Alignment: alignment, Depth: 4})
		m := open(t, disk, wal.WithSegmentSize(16<<10), wal.WithBufferSize(32<<10))
		p := partition(t, m, "t", 0)
		sizes := []int{100, 200 << 10, 100, 15 << 10, 16 << 10, 8 << 10, 1 << 20, 100}
		var acks []wal.Ack
		for i, n := range sizes {
			ack, err := p.AppendAsync(bg, big(n, byte(i)))
			require.NoError(t, err)
			require.EqualValues(t, i, ack.Offset())
			acks = append(acks, ack)
		}
		var batch []wal.Record
		for i := range 100 {
			batch = append(batch, big(3000, byte(i)))
		}
		ack, err := p.AppendAsync(bg, batch...)
		require.NoError(t, err)
		for _, a := range append(acks, ack) {
			require.NoError(t, a.Wait(bg))
		}
		check := func(p *wal.Partition) {
			next := 0
			for r, err := range p.Read(bg, 0) {
				require.NoError(t, err)
				want := big(3000, byte(next-len(sizes)))
				if next < len(sizes) {
					want = big(sizes[next], byte(next))
				}
				require.Equal(t, want.Value, r.Value, "offset %d", next)
				next++
			}
			require.Equal(t, len(sizes)+100, next)
		}
		check(p)
		after := crash(t, disk)
		require.NoError(t, m.Close())
		check(lookup(t, open(t, disk), "t", 0))
		check(lookup(t, open(t, after), "t", 0))
	}
}

// What a crash left behind the end of a segment is gone, durably, before a footer is written
// there: the sectors of a torn footer could complete a torn frame.
func TestFooterIsNotWrittenOverRemains(t *testing.T) {
	disk := newDisk(t, sim.Options{})
	appendValues(t, partition(t, open(t, disk), "t", 0), 10)
	after := crash(t, disk)
	require.NoError(t, open(t, after).Close())
	trace := after.Trace()
	resized, ends, footers := int64(math.MaxInt64), int64(math.MaxInt64), 0
	for i := range trace.Len() {
		o := trace.Op(i)
		if o.Name != "00000000000000000001.wal" {
			continue
		}
		switch o.Op {
		case sim.OpResize:
			resized = min(resized, o.Len)
		case sim.OpFileSync:
			ends = resized
		case sim.OpSubmit:
			footers++
			require.Equal(t, ends, o.Offset, "what stood there may come back")
		}
	}
	require.Equal(t, 1, footers)
}
