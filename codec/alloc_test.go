//go:build !race

package codec_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/chronik-go/wal/codec"
)

// What compresses is pooled. The race detector makes sync.Pool forget, so this is not for it.
func TestCodecsAllocateNothing(t *testing.T) {
	all := text(t)
	_, with := trained(t, pieces(t, 100), codec.MinDictionary)
	for _, name := range []string{"lz4", "lz4:9", "zstd", "s2", "zstd-dict"} {
		c := with
		if name != with.Name() {
			var err error
			c, err = codec.Named(name)
			require.NoError(t, err)
		}
		src, dst, raw := all[:3000], make([]byte, 0, 6000), make([]byte, 3000)
		both := func() {
			out := c.Compress(dst, src)
			if err := c.Decompress(raw, out); err != nil {
				t.Fatal(err)
			}
		}
		for range 100 {
			both()
		}
		require.Less(t, testing.AllocsPerRun(300, both), 0.5, name)
	}
}
