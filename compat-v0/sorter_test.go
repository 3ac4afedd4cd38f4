package walv0

import (
	"math/rand/v2"
	"os"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// Whatever memory there is, entries come in the order of partition, offset and place, also when they are
// read twice, and nothing is left of the temporary file.
func TestSorter(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	for _, most := range []int{1, 2, 7, 1000} {
		for _, n := range []int{0, 1, 2, 7, 8, 100} {
			s := sorter{most: most, dir: t.TempDir()}
			var want []entry
			for i := range n {
				e := entry{
					offset: random.Int64N(20), last: random.Int64(), position: int64(i), hash: random.Uint64(),
					file: random.Uint32N(3), size: random.Uint32(), part: random.Uint32N(3), flags: random.Uint32N(2),
				}
				want = append(want, e)
				require.NoError(t, s.add(e))
			}
			slices.SortFunc(want, compareEntries)
			for range 2 {
				var got []entry
				require.NoError(t, s.each(func(e entry) error { got = append(got, e); return nil }))
				require.Equal(t, want, got, "%d entries, %d in memory", n, most)
			}
			require.NoError(t, s.close())
			left, err := os.ReadDir(s.dir)
			require.NoError(t, err)
			require.Empty(t, left)
		}
	}
}
