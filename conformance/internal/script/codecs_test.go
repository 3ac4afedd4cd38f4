package script

import (
	"testing"

	"github.com/stretchr/testify/require"

	wal "github.com/chronik-go/wal/core"
	"github.com/chronik-go/wal/core/backend/sim"
)

// Among a few seeds there is every codec, and what it compresses becomes smaller; there is every cipher,
// and no log that was encrypted is so no longer.
func TestPlansStoreInAllWays(t *testing.T) {
	codecs, ciphers := map[string]bool{}, map[string]bool{}
	later, smaller := 0, 0
	for seed := range uint64(24) {
		disk, p := sim.New(sim.Options{NoTrace: true}), NewPlan(seed, 10)
		for range 3 {
			segment := write(t, p, disk)
			require.Equal(t, p.Encrypted(), segment.Cipher != "", "%v", p)
			for _, name := range segment.Codecs {
				codecs[name] = true
			}
			if segment.StoredBytes < segment.RawBytes {
				smaller++
			}
			ciphers[segment.Cipher] = true
			if p.Round > 0 {
				before := p
				before.Round--
				require.False(t, before.Encrypted() && !p.Encrypted())
				if p.Encrypted() && !before.Encrypted() {
					later++
				}
			}
			p = p.Next()
		}
	}
	require.Equal(t, map[string]bool{"none": true, "lz4": true, "s2": true, "zstd": true}, codecs)
	require.Equal(t, map[string]bool{"": true, "aes-256-gcm": true, "chacha20-poly1305": true}, ciphers)
	require.Positive(t, later)
	require.Greater(t, smaller, 20)
}

// write appends what a plan's appends hold and returns the segment that they came to.
func write(t *testing.T, p Plan, disk *sim.Disk) wal.SegmentInfo {
	m, err := wal.Open("/log", append(p.Options(), wal.WithShards(1), wal.WithLayout(wal.LayoutShared), wal.WithBackend(disk))...)
	require.NoError(t, err)
	defer func() { require.NoError(t, m.Close()) }()
	for i := range p.Ops {
		o := p.Op(0, i, State{})
		if o.Count == 0 {
			continue
		}
		_, err := m.Append(t.Context(), Topic, 0, o.Records()...)
		require.NoError(t, err)
	}
	list, err := m.Segments()
	require.NoError(t, err)
	return list[len(list)-1]
}
