package wal_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	wal "github.com/chronik-go/wal/core"
	"github.com/chronik-go/wal/core/backend/sim"
)

// A replay that shows of a transaction what it did to an old partition shows what it did to a new one.
func TestReplayBesideNewPartitions(t *testing.T) {
	disk := newDisk(t, sim.Options{NoTrace: true})
	m := open(t, disk)
	old := partition(t, m, "old", 0)
	const n = 400
	done := run(func() error {
		for i := range int32(n) {
			fresh, err := m.Partition("fresh", i)
			if err != nil {
				return err
			}
			if _, err := fresh.Append(bg, wal.Record{Value: []byte("first")}); err != nil {
				return err
			}
			tx, err := m.Begin()
			if err != nil {
				return err
			}
			if err := tx.Append(old, wal.Record{Value: []byte{byte(i), byte(i >> 8)}}); err != nil {
				return err
			}
			if err := tx.Append(fresh, wal.Record{Value: []byte("second")}); err != nil {
				return err
			}
			if _, err := tx.Commit(bg); err != nil {
				return err
			}
		}
		return nil
	})
	for old.NextOffset() < n {
		var inOld, inFresh int
		for e, err := range m.Replay(bg) {
			require.NoError(t, err)
			switch {
			case e.Topic == "old":
				inOld++
			case string(e.Value) == "second":
				inFresh++
			}
		}
		require.Equal(t, inOld, inFresh, "all of a transaction or nothing")
	}
	require.NoError(t, <-done)
}
