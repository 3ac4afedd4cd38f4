package conformance

import (
	"sync"

	"github.com/stretchr/testify/require"

	"github.com/chronik-go/wal/core/backend"
)

// lockError is what Lock returns, at once.
func (t *T) lockError(d backend.Dir) (err error) {
	t.Helper()
	t.soon("Lock", func() { err = d.Lock() })
	return err
}

func checkLockExcludes(t *T) {
	path := t.TempDir()
	first, second := t.openDir(path, backend.DirOptions{}), t.openDir(path, backend.DirOptions{})
	require.NoError(t, t.lockError(first))
	require.ErrorIs(t, t.lockError(second), backend.ErrLocked, "another Dir of the same Backend")
	if t.onSystem() {
		other, err := t.suite.factory()
		require.NoError(t, err)
		third, err := other.OpenDir(path, backend.DirOptions{})
		require.NoError(t, err)
		t.closing("Dir", third)
		require.ErrorIs(t, t.lockError(third), backend.ErrLocked, "a Dir of another Backend")
	}
	require.NoError(t, t.lockError(t.newDir()), "another directory is free")
	require.NoError(t, second.Close())
	require.ErrorIs(t, t.lockError(t.openDir(path, backend.DirOptions{})), backend.ErrLocked, "after Close of one that did not hold it")

	path = t.TempDir()
	if h := t.lockElsewhere(path); h != nil {
		require.ErrorIs(t, t.lockError(t.openDir(path, backend.DirOptions{})), backend.ErrLocked, "another process has it")
		h.end()
	}
	path = t.TempDir()
	for round := range 50 {
		require.Equal(t, 1, t.locksAtOnce(path), "Dirs that got the lock at the same time, round %d", round)
	}
}

// locksAtOnce lets Dirs of a directory take its lock at the same time, and counts those that got it.
func (t *T) locksAtOnce(path string) (locked int) {
	t.Helper()
	var dirs [4]backend.Dir
	for i := range dirs {
		dirs[i] = t.openDir(path, backend.DirOptions{})
	}
	var errs [len(dirs)]error
	start := make(chan struct{})
	t.soon("Lock", func() {
		var all sync.WaitGroup
		for i, d := range dirs {
			all.Go(func() {
				<-start
				errs[i] = d.Lock()
			})
		}
		close(start)
		all.Wait()
	})
	for i, err := range errs {
		if err == nil {
			locked++
		} else {
			require.ErrorIs(t, err, backend.ErrLocked)
		}
		require.NoError(t, dirs[i].Close())
	}
	return locked
}

func checkLockAgain(t *T) {
	path := t.TempDir()
	first, second := t.openDir(path, backend.DirOptions{}), t.openDir(path, backend.DirOptions{})
	for range 3 {
		require.NoError(t, t.lockError(first), "its own lock is in its way")
	}
	require.ErrorIs(t, t.lockError(second), backend.ErrLocked)
	require.NoError(t, first.Close(), "one Close ends it, however often it was taken")
	require.NoError(t, t.lockError(second))
}

func checkLockEnds(t *T) {
	path := t.TempDir()
	for range 3 {
		d := t.openDir(path, backend.DirOptions{})
		require.NoError(t, t.lockError(d), "the Dir that held it was closed")
		require.NoError(t, d.Close())
	}
	d := t.openDir(path, backend.DirOptions{})
	require.NoError(t, t.lockError(d))
	end := t.childAlive()
	require.NoError(t, d.Close())
	d = t.openDir(path, backend.DirOptions{})
	require.NoError(t, t.lockError(d), "the Dir that held it was closed, and a process lives that was started before")
	require.NoError(t, d.Close())
	end()
	if h := t.lockElsewhere(path); h != nil {
		h.kill()
		d := t.openDir(path, backend.DirOptions{})
		require.NoError(t, t.lockError(d), "the process that held it was killed")
		require.Empty(t, t.list(d), "what a killed process leaves")
		require.NoError(t, d.Close())
		t.lockElsewhere(path).end()
		require.NoError(t, t.lockError(t.openDir(path, backend.DirOptions{})), "the process that held it is over")
	}
}

func checkLockHinders(t *T) {
	path := t.TempDir()
	holder := t.openDir(path, backend.DirOptions{})
	require.NoError(t, t.lockError(holder))
	for _, d := range []backend.Dir{holder, t.openDir(path, backend.DirOptions{}), t.openDir(path, backend.DirOptions{Create: true})} {
		require.Empty(t, t.list(d), "what a lock looks like")
		content := filled(block, 1)
		f := t.create(d, "f", block)
		t.put(t.queue(d, 1), f, content)
		require.NoError(t, d.Sync())
		require.NoError(t, d.Rename("f", "g"))
		t.same(content, t.content(t.open(t.readOnly(path), "g")), "a file read while the directory is locked")
		require.NoError(t, d.Remove("g"))
	}
}
