package posix

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/chronik-go/wal/core/backend"
)

func TestRegistered(t *testing.T) {
	b, err := backend.Named("posix")
	require.NoError(t, err)
	assert.Equal(t, "posix", b.Name())
	assert.NoError(t, b.Probe())
}

func TestOpenDir(t *testing.T) {
	bothModes(t, func(t *testing.T, b *Backend) {
		t.Run("missing is an error without Create", func(t *testing.T) {
			path := filepath.Join(tempDir(t), "a")
			_, err := b.OpenDir(path, backend.DirOptions{})
			require.ErrorIs(t, err, fs.ErrNotExist)
			assert.NoDirExists(t, path)
		})
		t.Run("read-only makes nothing", func(t *testing.T) {
			path := filepath.Join(tempDir(t), "a")
			_, err := b.OpenDir(path, backend.DirOptions{Create: true, ReadOnly: true})
			require.ErrorIs(t, err, fs.ErrPermission)
			require.ErrorIs(t, err, fs.ErrNotExist)
			assert.NoDirExists(t, path)
		})
		t.Run("Create makes all levels and opens them again", func(t *testing.T) {
			path := filepath.Join(tempDir(t), "a", "b", "c")
			for range 2 {
				d := openDir(t, b, path, backend.DirOptions{Create: true})
				names, err := d.List()
				require.NoError(t, err)
				assert.Empty(t, names, "opening leaves nothing behind")
				require.NoError(t, d.Close())
			}
		})
		t.Run("a file is refused", func(t *testing.T) {
			path := filepath.Join(tempDir(t), "f")
			require.NoError(t, os.WriteFile(path, nil, 0o600))
			for _, o := range []backend.DirOptions{{}, {Create: true}, {ReadOnly: true}} {
				_, err := b.OpenDir(path, o)
				require.Error(t, err, "%+v", o)
			}
			_, err := b.OpenDir(filepath.Join(path, "below"), backend.DirOptions{Create: true})
			require.Error(t, err)
		})
		t.Run("a link to a directory is followed", func(t *testing.T) {
			path := tempDir(t)
			require.NoError(t, os.Mkdir(filepath.Join(path, "real"), 0o700))
			require.NoError(t, os.Symlink("real", filepath.Join(path, "link")))
			d := openDir(t, b, filepath.Join(path, "link"), backend.DirOptions{Create: true})
			create(t, d, "x", 0)
			assert.FileExists(t, filepath.Join(path, "real", "x"))
		})
		t.Run("a link to nowhere is an error", func(t *testing.T) {
			path := tempDir(t)
			require.NoError(t, os.Symlink("nowhere", filepath.Join(path, "link")))
			_, err := b.OpenDir(filepath.Join(path, "link"), backend.DirOptions{Create: true})
			require.Error(t, err)
		})
	})
}

func TestNames(t *testing.T) {
	bothModes(t, func(t *testing.T, b *Backend) {
		d := openDir(t, b, tempDir(t), backend.DirOptions{})
		create(t, d, "good", 512)
		for _, bad := range []string{"", ".", "..", "a/b", "/a", "a/", `a\b`, "a\x00b", "../good"} {
			t.Run(fmt.Sprintf("%q", bad), func(t *testing.T) {
				_, err := d.Create(bad, 0)
				assert.ErrorIs(t, err, backend.ErrName)
				_, err = d.Open(bad)
				assert.ErrorIs(t, err, backend.ErrName)
				assert.ErrorIs(t, d.Remove(bad), backend.ErrName)
				assert.ErrorIs(t, d.Rename(bad, "x"), backend.ErrName)
				assert.ErrorIs(t, d.Rename("good", bad), backend.ErrName)
			})
		}
		names, err := d.List()
		require.NoError(t, err)
		assert.Equal(t, []string{"good"}, names)
	})
}

