package conformance

import (
	"errors"

	"github.com/stretchr/testify/require"

	wal "github.com/chronik-go/wal/core"
)

// logNoSpace fills a disk with the log itself and with something else, and makes space again
// by retention and from outside.
func logNoSpace(t *T) {
	disk, ok := t.smallPath()
	if !ok {
		return
	}
	e := t.engine(wal.WithSegmentSize(1 << 20))
	e.dir = disk.path
	m, err := e.tryLog()
	if errors.Is(err, errors.ErrUnsupported) {
		t.missing(layerPrivilege, err) // the backend asks for more than a file system in memory
	}
	require.NoError(e, err)
	e.Cleanup(func() { _ = m.Close() })
	p := e.part(m, "a", 0)
	e.untilFull(p)
	next := p.NextOffset()
	require.Greater(e, next, int64(1000))
	e.holds(p, 0, next, 0)
	_, err = m.Append(e.ctx, "other", 0, wal.Record{Value: make([]byte, 64<<10)})
	require.ErrorIs(e, err, wal.ErrNoSpace)

	// Retention makes space, and needs none itself.
	require.NoError(e, p.TruncateBefore(e.ctx, next-5))
	require.Equal(e, next-5, p.FirstOffset())
	e.untilSpace(p)
	next = p.NextOffset()
	e.holds(p, p.FirstOffset(), next, 0)

	// The disk is to be filled by something else, so the space has to be free by now.
	require.True(e, e.eventually(func() bool {
		s := m.Stats()
		return s.Rotations-s.Dropped <= 4
	}), "retention leaves segments that nothing needs")
	disk.fill()
	e.untilFull(p)
	next = p.NextOffset()
	e.holds(p, p.FirstOffset(), next, 0)
	disk.free()
	e.untilSpace(p)
	first, next := p.FirstOffset(), p.NextOffset()
	e.holds(p, first, next, 0)
	e.closeLog(m)
	e.sound(0)
	m = e.openLog()
	e.holds(e.known(m, "a", 0), first, next, 0)
	e.closeLog(m)
}

// untilFull appends until there is no space. What failed is nowhere to be seen.
func (e *engine) untilFull(p *wal.Partition) {
	e.Helper()
	for {
		next := p.NextOffset()
		got, err := p.Append(e.ctx, logRecord(p, next, 0))
		if err != nil {
			require.ErrorIs(e, err, wal.ErrNoSpace)
			require.NotErrorIs(e, err, wal.ErrFailed)
			e.demandNoSpace(err, "an append to a full disk")
			require.Equal(e, next, p.NextOffset())
			return
		}
		require.Equal(e, next, got)
		require.Less(e, next, int64(1<<20), "the disk is never full")
	}
}

// untilSpace appends until that succeeds: space that is free may come back a little later.
func (e *engine) untilSpace(p *wal.Partition) {
	e.Helper()
	next := p.NextOffset()
	require.True(e, e.eventually(func() bool {
		got, err := p.Append(e.ctx, logRecord(p, next, 0))
		if err != nil {
			require.ErrorIs(e, err, wal.ErrNoSpace)
			return false
		}
		require.Equal(e, next, got)
		return true
	}), "there is space, and appends fail")
}
