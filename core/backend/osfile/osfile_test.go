package osfile

import (
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/chronik-go/wal/core/backend"
)

// opener opens a file any number of times.
func opener(t *testing.T) func() *Syncer {
	path := filepath.Join(t.TempDir(), "f")
	return func() *Syncer {
		f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
		require.NoError(t, err)
		s, err := New(f)
		require.NoError(t, err)
		t.Cleanup(func() {
			s.Close()
			require.NoError(t, f.Close())
		})
		return s
	}
}

func succeeds() error { return nil }
func fails() error    { return syscall.EIO }

// A failure is one of the file until all are closed that were open when it came, in whatever order.
func TestFailureStaysForItsWitnesses(t *testing.T) {
	for _, order := range [][]int{{0, 1, 2}, {2, 1, 0}, {1, 0, 2}} {
		open := opener(t)
		all := []*Syncer{open(), open(), open()}
		first := all[0].Sync(fails)
		require.ErrorIs(t, first, backend.ErrSync)
		require.ErrorIs(t, first, syscall.EIO)
		late := open()
		must := func() error { t.Error("the file is synced after a sync that failed"); return nil }
		for _, i := range order {
			for _, s := range append(all, late) {
				assert.Equal(t, first, s.Failure())
				assert.Equal(t, first, s.Sync(must))
			}
			assert.Equal(t, first, all[0].SyncContent(must))
			assert.NoError(t, late.SyncContent(succeeds), "it reads what the device holds")
			all[i].Close()
			all[i].Close() // changes nothing
		}
		assert.NoError(t, late.Failure(), "nobody is left who wrote what is lost")
		assert.NoError(t, late.Sync(succeeds))
		assert.ErrorIs(t, late.Sync(fails), syscall.EIO, "it is a witness of the next one")
		later := open()
		assert.ErrorIs(t, later.Sync(must), syscall.EIO)
		late.Close()
		assert.NoError(t, later.Sync(succeeds))
	}
}

// A failure that comes while others are open is theirs, also if whoever it was reported to has
// closed the file; one that comes when nobody is left is none of the next file of that number.
func TestLateFailure(t *testing.T) {
	open := opener(t)
	one, other := open(), open()
	one.Close()
	require.ErrorIs(t, one.Fail(syscall.EIO), backend.ErrSync)
	assert.ErrorIs(t, other.Failure(), syscall.EIO)
	other.Close()
	require.ErrorIs(t, other.Fail(syscall.EIO), backend.ErrSync)
	again := open()
	assert.NoError(t, again.Failure())
	another := opener(t)()
	assert.NoError(t, another.Failure())
	for _, s := range []*Syncer{again, another} {
		require.Contains(t, known(), s.file.id)
		s.Close()
		require.NotContains(t, known(), s.file.id, "what is closed is forgotten")
	}
}

func known() map[any]*file {
	open.mu.Lock()
	defer open.mu.Unlock()
	return maps.Clone(open.files)
}

// A sync of a closed file is no failed one.
func TestClosedIsNoFailure(t *testing.T) {
	s := opener(t)()
	require.ErrorIs(t, s.Sync(func() error { return backend.ErrClosed }), backend.ErrClosed)
	require.NoError(t, s.Failure())
}

// Of two syncs at the same time the kernel tells one what both have lost. The other one waits for
// it, and so does a write that is its own sync.
func TestSyncsTogether(t *testing.T) {
	open := opener(t)
	one, other := open(), open()
	begun, slow := make(chan struct{}), make(chan struct{})
	failing, done := make(chan error, 1), make(chan error, 2)
	go func() {
		failing <- one.Sync(func() error {
			close(begun)
			<-slow
			return syscall.EIO
		})
	}()
	<-begun
	synced := make(chan struct{})
	go func() { done <- other.Sync(func() error { close(synced); return nil }) }()
	<-synced // the two do not wait for each other before
	go func() { done <- other.Settled() }()
	for range 1000 {
		runtime.Gosched()
	}
	assert.Empty(t, done, "reported while a sync is in progress that may tell that it is lost")
	assert.False(t, other.Idle())
	close(slow)
	for range 2 {
		require.ErrorIs(t, <-done, syscall.EIO)
	}
	require.ErrorIs(t, <-failing, syscall.EIO)
	assert.True(t, other.Idle())
}
