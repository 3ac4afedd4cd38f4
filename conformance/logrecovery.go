package conformance

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/stretchr/testify/require"

	wal "github.com/chronik-go/wal/core"
)

// copyLog copies the files of a log as they are now: what a process that is killed leaves. It
// begins again where the log has taken a file away meanwhile.
func (e *engine) copyLog() *engine {
	e.Helper()
	after := &engine{T: e.T, dir: e.TempDir(), ctx: e.ctx, opts: e.opts}
	require.True(e, e.eventually(func() bool {
		names := e.files()
		for _, name := range names {
			b, err := os.ReadFile(filepath.Join(e.dir, name))
			if errors.Is(err, fs.ErrNotExist) {
				return false
			}
			require.NoError(e, err)
			require.NoError(e, os.WriteFile(filepath.Join(after.dir, name), b, 0o600))
		}
		for _, name := range after.files() {
			if !slices.Contains(names, name) {
				require.NoError(e, os.Remove(filepath.Join(after.dir, name)))
			}
		}
		return slices.Equal(names, e.files())
	}), "the log's files do not stay the same for long enough to be copied")
	return after
}

// files are the names in the log's directory.
func (e *engine) files() (names []string) {
	e.Helper()
	list, err := os.ReadDir(e.dir)
	require.NoError(e, err)
	for _, x := range list {
		names = append(names, x.Name())
	}
	return names
}

// lastFile is the newest segment.
func (e *engine) lastFile() string {
	e.Helper()
	list, err := filepath.Glob(filepath.Join(e.dir, "*.wal"))
	require.NoError(e, err)
	require.NotEmpty(e, list)
	return slices.Max(list)
}

// edit changes the content of a file.
func (e *engine) edit(path string, change func(b []byte) []byte) {
	e.Helper()
	b, err := os.ReadFile(path)
	require.NoError(e, err)
	require.NoError(e, os.WriteFile(path, change(b), 0o600))
}

func logUnclosed(t *T) {
	t.needSystem()
	e := t.engine()
	m := e.openLog()
	p := e.part(m, "a", 0)
	e.fillLog(p, 400, 0)
	after := e.copyLog()
	killed := after.openLog()
	after.holds(after.known(killed, "a", 0), 0, 400, 0)
	require.Zero(t, killed.Stats().TornTailBytes)
	after.closeLog(killed)

	// The last write never came to its end: of the two records in it neither is there.
	last := e.segments(m)
	end := last[len(last)-1].Bytes
	_, err := p.Append(e.ctx, logRecord(p, 400, 0), logRecord(p, 401, 0))
	require.NoError(e, err)
	if list := e.segments(m); len(list) > len(last) {
		end = 4096 // it began another segment, behind the header
	}
	after = e.copyLog()
	after.edit(after.lastFile(), func(b []byte) []byte {
		b[end+64] ^= 1 // behind the header of its frame, or of the one that declares the partition
		clear(b[end+65 : end+200])
		return b
	})
	report, err := wal.Verify(e.ctx, after.dir, after.opts...)
	require.NoError(e, err)
	require.True(e, report.OK, "%v", report.Damage)
	require.Positive(e, report.TornTailBytes)
	torn := after.openLog()
	require.Positive(e, torn.Stats().TornTailBytes)
	q := after.known(torn, "a", 0)
	after.holds(q, 0, 400, 0)
	after.fillLog(q, 5, 1)
	after.closeLog(torn)
	after.sound(0)
	again := after.openLog()
	after.holdsFrom(after.known(again, "a", 0), 400, 405, 1)
}

func logDamage(t *T) {
	t.needSystem()
	e := t.engine()
	m := e.openLog()
	e.fillLog(e.part(m, "a", 0), 500, 0)
	victim := e.segments(m)[1]
	e.closeLog(m)
	e.edit(filepath.Join(e.dir, victim.Name), func(b []byte) []byte {
		b[victim.Bytes/2] ^= 0x10
		b[len(b)-1] ^= 1 // the footer's sum, so that the frames are looked at
		return b
	})
	_, err := e.tryLog()
	require.ErrorIs(e, err, wal.ErrDamaged)
	var damage *wal.DamageError
	require.True(e, errors.As(err, &damage))
	require.Equal(e, victim.Name, damage.Damage[0].Segment)
	require.NotEmpty(e, damage.Damage[0].Partitions, "%v", damage)
	lost := damage.Damage[0].Partitions[0]
	require.Equal(e, "a", lost.Topic)

	report, err := wal.Repair(e.ctx, e.dir, wal.RepairOptions{Quarantine: e.TempDir()}, e.opts...)
	require.NoError(e, err)
	require.Equal(e, []wal.PartitionSpan{lost}, report.Lost)
	e.sound(0)
	p := e.known(e.openLog(), "a", 0)
	next := int64(0)
	for r, err := range p.Read(e.ctx, 0) {
		var gone *wal.LostError
		if errors.As(err, &gone) {
			require.Equal(e, lost, gone.PartitionSpan)
			next = gone.To
			continue
		}
		require.NoError(e, err)
		require.NoError(e, sameRecord(p, r, next, 0))
		next++
	}
	require.EqualValues(e, 500, next)
}
