package wal_test

import (
	"context"
	"fmt"
	"math"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	wal "github.com/chronik-go/wal/core"
	"github.com/chronik-go/wal/core/backend/sim"
)

var dedicated = wal.WithLayout(wal.LayoutDedicated)

// A name that never gets a record makes nothing, whatever is asked of it: no file, no handle.
func TestDedicatedLogComesWithTheFirstAppend(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := newDisk(t, sim.Options{})
		m := open(t, disk, dedicated, wal.WithFsyncMode(wal.FsyncPeriodic))
		files, handles := disk.Files("/"), disk.OpenHandles()
		ended, cancel := context.WithCancel(bg)
		cancel()
		var idle *wal.Partition
		for i := range int32(100) {
			idle = partition(t, m, "idle", i)
			require.Same(t, idle, partition(t, m, "idle", i))
			require.NoError(t, idle.Sync(bg))
			require.NoError(t, idle.TruncateBefore(bg, 0))
			require.ErrorIs(t, idle.TruncateBefore(bg, 1), wal.ErrOffsetOutOfRange)
			require.ErrorIs(t, idle.TruncateAfter(bg, 0), wal.ErrOffsetOutOfRange)
			_, err := idle.Append(ended, record("x"))
			require.ErrorIs(t, err, context.Canceled)
			_, err = idle.Append(bg, big(100<<20+1, 'x'))
			require.ErrorIs(t, err, wal.ErrRecordTooLarge)
			_, err = idle.AppendAt(bg, math.MaxInt64, record("x"))
			require.ErrorIs(t, err, wal.ErrOffsetOutOfRange)
			require.Empty(t, offsets(t, idle, 0))
		}
		_, err := m.Lookup("idle", 0)
		require.ErrorIs(t, err, wal.ErrNoPartition)
		require.Equal(t, files, disk.Files("/"))
		require.Equal(t, handles, disk.OpenHandles())

		followed := run(func() error {
			for _, err := range idle.Follow(bg, 0) {
				return err
			}
			return nil
		})
		synctest.Wait()
		appendValues(t, partition(t, m, "t", 0), 3)
		require.Equal(t, []string{"dedicated-000001"}, logDirs(disk))
		require.NoError(t, m.Close())
		require.ErrorIs(t, <-followed, wal.ErrClosed)
		_, err = idle.Append(bg, record("x"))
		require.ErrorIs(t, err, wal.ErrClosed)
		require.Equal(t, []string{"dedicated-000001"}, logDirs(disk))
	})
}

// logDirs are the directories of dedicated logs.
func logDirs(disk *sim.Disk) (list []string) {
	for i := range 100 {
		name := fmt.Sprintf("dedicated-%06d", i)
		if len(disk.Files(dataDir+"/"+name)) > 0 {
			list = append(list, name)
		}
	}
	return list
}

// Appends that come first at the same time make one log, whatever kind they are, and encrypted ones
// are so from the first record on.
func TestFirstAppendsTogether(t *testing.T) {
	disk := newDisk(t, sim.Options{})
	m := open(t, disk, dedicated, withKeys)
	p := partition(t, m, "t", 0)
	var all sync.WaitGroup
	for _, first := range []func() error{
		func() error { _, err := p.Append(bg, record("x")); return err },
		func() error { ack, err := p.AppendAsync(bg, record("x")); return afterwards(ack, err) },
		func() error { ack, err := p.AppendOnce(bg, 1, 0, record("x")); return afterwards(ack, err) },
		func() error { return must(m.Begin()).Append(p, record("not committed")) },
		func() error {
			tx := must(m.Begin())
			if err := tx.Append(p, record("x")); err != nil {
				return err
			}
			_, err := tx.Commit(bg)
			return err
		},
	} {
		all.Go(func() { require.NoError(t, first()) })
	}
	all.Wait()
	require.Len(t, logDirs(disk), 1)
	require.NoError(t, m.Close())
	m = open(t, disk, dedicated, withKeys, wal.WithSealedOnly())
	require.Len(t, offsets(t, lookup(t, m, "t", 0), 0), 4)
}

func afterwards(ack wal.Ack, err error) error {
	if err != nil {
		return err
	}
	return ack.Wait(bg)
}

// What a crash or an aborted transaction leaves, a log without a record, is that of the next
// partition that is new.
func TestDedicatedLogIsUsedAgain(t *testing.T) {
	disk := newDisk(t, sim.Options{})
	for i := range int32(3) {
		m := open(t, disk, dedicated)
		tx := must(m.Begin())
		require.NoError(t, tx.Append(partition(t, m, "t", i), record("x")))
		tx.Abort()
		require.NoError(t, m.Close())
		require.Equal(t, []string{"dedicated-000001"}, logDirs(disk))
	}
	m := open(t, disk, dedicated)
	appendValues(t, partition(t, m, "t", 8), 2)
	appendValues(t, partition(t, m, "t", 9), 2)
	require.NoError(t, m.Close())
	require.Equal(t, []string{"dedicated-000001", "dedicated-000002"}, logDirs(disk))
	m = open(t, disk)
	requireValues(t, lookup(t, m, "t", 8), 0, 2)
	requireValues(t, lookup(t, m, "t", 9), 0, 2)
}

// A log that could not be made is tried again by the next append, at the same place, and leaves no
// handle behind.
func TestDedicatedLogThatCannotBeMade(t *testing.T) {
	for _, op := range []sim.Op{sim.OpOpenDir, sim.OpMkdir, sim.OpLock, sim.OpList, sim.OpCreate, sim.OpRename, sim.OpDirSync, sim.OpQueue, sim.OpBuffer, sim.OpFileSync} {
		t.Run(op.String(), func(t *testing.T) {
			disk := newDisk(t, sim.Options{})
			m := open(t, disk, dedicated)
			p, handles := partition(t, m, "t", 0), disk.OpenHandles()
			hit := disk.Inject(sim.Fault{Op: op, Err: syscall.EIO})
			_, err := p.Append(bg, valueAt(0))
			if hit.Hits() == 0 {
				disk.ClearFaults()
				require.NoError(t, err)
				return
			}
			require.ErrorIs(t, err, syscall.EIO)
			require.Equal(t, handles, disk.OpenHandles())
			require.NoError(t, p.Sync(bg))
			appendValues(t, p, 2)
			require.Equal(t, []string{"dedicated-000001"}, logDirs(disk))
			require.NoError(t, m.Close())
			requireValues(t, lookup(t, open(t, disk), "t", 0), 0, 2)
		})
	}
}

// Partitions that are not made yet are told apart by a transaction.
func TestTransactionOverUnmadeLogs(t *testing.T) {
	disk := newDisk(t, sim.Options{})
	m := open(t, disk, dedicated)
	tx := must(m.Begin())
	require.NoError(t, tx.Append(partition(t, m, "t", 0), record("x")))
	err := tx.Append(partition(t, m, "t", 1), record("x"))
	require.ErrorIs(t, err, wal.ErrTxLogs)
	require.ErrorContains(t, err, "t/1 is in a log of its own, what came before in log dedicated-000001")
	require.Equal(t, []string{"dedicated-000001"}, logDirs(disk))
	_, err = tx.Commit(bg)
	require.NoError(t, err)
}