func TestCreate(t *testing.T) {
	bothModes(t, func(t *testing.T, b *Backend) {
		path := tempDir(t)
		d := openDir(t, b, path, backend.DirOptions{})
		t.Run("reads as zeros", func(t *testing.T) {
			for _, size := range []int64{0, 1, 512, 4095, 3<<20 + 17} {
				name := fmt.Sprint("zeros", size)
				p := content(t, create(t, d, name, size))
				require.Len(t, p, int(size))
				requireZeros(t, p)
			}
		})
		t.Run("an existing name is refused and kept", func(t *testing.T) {
			require.NoError(t, os.WriteFile(filepath.Join(path, "old"), []byte("kept"), 0o600))
			require.NoError(t, os.Symlink("nowhere", filepath.Join(path, "dangling")))
			for _, name := range []string{"old", "dangling"} {
				_, err := d.Create(name, 4096)
				require.ErrorIs(t, err, fs.ErrExist)
			}
			p, err := os.ReadFile(filepath.Join(path, "old"))
			require.NoError(t, err)
			assert.Equal(t, "kept", string(p))
			assert.NoFileExists(t, filepath.Join(path, "nowhere"))
		})
		t.Run("a negative size is refused", func(t *testing.T) {
			_, err := d.Create("negative", -1)
			require.ErrorIs(t, err, fs.ErrInvalid)
			assert.NoFileExists(t, filepath.Join(path, "negative"))
		})
	})
}

func TestRenameAndRemove(t *testing.T) {
	bothModes(t, func(t *testing.T, b *Backend) {
		path := tempDir(t)
		d := openDir(t, b, path, backend.DirOptions{})
		q := openQueue(t, d)
		buf := buffer(t, q, 4096)
		old, replaced := create(t, d, "old", 4096), create(t, d, "new", 8192)

		require.NoError(t, d.Rename("old", "new"))
		assert.NoFileExists(t, filepath.Join(path, "old"))
		require.NoError(t, carryOut(t, q, backend.Write{File: old, Data: buf.Bytes[:4096], Buffer: buf, Sync: true}).Failed())
		assert.Equal(t, buf.Bytes[:4096], content(t, openFile(t, d, "new")), "a renamed file stays open under its new name")
		assert.Len(t, content(t, replaced), 8192, "a replaced file stays readable")

		require.NoError(t, d.Remove("new"))
		assert.NoFileExists(t, filepath.Join(path, "new"))
		assert.Equal(t, buf.Bytes[:4096], content(t, old), "a removed file stays readable")
		require.NoError(t, d.Sync())

		require.ErrorIs(t, d.Remove("new"), fs.ErrNotExist)
		require.ErrorIs(t, d.Rename("new", "x"), fs.ErrNotExist)
		_, err := d.Open("new")
		require.ErrorIs(t, err, fs.ErrNotExist)
		var pe *fs.PathError
		require.ErrorAs(t, err, &pe)
		assert.Equal(t, filepath.Join(path, "new"), pe.Path, "errors name the whole path")
	})
}

func TestList(t *testing.T) {
	bothModes(t, func(t *testing.T, b *Backend) {
		path := tempDir(t)
		d := openDir(t, b, path, backend.DirOptions{})
		want := []string{"sub"}
		require.NoError(t, os.Mkdir(filepath.Join(path, "sub"), 0o700))
		for i := range 300 {
			want = append(want, fmt.Sprint("file", i))
			require.NoError(t, create(t, d, want[i+1], 0).Close())
		}
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				for range 10 {
					names, err := d.List()
					assert.NoError(t, err)
					assert.ElementsMatch(t, want, names)
				}
			})
		}
		wg.Wait()
	})
}

