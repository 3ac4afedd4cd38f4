package wal_test

import (
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	wal "github.com/chronik-go/wal/core"
	"github.com/chronik-go/wal/core/backend/sim"
)

// Many partitions in one log: they open, append, rotate, are dropped and recovered, and
// what each takes of memory is bounded.
func TestManyPartitions(t *testing.T) {
	n := 100_000
	if every > 1 {
		n = 1000
	}
	manyPartitions(t, n)
}

// manyPartitions runs a log with n partitions through its life and reports the memory
// that each takes.
func manyPartitions(t *testing.T, n int) {
	disk := newDisk(t, sim.Options{NoTrace: true})
	opts := []wal.Option{wal.WithSegmentSize(64 << 20)}
	m := open(t, disk, opts...)
	heap := func() int64 { return heap() - onDisk(t, disk) }
	before := heap()
	list := make([]*wal.Partition, n)
	for i := range list {
		list[i] = partition(t, m, "some-topic", int32(i))
	}
	handles := heap()
	appendAll := func() {
		acks := make([]wal.Ack, 0, n)
		for i, p := range list {
			ack, err := p.AppendAsync(bg, record("%d", i))
			require.NoError(t, err)
			acks = append(acks, ack)
		}
		waitFor(t, acks)
	}
	appendAll()
	used := heap()
	t.Logf("%d partitions: %d bytes each for a handle, %d with records in one segment",
		n, (handles-before)/int64(n), (used-before)/int64(n))
	require.Less(t, (used-before)/int64(n), int64(4000))
	for range 3 {
		appendAll()
	}
	require.Len(t, m.Partitions(), n)
	require.NoError(t, m.Close())

	m = open(t, disk, opts...)
	recovered := heap()
	t.Logf("%d bytes each after a clean open", (recovered-before)/int64(n))
	require.Less(t, (recovered-before)/int64(n), int64(4000))
	require.Len(t, m.Partitions(), n)
	for i := range list {
		list[i] = lookup(t, m, "some-topic", int32(i))
		require.EqualValues(t, 4, list[i].NextOffset())
	}
	appendAll()
	for i := 0; i < n; i += 97 {
		require.Len(t, offsets(t, list[i], 0), 5)
	}
	require.NoError(t, m.Close())
	runtime.KeepAlive(list)
}

// onDisk returns how much of the memory is the disk's.
func onDisk(t *testing.T, disk *sim.Disk) (n int64) {
	t.Helper()
	for _, name := range disk.Files(dataDir) {
		data, err := disk.ReadFile(dataDir + "/" + name)
		require.NoError(t, err)
		n += int64(len(data))
	}
	return n
}

// heap returns the bytes in use.
func heap() int64 {
	runtime.GC()
	runtime.GC()
	var s runtime.MemStats
	runtime.ReadMemStats(&s)
	return int64(s.HeapAlloc)
}
