package wal_test

import (
	"bytes"
	"context"
	"slices"
	"syscall"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	wal "github.com/chronik-go/wal/core"
	"github.com/chronik-go/wal/core/backend/sim"
)

// visited returns copies of what Visit shows.
func visited(m *wal.Manager) (list []wal.Entry, errs []error) {
	m.Visit(bg, func(e wal.Entry, err error) bool {
		if err != nil {
			errs = append(errs, err)
			return true
		}
		e.Key, e.Value = bytes.Clone(e.Key), bytes.Clone(e.Value)
		e.Headers = slices.Clone(e.Headers)
		for i, h := range e.Headers {
			e.Headers[i].Value = bytes.Clone(h.Value)
		}
		list = append(list, e)
		return true
	})
	return list, errs
}

func replayed(m *wal.Manager) (list []wal.Entry, errs []error) {
	for e, err := range m.Replay(bg) {
		if err != nil {
			errs = append(errs, err)
			continue
		}
		list = append(list, e)
	}
	return list, errs
}

// requireVisit demands that Visit shows what Replay returns, and returns it.
func requireVisit(t *testing.T, m *wal.Manager) []wal.Entry {
	t.Helper()
	want, errs := replayed(m)
	got, visitErrs := visited(m)
	require.Equal(t, want, got)
	require.Len(t, visitErrs, len(errs))
	for i := range errs {
		require.Equal(t, errs[i].Error(), visitErrs[i].Error())
	}
	return got
}

// A visit shows the live records as a replay returns them: of a log that looks at its files, and
// of one that is open read-only and reads them.
func TestVisit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := newDisk(t, sim.Options{})
		m := open(t, disk, small, aLittle)
		slow, busy := partition(t, m, "slow", 0), partition(t, m, "busy", 0)
		for range 4 {
			appendSlow(t, slow, 5)
			churn(t, busy, 60)
		}
		require.NoError(t, slow.TruncateBefore(bg, 2))
		appendValues(t, busy, 20)
		require.Positive(t, m.Stats().MovedBytes)
		want := requireVisit(t, m)
		require.Len(t, want, 18+20)
		looks := disk.Views()
		require.Positive(t, looks)
		require.Equal(t, want, requireVisit(t, openReadOnly(t, disk)))
		require.Equal(t, looks, disk.Views(), "a running writer may use again what is looked at")
	})
}

// countRead counts the bytes that are read, until the next BeforeOp.
func countRead(disk *sim.Disk) *int64 {
	read := new(int64)
	disk.BeforeOp(func(i sim.OpInfo) {
		if i.Op == sim.OpRead {
			*read += i.Len
		}
	})
	return read
}

// Frames lie across the parts that are looked at, and may be larger than one.
func TestVisitLargeFrames(t *testing.T) {
	disk := newDisk(t, sim.Options{NoTrace: true})
	m := open(t, disk, wal.WithSegmentSize(64<<20))
	p := partition(t, m, "t", 0)
	sizes := []int{100, 3 << 20, 1 << 20, 1<<20 - 100, 9 << 20, 100, 5 << 20, 4 << 20, 100}
	for i, size := range sizes {
		must(p.Append(bg, big(size, byte(i))))
	}
	read := countRead(disk)
	got, errs := visited(m)
	disk.BeforeOp(nil)
	require.Empty(t, errs)
	require.Len(t, got, len(sizes))
	require.Less(t, *read, int64(60<<20), "23 MiB, of which some is looked at twice, and nothing is read ahead")
	for i, e := range got {
		require.True(t, bytes.Equal(big(sizes[i], byte(i)).Value, e.Value), "record %d", i)
	}
}

// Damage is told as by a replay, and what is behind it shown: of a batch's data, and of a frame's
// header.
func TestVisitDamage(t *testing.T) {
	for what, at := range map[string]int64{"data": 9000, "header": 0} {
		t.Run(what, func(t *testing.T) {
			disk := newDisk(t, sim.Options{})
			m := open(t, disk, wal.WithSegmentSize(16<<10))
			p := partition(t, m, "t", 0)
			for i := range 12 {
				must(p.Append(bg, big(3000, byte(i))))
			}
			if at == 0 {
				items := dump(t, disk, 2)
				at = items[slices.IndexFunc(items, func(i wal.DumpItem) bool { return i.Kind == wal.DumpFrame && i.Position > 5000 })].Position
			}
			require.NoError(t, disk.FlipBit(segmentFile(2), at, 1))
			require.Len(t, requireVisit(t, m), 11)
			_, errs := visited(m)
			require.Len(t, errs, 1)
			require.ErrorIs(t, errs[0], wal.ErrDamaged)
			require.ErrorContains(t, errs[0], "00002")
		})
	}
}

// A read that fails ends a visit with its error; so does the context, and who visits.
func TestVisitEnds(t *testing.T) {
	disk := newDisk(t, sim.Options{})
	m := open(t, disk)
	appendValues(t, partition(t, m, "t", 0), 10)
	disk.Inject(sim.Fault{Op: sim.OpRead, Name: anySegment, Err: syscall.EIO})
	got, errs := visited(m)
	require.Empty(t, got)
	require.Len(t, errs, 1)
	require.ErrorIs(t, errs[0], syscall.EIO)
	require.ErrorContains(t, errs[0], "segment")

	ctx, cancel := context.WithCancel(bg)
	cancel()
	m.Visit(ctx, func(_ wal.Entry, err error) bool {
		require.ErrorIs(t, err, context.Canceled)
		return true
	})
	calls := 0
	m.Visit(bg, func(wal.Entry, error) bool {
		calls++
		return calls < 3
	})
	require.Equal(t, 3, calls)
}

// A record costs a visit no memory.
func TestVisitAllocatesNothing(t *testing.T) {
	m := open(t, newDisk(t, sim.Options{NoTrace: true}))
	p := partition(t, m, "t", 0)
	visit := func() {
		m.Visit(bg, func(_ wal.Entry, err error) bool { return err == nil })
	}
	appendValues(t, p, 10)
	few := testing.AllocsPerRun(10, visit)
	appendValues(t, p, 1000)
	require.Less(t, testing.AllocsPerRun(10, visit), few+100, "a part to look at may cost some, its 1,000 frames nothing")
}

// Many bad frames cost little more than reading what there is.
func TestVisitManyBadFrames(t *testing.T) {
	disk := newDisk(t, sim.Options{NoTrace: true})
	m := open(t, disk, wal.WithSegmentSize(1<<20))
	p := partition(t, m, "t", 0)
	appendValues(t, p, 500)
	bad := 0
	for _, i := range dump(t, disk, 1) {
		if i.Kind == wal.DumpFrame && i.Position%16384 == 0 {
			require.NoError(t, disk.FlipBit(segmentFile(1), i.Position, 1))
			bad++
		}
	}
	require.Greater(t, bad, 5)
	read := countRead(disk)
	for what, list := range map[string]func(*wal.Manager) ([]wal.Entry, []error){"Visit": visited, "Replay": replayed} {
		*read = 0
		got, errs := list(m)
		require.Len(t, errs, bad, what)
		require.Len(t, got, 500-bad, what)
		require.Less(t, *read, int64(4<<20), what)
	}
	disk.BeforeOp(nil)
}
