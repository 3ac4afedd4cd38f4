package wal_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	wal "github.com/chronik-go/wal/core"
	"github.com/chronik-go/wal/core/backend/sim"
)

// A partition that leaves offsets out all the time is read in one go like any other: what one frame holds
// of it is not read again for each of its extents.
func TestReadManyGapsReadsOnce(t *testing.T) {
	const records = 2000
	disk := newDisk(t, sim.Options{})
	m := open(t, disk, wal.WithSegmentSize(1<<20))
	for _, txs := range []int{records, 1} { // in one frame, and in as many
		p := partition(t, m, "t", int32(txs))
		for i := range records / txs {
			tx := must(m.Begin())
			for j := range txs {
				offset := int64(3 * (i*txs + j))
				require.NoError(t, tx.AppendAt(p, offset, wal.Record{Value: []byte{byte(offset)}}))
			}
			must(tx.Commit(t.Context()))
		}
	}
	require.NoError(t, m.Close())
	m = open(t, disk, wal.WithReadOnly())
	defer m.Close()
	for _, txs := range []int32{records, 1} {
		before := m.Stats().DiskReads
		p := lookup(t, m, "t", txs)
		next := int64(0)
		for r, err := range p.Read(t.Context(), 0) {
			require.NoError(t, err)
			require.Equal(t, next, r.Offset)
			require.Equal(t, []byte{byte(next)}, r.Value)
			next += 3
		}
		require.EqualValues(t, 3*records, next)
		require.Less(t, m.Stats().DiskReads-before, uint64(100))
	}
}
