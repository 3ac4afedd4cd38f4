//go:build unix

package mmap

import (
	"context"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

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
	mine, err := unix.Mmap(-1, 0, os.Getpagesize(), unix.PROT_NONE, unix.MAP_ANON|unix.MAP_PRIVATE)
	require.NoError(t, err)
	defer func() { require.NoError(t, unix.Munmap(mine)) }()
	touch := func() { mine[0]++ }
	require.ErrorIs(t, guarded(mine, touch), ErrFault)
	require.Panics(t, func() { _ = guarded(make([]byte, 10), touch) })
	require.False(t, debug.SetPanicOnFault(false), "it is as it was")
}

// Closing a log waits until a visit has seen the record that it is shown, and the visit ends there:
// the next writer may use the file for something else.
func TestCloseWaitsForVisit(t *testing.T) {
	ctx := t.Context()
	m, err := wal.Open(t.TempDir(), wal.WithBackend(New()))
	require.NoError(t, err)
	for range 10 {
		_, err := m.Append(ctx, "t", 0, wal.Record{Value: []byte("x")})
		require.NoError(t, err)
	}
	closed := make(chan error, 1)
	seen, again := 0, []error(nil)
	var last error
	m.Visit(ctx, func(_ wal.Entry, err error) bool {
		if last = err; err != nil {
			return true
		}
		if seen++; seen == 1 {
			go func() { closed <- m.Close() }()
			for again == nil { // until the log is closing
				runtime.Gosched()
				m.Visit(ctx, func(_ wal.Entry, err error) bool {
					if err != nil {
						again = append(again, err)
					}
					return false
				})
			}
		}
		require.Empty(t, closed)
		return true
	})
	require.Equal(t, 1, seen)
	require.ErrorIs(t, last, wal.ErrClosed)
	require.Equal(t, []error{wal.ErrClosed}, again)
	require.NoError(t, <-closed)
}
