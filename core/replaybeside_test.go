package wal_test

import (
	"fmt"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	wal "github.com/chronik-go/wal/core"
	"github.com/chronik-go/wal/core/backend/sim"
)

// A replay shows a log as it was when it began: what takes the place of truncated records meanwhile,
// in a segment that the replay has not come to, is not part of it. Nor is half of a transaction.
func TestReplayBesideReplacedRecords(t *testing.T) {
	for _, reopened := range []bool{false, true} {
		t.Run(fmt.Sprintf("reopened %t", reopened), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				disk := newDisk(t, sim.Options{})
				m := open(t, disk, wal.WithSegmentSize(64<<10))
				q, p := partition(t, m, "q", 0), partition(t, m, "p", 0)
				for i := range 60 {
					must(q.Append(bg, big(1024, byte(i))))
				}
				for i := range 6 {
					must(p.Append(bg, wal.Record{Value: fmt.Appendf(nil, "old %d", i)}))
				}
				synctest.Wait()
				if reopened {
					require.NoError(t, m.Close())
					m = open(t, disk, wal.WithSegmentSize(64<<10))
					q, p = partition(t, m, "q", 0), partition(t, m, "p", 0)
					must(p.Append(bg, wal.Record{Value: []byte("old 6")}))
				}
				var want []string
				for i := range p.NextOffset() {
					want = append(want, fmt.Sprintf("%d: old %d", i, i))
				}
				var got []string
				inQ, replaced := 0, false
				for e, err := range m.Replay(bg) {
					require.NoError(t, err)
					if !replaced {
						replaced = true
						replace(t, m, p, q)
					}
					switch {
					case e.Topic == "p":
						got = append(got, fmt.Sprintf("%d: %s", e.Offset, e.Value))
					case string(e.Value) == "new":
						inQ++
					}
				}
				require.Equal(t, want, got)
				require.Zero(t, inQ, "nothing of the transaction")
			})
		})
	}
}

// replace truncates the end of a partition, and takes its place with an append and a transaction.
func replace(t *testing.T, m *wal.Manager, p, q *wal.Partition) {
	t.Helper()
	require.NoError(t, p.TruncateAfter(bg, 2))
	must(p.Append(bg, wal.Record{Value: []byte("new 3")}))
	tx, err := m.Begin()
	require.NoError(t, err)
	require.NoError(t, tx.Append(p, wal.Record{Value: []byte("new")}))
	require.NoError(t, tx.Append(q, wal.Record{Value: []byte("new")}))
	_, err = tx.Commit(bg)
	require.NoError(t, err)
}