func TestReadOnly(t *testing.T) {
	bothModes(t, func(t *testing.T, b *Backend) {
		path := tempDir(t)
		require.NoError(t, os.WriteFile(filepath.Join(path, "f"), []byte("content"), 0o400))
		d := openDir(t, b, path, backend.DirOptions{ReadOnly: true})
		f := openFile(t, d, "f")
		_, err := d.Create("x", 0)
		refused := []error{err, d.Rename("f", "x"), d.Remove("f"), f.Resize(0), f.Resize(100)}
		_, err = d.Queue(backend.QueueOptions{Depth: 1})
		for i, err := range append(refused, err) {
			assert.ErrorIs(t, err, fs.ErrPermission, "%d", i)
		}
		assert.Equal(t, "content", string(content(t, f)))
		require.NoError(t, d.Sync())
		require.NoError(t, f.Sync())
	})
}

func TestClosed(t *testing.T) {
	bothModes(t, func(t *testing.T, b *Backend) {
		d := openDir(t, b, tempDir(t), backend.DirOptions{})
		f, q := create(t, d, "f", 4096), openQueue(t, d)
		require.NoError(t, f.Close())
		_, readErr := f.ReadAt(make([]byte, 1), 0)
		_, sizeErr := f.Size()
		_, emptyErr := f.ReadAt(nil, 0)
		submitErr := q.Submit(&backend.Batch{Writes: []backend.Write{{File: f, Sync: true}}})
		failed := []error{readErr, sizeErr, emptyErr, f.Resize(0), f.Sync(), f.Close(), submitErr}

		require.NoError(t, q.Close())
		_, bufferErr := q.Buffer(1)
		_, waitErr := q.Wait()
		failed = append(failed, bufferErr, waitErr, q.Submit(&backend.Batch{}), q.Close())

		require.NoError(t, d.Close())
		_, createErr := d.Create("x", 0)
		_, openErr := d.Open("f")
		_, listErr := d.List()
		_, queueErr := d.Queue(backend.QueueOptions{})
		failed = append(failed, createErr, openErr, listErr, queueErr, d.Lock(), d.Rename("f", "g"),
			d.Remove("f"), d.Sync(), d.Close())
		for i, err := range failed {
			assert.ErrorIs(t, err, backend.ErrClosed, "%d", i)
		}
	})
}

func TestLockInOneProcess(t *testing.T) {
	path := tempDir(t)
	first := openDir(t, New(), path, backend.DirOptions{})
	second := openDir(t, New(), path, backend.DirOptions{})
	require.NoError(t, first.Lock())
	require.NoError(t, first.Lock(), "its own lock does not stand in its way")
	require.ErrorIs(t, second.Lock(), backend.ErrLocked)
	names, err := second.List()
	require.NoError(t, err)
	assert.Empty(t, names, "the lock leaves no file")
	require.NoError(t, first.Close())
	require.NoError(t, second.Lock())
}

// Open must hand out one file, not the data of one with the descriptor of another,
// whatever is renamed over its name meanwhile.
func TestOpenWhileReplaced(t *testing.T) {
	bothModes(t, func(t *testing.T, b *Backend) {
		d := openDir(t, b, tempDir(t), backend.DirOptions{})
		require.NoError(t, create(t, d, "f", 512).Close())
		if isDirect(d) {
			_, err := d.(*dir).h.openDirect("f", create(t, d, "g", 512).(*file).buffered)
			require.ErrorIs(t, err, errReplaced)
		}
		stop := make(chan struct{})
		var wg sync.WaitGroup
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				f, err := d.Create("next", 512)
				if assert.NoError(t, err) {
					assert.NoError(t, errors.Join(f.Close(), d.Rename("next", "f")))
				}
			}
		})
		for range 500 {
			f, err := d.Open("f")
			if !assert.NoError(t, err) {
				break
			}
			if ff := f.(*file); ff.direct != nil {
				a, errA := ff.buffered.Stat()
				b, errB := ff.direct.Stat()
				assert.NoError(t, errors.Join(errA, errB))
				assert.True(t, os.SameFile(a, b))
			}
			assert.NoError(t, f.Close())
		}
		close(stop)
		wg.Wait()
	})
}
