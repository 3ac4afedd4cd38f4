package posix

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/chronik-go/wal/core/backend"
)

// A file whose sync failed is not synced again: the kernel would say nil for data
// that is gone.
func TestFailedSyncStays(t *testing.T) {
	bothModes(t, func(t *testing.T, b *Backend) {
		d := openDir(t, b, tempDir(t), backend.DirOptions{})
		f, other, q := create(t, d, "f", 4096), create(t, d, "other", 4096), openQueue(t, d)
		buf := buffer(t, q, 4096)
		witness := openFile(t, d, "f")

		// A pipe cannot be synced: the same as a device that fails, once.
		r, w, err := os.Pipe()
		require.NoError(t, err)
		good := f.(*file).buffered
		f.(*file).buffered = w
		first := f.Sync()
		require.ErrorIs(t, first, backend.ErrSync)
		f.(*file).buffered = good
		require.NoError(t, r.Close())
		require.NoError(t, w.Close())

		assert.Equal(t, first, f.Sync())
		writes := func(f backend.File) []backend.Write {
			return []backend.Write{{File: f, Data: buf.Bytes[:4096], Buffer: buf, Sync: true}}
		}
		assert.ErrorIs(t, carryOut(t, q, writes(f)...).Failed(), first)
		assert.ErrorIs(t, carryOut(t, q, backend.Write{File: f, Sync: true}).Failed(), first)
		apart := carryOut(t, q, backend.Write{File: f, Sync: true}, backend.Write{File: f}, backend.Write{File: f, Sync: true})
		assert.ErrorIs(t, apart.Writes[0].Err, first)
		assert.NoError(t, apart.Writes[1].Err)
		assert.ErrorIs(t, apart.Writes[2].Err, first, "the one sync was for both")
		both := carryOut(t, q, append(writes(f), writes(other)...)...)
		assert.ErrorIs(t, both.Writes[0].Err, first)
		assert.NoError(t, both.Writes[1].Err, "another file has nothing to do with it")
		again := openFile(t, d, "f")
		assert.NoError(t, again.Sync(), "opened anew it is what the device holds")
		assert.ErrorIs(t, carryOut(t, q, backend.Write{File: again, Sync: true}).Failed(), first)
		assert.ErrorIs(t, carryOut(t, q, writes(again)...).Failed(), first)
		require.NoError(t, f.Close())
		assert.ErrorIs(t, carryOut(t, q, writes(witness)...).Failed(), first, "it may have written what is lost")
		require.NoError(t, witness.Close())
		assert.NoError(t, carryOut(t, q, writes(again)...).Failed(), "whoever had to know that it failed has closed it")
	})
}

// A failed write with Sync is a failed sync, except for lack of space.
func TestFailedSyncedWriteStays(t *testing.T) {
	bothModes(t, func(t *testing.T, b *Backend) {
		path := tempDir(t)
		d := openDir(t, b, path, backend.DirOptions{})
		f, q := create(t, d, "f", 8192), openQueue(t, d)
		buf := buffer(t, q, 8192)
		readOnly, err := os.Open(filepath.Join(path, "f"))
		require.NoError(t, err)
		defer readOnly.Close()
		ff := f.(*file)
		swap := &ff.buffered
		if isDirect(d) {
			swap = &ff.direct
		}
		good := *swap
		*swap = readOnly // its writes fail with EBADF
		one := backend.Write{File: f, Data: buf.Bytes[:4096], Buffer: buf}
		two := backend.Write{File: f, Offset: 4096, Data: buf.Bytes[4096:8192], Buffer: buf, Sync: true}
		err = carryOut(t, q, two).Failed()
		require.Error(t, err)
		assert.ErrorContains(t, err, filepath.Join(path, "f"))
		assert.ErrorContains(t, err, "offset 4096")
		got := carryOut(t, q, backend.Write{File: f, Sync: true}, two)
		assert.Error(t, got.Writes[0].Err, "nothing of the file is synced beside a write that failed")
		assert.Error(t, got.Writes[1].Err)
		*swap = good
		if isDirect(d) {
			assert.Error(t, carryOut(t, q, two).Failed(), "the write was its own sync, and failed")
			assert.Error(t, f.Sync())
		}
		assert.NoError(t, carryOut(t, q, one).Failed(), "a write without Sync promises nothing")
	})
}
