package bench

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestValuesOutOfText(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "b"), 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "b", "x"), []byte("fgh"), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "a"), []byte("abcde"), 0o600))
	text, err := ReadText(dir)
	require.NoError(t, err)
	require.Equal(t, "abcdefgh", string(text))
	_, err = ReadText(t.TempDir())
	require.Error(t, err)

	for _, size := range []int{1, 3, 8, 20} {
		o := AppendOptions{RecordSize: size, Batch: 3, Text: text}
		at := 0
		for _, batch := range o.batches(0) {
			require.Len(t, batch, 3)
			for _, r := range batch {
				want := make([]byte, size)
				for i := range want {
					want[i] = text[(at+i)%len(text)]
				}
				require.Equal(t, string(want), string(r.Value))
				at += size
			}
		}
		require.Equal(t, 3*size*textBatches, at, "producer 1 begins there")
		require.Equal(t, o.cut(at), o.batches(1)[0][0].Value)
	}
}

func TestNoiseAndRepeats(t *testing.T) {
	for percent, want := range map[int]int{0: 0, 50: 512, 100: 1024} {
		o := AppendOptions{RecordSize: 1024, Batch: 1, Compressibility: percent}
		zeros := 0
		for _, b := range o.batch(0)[0].Value {
			if b == 0 {
				zeros++
			}
		}
		require.InDelta(t, want, zeros, 20, "%d %%", percent)
	}
}
