//go:build unix

package mmap

import (
	"context"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	wal "github.com/chronik-go/wal/core"
)

// A fault while a log is visited, in what the caller does with a record or in the engine, is an
// error, the last one.
func TestVisitFaults(t *testing.T) {
	for what, touch := range map[string]bool{"by the caller": true, "by the engine": false} {
		t.Run(what, func(t *testing.T) {
			ctx := t.Context()
			dir := t.TempDir()
			m, err := wal.Open(dir, wal.WithBackend(New()))
			require.NoError(t, err)
			for range 3 {
				_, err := m.Append(ctx, "t", 0, wal.Record{Value: make([]byte, 1<<20)})
				require.NoError(t, err)
			}
			files, err := filepath.Glob(filepath.Join(dir, "*.wal"))
			require.NoError(t, err)
			require.NotEmpty(t, files)
			var errs []error
			shown := 0
			m.Visit(context.WithoutCancel(ctx), func(e wal.Entry, err error) bool {
				if err != nil {
					errs = append(errs, err)
					return true
				}
				for _, f := range files {
					require.NoError(t, os.Truncate(f, 8192))
				}
				if touch {
					shown += int(e.Value[len(e.Value)-1])
				}
				shown++
				return true
			})
			require.Len(t, errs, 1)
			require.ErrorIs(t, errs[0], ErrFault)
			require.ErrorIs(t, errs[0], syscall.EIO)
			require.ErrorContains(t, errs[0], filepath.Base(files[0]))
			require.Equal(t, map[bool]int{true: 0, false: 1}[touch], shown)
			_ = m.Close() // its file is gone: whatever it says
		})
	}
}

// A fault elsewhere, while a file is looked at, is the program's own.
func TestGuardedTakesItsOwnFaultsOnly(t *testing.T) {
	var nothing *int
	require.Panics(t, func() { _ = guarded(make([]byte, 10), func() { *nothing = 1 }) })
	require.PanicsWithValue(t, "mine", func() { _ = guarded(make([]byte, 10), func() { panic("mine") }) })
}
