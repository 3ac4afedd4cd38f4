package conformance

import (
	"bytes"
	"fmt"
	"path/filepath"
	"runtime"

	"github.com/stretchr/testify/require"

	wal "github.com/chronik-go/wal/core"
)

func logShards(t *T) {
	e := t.engine(wal.WithShards(3))
	m := e.openLog()
	for i := range 12 {
		e.fillLog(e.part(m, "a", i), 100+i, 0)
	}
	folders := map[string]int{}
	for _, s := range e.segments(m) {
		folders[filepath.Dir(s.Name)] += len(s.Partitions)
	}
	require.Len(e, folders, 3, "all shards are used: %v", folders)
	require.Contains(e, folders, "shard-0002")
	e.closeLog(m)
	e.sound(0)
	// Without the option, and with more of them, each partition is where it was.
	for _, opts := range [][]wal.Option{{wal.WithShards(1)}, {wal.WithShards(5)}, {wal.WithReadOnly()}} {
		m = e.openLog(opts...)
		for i := range 12 {
			e.holds(e.known(m, "a", i), 0, int64(100+i), 0)
		}
		e.closeLog(m)
	}
}

func logDedicated(t *T) {
	e := t.engine(wal.WithLayout(wal.LayoutDedicated))
	m := e.openLog()
	for i := range 4 {
		e.fillLog(e.part(m, "a", i), 300+i, 0)
	}
	folders := map[string]string{}
	for _, s := range e.segments(m) {
		require.Len(e, s.Partitions, 1, s.Name)
		owner := fmt.Sprint(s.Partitions[0].Topic, s.Partitions[0].Partition)
		folder := filepath.Dir(s.Name)
		if folders[folder] == "" {
			folders[folder] = owner
		}
		require.Equal(e, folders[folder], owner, "%s has one partition", folder)
	}
	require.Len(e, folders, 4)
	require.NoError(e, e.part(m, "a", 2).TruncateBefore(e.ctx, 250))
	e.closeLog(m)
	e.sound(0)
	for _, layout := range []wal.Layout{wal.LayoutShared, wal.LayoutDedicated} {
		m = e.openLog(wal.WithLayout(layout))
		for i := range 4 {
			first := int64(0)
			if i == 2 {
				first = 250
			}
			e.holds(e.known(m, "a", i), first, int64(300+i), 0)
		}
		e.closeLog(m)
	}
}

func logLargeRecords(t *T) {
	const limit = 3 << 20
	const fixed = 24 // of a record, beside its value
	e := t.engine(wal.WithMaxRecordSize(limit))
	m := e.openLog()
	p := e.part(m, "a", 0)
	value := func(n int) wal.Record { return wal.Record{Value: bytes.Repeat([]byte{byte(n)}, n)} }
	// Around the sizes of a block, the write buffer, a segment, and up to the limit.
	sizes := []int{0, 1, 4095, 4096, 65_400, 65_536, 65_600, 1 << 20, limit - fixed - 1, limit - fixed, 7}
	for i, n := range sizes {
		got, err := p.Append(e.ctx, value(n))
		require.NoError(e, err, "a record of %d bytes", n)
		require.EqualValues(e, i, got)
	}
	before := m.Stats().Groups
	_, err := p.Append(e.ctx, value(limit-fixed+1))
	require.ErrorIs(e, err, wal.ErrRecordTooLarge)
	_, err = p.Append(e.ctx, value(limit/2), value(limit/2))
	require.ErrorIs(e, err, wal.ErrRecordTooLarge, "together")
	require.Equal(e, before, m.Stats().Groups, "nothing was written")
	check := func(p *wal.Partition) {
		i := 0
		for r, err := range p.Read(e.ctx, 0) {
			require.NoError(e, err)
			require.True(e, bytes.Equal(value(sizes[i]).Value, r.Value), "the record of %d bytes", sizes[i])
			i++
		}
		require.Len(e, sizes, i)
	}
	check(p)
	e.closeLog(m)
	e.sound(0)
	check(e.known(e.openLog(), "a", 0))
}

func logManyPartitions(t *T) {
	const n = 5000
	e := t.engine(wal.WithSegmentSize(1<<20), wal.WithBufferSize(1<<20))
	m := e.openLog()
	heap := func() int64 {
		runtime.GC()
		var s runtime.MemStats
		runtime.ReadMemStats(&s)
		return int64(s.HeapAlloc)
	}
	before := heap()
	list := make([]*wal.Partition, n)
	for i := range list {
		list[i] = e.part(m, "topic", i)
	}
	for round := range int64(3) {
		acks := make([]wal.Ack, n)
		for i, p := range list {
			var err error
			acks[i], err = p.AppendAsync(e.ctx, logRecord(p, round, 0))
			require.NoError(e, err)
		}
		for _, ack := range acks {
			require.NoError(e, ack.Wait(e.ctx))
			require.Equal(e, round, ack.Offset())
		}
	}
	require.Less(e, (heap()-before)/n, int64(8000), "bytes of memory for each partition")
	require.NoError(e, list[17].TruncateBefore(e.ctx, 2))
	require.Len(e, m.Partitions(), n)
	e.closeLog(m)
	e.sound(0)
	m = e.openLog()
	require.Len(e, m.Partitions(), n)
	for i := range n {
		p := e.known(m, "topic", i)
		require.EqualValues(e, 3, p.NextOffset())
		first := int64(0)
		if i == 17 {
			first = 2
		}
		if i%17 == 0 { // reading all of them would take long
			e.holds(p, first, 3, 0)
		}
	}
}
