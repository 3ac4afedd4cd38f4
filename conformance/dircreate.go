package conformance

import (
	"fmt"
	"io/fs"
	"sync"

	"github.com/stretchr/testify/require"

	"github.com/chronik-go/wal/core/backend"
)

func checkCreateExclusive(t *T) {
	path := t.TempDir()
	d := t.openDir(path, backend.DirOptions{})
	t.writeFile(t.join(path, "old"), "kept")
	t.symlink("nowhere", t.join(path, "dangling"))
	t.symlink("old", t.join(path, "link"))
	t.mkdir(t.join(path, "directory"))
	for _, name := range []string{"old", "dangling", "link", "directory"} {
		_, err := d.Create(name, block)
		require.ErrorIs(t, err, fs.ErrExist, name)
	}
	got, err := t.readFile(t.join(path, "old"))
	require.NoError(t, err)
	require.Equal(t, "kept", got)
	require.Equal(t, []string{"dangling", "directory", "link", "old"}, t.list(d))

	for round := range 20 {
		require.Equal(t, 1, t.creations(d, fmt.Sprint("f", round)), "Creates of one name at the same time that succeed")
	}
}

// creations lets goroutines make a file of the same name, and counts those that did.
func (t *T) creations(d backend.Dir, name string) (made int) {
	t.Helper()
	const workers = 4
	var files [workers]backend.File
	t.soon("Create", func() {
		var wg sync.WaitGroup
		for i := range workers {
			wg.Go(func() { files[i], _ = d.Create(name, block) })
		}
		wg.Wait()
	})
	for _, f := range files {
		if f != nil {
			made++
			require.NoError(t, f.Close())
		}
	}
	return made
}

func checkCreateZeros(t *T) {
	d := t.newDir()
	for i, size := range []int64{0, 1, 511, 512, block, 3*block - 1, 3<<20 + 17} {
		name := fmt.Sprint("f", i)
		f := t.create(d, name, size)
		got, err := f.Size()
		require.NoError(t, err)
		require.Equal(t, size, got)
		t.zeros(t.content(f), "a new file")
		t.zeros(t.content(t.open(d, name)), "a new file, opened")
	}
	// Space that held something before.
	f, q := t.create(d, "old", 4<<20), t.queue(d, 1)
	t.put(q, f, filled(4<<20, 1))
	require.NoError(t, f.Close())
	require.NoError(t, d.Remove("old"))
	t.zeros(t.content(t.create(d, "new", 4<<20)), "a new file")
}

func checkCreateMode(t *T) {
	t.needSystem()
	if !hasModes {
		t.Skipf("files have no mode here")
	}
	path := t.TempDir()
	d := t.openDir(path, backend.DirOptions{})
	t.create(d, "f", block)
	t.demandMode(0o600, path, "f")
}

func checkCreateUmask(t *T) {
	if !hasModes {
		return
	}
	for _, mask := range masks {
		path := t.TempDir()
		d := t.openDir(path, backend.DirOptions{})
		umask(mask)
		t.create(d, "f", block)
		umask(0o022)
		t.demandMode(0o600, path, "f")
		t.open(d, "f")
	}
}
