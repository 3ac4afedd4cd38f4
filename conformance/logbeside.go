package conformance

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/cespare/xxhash/v2"
	"github.com/stretchr/testify/require"

	wal "github.com/chronik-go/wal/core"
)

// fingerprint tells everything of the files below a directory that a reader must not change.
func (e *engine) fingerprint() map[string]string {
	e.Helper()
	files := map[string]string{}
	err := filepath.WalkDir(e.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		sum := uint64(0)
		if info.Mode().IsRegular() {
			b, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			sum = xxhash.Sum64(b)
		}
		files[path] = fmt.Sprint(info.Mode(), info.Size(), info.ModTime().UnixNano(), sum)
		return nil
	})
	require.NoError(e, err)
	return files
}

// quiet waits until the log does nothing in the background any more: all segments but the last
// are sealed, and a file for the next one is ready.
func (e *engine) quiet(m *wal.Manager) {
	e.Helper()
	var files map[string]string
	require.True(e, e.eventually(func() bool {
		list := e.segments(m)
		for _, s := range list[:len(list)-1] {
			if s.State != "sealed" {
				return false
			}
		}
		ready, _ := filepath.Glob(filepath.Join(e.dir, "*.tmp"))
		return len(ready) > 0
	}))
	for range 3 { // what it had begun is done
		now := e.fingerprint()
		require.True(e, files == nil || len(now) > 0)
		files = now
	}
}

func logReadOnlyBeside(t *T) {
	t.needSystem()
	e := t.engine()
	m := e.openLog()
	p := e.part(m, "a", 0)
	e.fillLog(p, 300, 0)
	e.quiet(m)
	before := e.fingerprint()
	ro := e.openLog(wal.WithReadOnly())
	q := e.known(ro, "a", 0)
	e.holds(q, 0, 300, 0)
	require.Equal(e, before, e.fingerprint(), "a read-only open beside a writer")
	e.refusesWrites(ro, q)

	c := e.crew()
	c.do(func(ctx context.Context) error { return followTo(ctx, q, 0, 3000) })
	c.do(func(ctx context.Context) error {
		for q.NextOffset() < 3000 {
			if err := ro.Refresh(ctx); err != nil {
				return fmt.Errorf("refresh: %w", err)
			}
		}
		return nil
	})
	e.fillLog(p, 2700, 0)
	require.NoError(e, c.wait())
	require.NoError(e, p.TruncateBefore(e.ctx, 2000))
	require.NoError(e, p.TruncateAfter(e.ctx, 2899))
	e.fillLog(e.part(m, "late", 0), 5, 0)
	require.NoError(e, ro.Refresh(e.ctx))
	e.holds(q, 2000, 2900, 0)
	e.holds(e.known(ro, "late", 0), 0, 5, 0)
	e.closeLog(m)

	// Beside nobody, and then without permission to write.
	before = e.fingerprint()
	require.NoError(e, ro.Refresh(e.ctx))
	e.closeLog(ro)
	ro = e.openLog(wal.WithReadOnly())
	e.holds(e.known(ro, "a", 0), 2000, 2900, 0)
	e.sound(0)
	e.closeLog(ro)
	require.Equal(e, before, e.fingerprint(), "a read-only open of a closed log")
	require.NoError(e, os.Chmod(e.dir, 0o500))
	e.Cleanup(func() { _ = os.Chmod(e.dir, 0o700) })
	e.holds(e.known(e.openLog(wal.WithReadOnly()), "a", 0), 2000, 2900, 0)
}

// refusesWrites demands that a read-only log takes nothing.
func (e *engine) refusesWrites(ro *wal.Manager, p *wal.Partition) {
	e.Helper()
	_, err := p.Append(e.ctx, wal.Record{})
	require.ErrorIs(e, err, wal.ErrReadOnly)
	require.ErrorIs(e, p.TruncateBefore(e.ctx, 1), wal.ErrReadOnly)
	require.ErrorIs(e, p.TruncateAfter(e.ctx, 1), wal.ErrReadOnly)
	_, err = ro.Partition("new", 0)
	require.ErrorIs(e, err, wal.ErrNoPartition)
}

func logOneWriter(t *T) {
	e := t.engine()
	m := e.openLog()
	p := e.part(m, "a", 0)
	e.fillLog(p, 3, 0)
	_, err := e.tryLog()
	require.ErrorIs(e, err, wal.ErrLocked)
	_, err = wal.Repair(e.ctx, e.dir, wal.RepairOptions{Quarantine: e.TempDir()}, e.opts...)
	require.ErrorIs(e, err, wal.ErrLocked)
	e.fillLog(p, 3, 0)
	e.closeLog(m)
	m = e.openLog()
	e.holds(e.known(m, "a", 0), 0, 6, 0)

	_, err = wal.Open(e.TempDir(), append(e.opts, wal.WithReadOnly())...)
	require.ErrorIs(e, err, wal.ErrNotLog)
}
