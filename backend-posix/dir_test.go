package posix

import (
	"errors"
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

func TestErrorsNameTheWholePath(t *testing.T) {
	path := tempDir(t)
	_, err := openDir(t, New(), path, backend.DirOptions{}).Open("f")
	var pe *fs.PathError
	require.ErrorAs(t, err, &pe)
	assert.Equal(t, filepath.Join(path, "f"), pe.Path)
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
