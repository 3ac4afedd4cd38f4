package conformance

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/stretchr/testify/require"

	"github.com/chronik-go/wal/core/backend"
)

func checkRename(t *T) {
	d := t.newDir()
	q := t.queue(d, 1)
	write := func(name string, kind int) {
		f := t.create(d, name, block)
		t.put(q, f, filled(block, kind))
		require.NoError(t, f.Close())
	}
	write("a", 1)
	require.NoError(t, d.Rename("a", "b"))
	require.Equal(t, []string{"b"}, t.list(d))
	write("c", 2)
	require.NoError(t, d.Rename("c", "b"))
	require.Equal(t, []string{"b"}, t.list(d))
	t.same(filled(block, 2), t.content(t.open(d, "b")), "the file that replaced another one")
	require.NoError(t, d.Rename("b", "b"))
	t.same(filled(block, 2), t.content(t.open(d, "b")), "a file renamed to the name that it has")
	for range 2 {
		require.ErrorIs(t, d.Rename("c", "b"), fs.ErrNotExist)
		require.ErrorIs(t, d.Rename("c", "d"), fs.ErrNotExist)
	}
	require.Equal(t, []string{"b"}, t.list(d))
	t.same(filled(block, 2), t.content(t.open(d, "b")), "a file that nothing replaced")
}

// checkRenameAtomic looks at a name while file after file takes it: each is whole.
func checkRenameAtomic(t *T) {
	d := t.newDir()
	require.NoError(t, t.create(d, "f", block).Close())
	replace := func(round int) error {
		f, err := d.Create("next", int64(round%3+1)*block)
		if err != nil {
			return err
		}
		return errors.Join(f.Close(), d.Rename("next", "f"))
	}
	look := func(int) error {
		f, err := d.Open("f")
		if err != nil {
			return err
		}
		size, err := f.Size()
		if err == nil && (size < block || size > 3*block || size%block != 0) {
			err = fmt.Errorf("neither the one file nor the other: %d bytes", size)
		}
		return errors.Join(err, f.Close())
	}
	t.together("Rename, and Open meanwhile", 200, replace, look)
	require.Equal(t, []string{"f"}, t.list(d))
}

// demandUsable writes and reads an open file, and opens no name for that.
func (t *T) demandUsable(q backend.Queue, f backend.File, size int64, what string) {
	t.Helper()
	content := filled(int(size), 7)
	t.put(q, f, content)
	t.same(content, t.content(f), "%s", what)
	require.NoError(t, f.Sync(), what)
	require.NoError(t, f.Resize(2*size), what)
	got, err := f.Size()
	require.NoError(t, err, what)
	require.Equal(t, 2*size, got, what)
}

func checkRenameOpen(t *T) {
	d := t.newDir()
	q := t.queue(d, 1)
	moved, replaced := t.create(d, "old", block), t.create(d, "new", 2*block)
	again := t.open(d, "old")
	t.put(q, replaced, filled(2*block, 1))
	require.NoError(t, d.Rename("old", "new"))
	t.same(filled(2*block, 1), t.content(replaced), "an open file that was replaced")
	t.demandUsable(q, moved, block, "an open file that was renamed")
	t.same(t.content(moved), t.content(again), "an open file that was renamed")
	t.same(t.content(moved), t.content(t.open(d, "new")), "a file opened by its new name")
	t.demandUsable(q, replaced, 2*block, "an open file that was replaced")
	t.same(t.content(moved), t.content(t.open(d, "new")), "the file that replaced another one")
}

func checkRemove(t *T) {
	d := t.newDir()
	require.NoError(t, t.create(d, "f", block).Close())
	require.NoError(t, t.create(d, "g", block).Close())
	require.NoError(t, d.Remove("f"))
	require.Equal(t, []string{"g"}, t.list(d))
	_, err := d.Open("f")
	require.ErrorIs(t, err, fs.ErrNotExist)
	for range 2 {
		require.ErrorIs(t, d.Remove("f"), fs.ErrNotExist)
	}
	require.NoError(t, d.Rename("g", "f"))
	require.NoError(t, d.Remove("f"))
	t.create(d, "f", 2*block)
	require.Equal(t, []string{"f"}, t.list(d))
}

func checkRemoveOpen(t *T) {
	d := t.newDir()
	q := t.queue(d, 1)
	f := t.create(d, "f", block)
	t.put(q, f, filled(block, 1))
	require.NoError(t, d.Remove("f"))
	t.same(filled(block, 1), t.content(f), "an open file that was removed")
	next := t.create(d, "f", block)
	t.demandUsable(q, f, block, "an open file that was removed")
	t.zeros(t.content(next), "another file of the same name")
}

func checkDirSyncReadOnly(t *T) {
	path := t.TempDir()
	t.writeFile(t.join(path, "f"), "x")
	require.NoError(t, t.readOnly(path).Sync())
}

// checkQueuesApart keeps one queue waiting while another one works.
func checkQueuesApart(t *T) {
	d := t.newDir()
	f := t.create(d, "f", 2*block)
	idle, busy := t.queue(d, 1), t.queue(d, 1)
	slept := startWait(idle)
	buf, own := t.buffer(busy, block, 1), t.buffer(idle, block, 2)
	for range 50 {
		t.write(busy, backend.Write{File: f, Data: buf.Bytes[:block], Buffer: buf})
		busy.Wake()
		require.Nil(t, t.wait(busy))
	}
	t.rest(d)
	require.Empty(t, slept, "a wake of one queue ends a Wait of another")
	idle.Wake()
	require.Nil(t, t.end(slept), "a queue returns a batch of another one")
	require.NoError(t, busy.Close())
	t.write(idle, backend.Write{File: f, Offset: block, Data: own.Bytes[:block], Buffer: own, Sync: true})
	t.same(append(filled(block, 1), filled(block, 2)...), t.content(f), "a file written by two queues")
}
