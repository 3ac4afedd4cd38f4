package wal_test

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	wal "github.com/chronik-go/wal/core"
	"github.com/chronik-go/wal/core/backend/sim"
)

// modelPartition is a partition as simple as it can be.
type modelPartition struct {
	first, next int64
	records     map[int64]string
	// once are the newest appends of producers that number their records.
	once map[uint64]onceAppend
}

type onceAppend struct {
	sequence, offset int64
	list             []wal.Record
}

// machine is a log and the model that it is compared with.
type machine struct {
	disk   *sim.Disk
	m, ro  *wal.Manager
	opts   []wal.Option
	model  map[string]*modelPartition
	values int
	// sharded: it was opened with several shards once, so there may be several logs.
	sharded bool
}

// bubble makes rapid forget that it runs a test in a synctest bubble, where nobody may
// ask for the deadline.
type bubble struct{ *testing.T }

// Whatever is done to a log, in whatever order: it holds what a map would hold, for each
// kind of reader, beside it and after opening it again, also when the power failed.
func TestLogAgainstModel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rapid.Check(bubble{t}, func(t *rapid.T) {
			x := &machine{model: map[string]*modelPartition{}}
			x.disk = newDisk(t, sim.Options{
				Depth: rapid.IntRange(1, 4).Draw(t, "depth"), Seed: rapid.Uint64().Draw(t, "seed"),
				Alignment: rapid.SampledFrom([]int{512, 4096}).Draw(t, "alignment"),
			})
			x.open(t)
			t.Repeat(map[string]func(*rapid.T){
				"append": x.append, "append 2": x.append, "append 3": x.append, "append at": x.appendAt,
				"append many": x.appendMany, "truncate before": x.truncateBefore, "truncate after": x.truncateAfter,
				"transaction": x.transaction, "append once": x.appendOnce, "repeat": x.repeat,
				"wait":   func(*rapid.T) { synctest.Wait() },
				"reopen": x.reopen, "crash": x.crash, "refresh": x.refresh, "": x.check,
			})
			require.NoError(t, x.ro.Close())
			require.NoError(t, x.m.Close())
		})
	})
}

func (x *machine) open(t *rapid.T) {
	shards := rapid.SampledFrom([]int{1, 1, 1, 2}).Draw(t, "shards")
	x.sharded = x.sharded || shards > 1
	x.opts = []wal.Option{
		wal.WithFsyncMode(rapid.SampledFrom([]wal.FsyncMode{wal.FsyncAlways, wal.FsyncBatch, wal.FsyncPeriodic}).Draw(t, "mode")),
		wal.WithSegmentSize(rapid.SampledFrom([]int64{16 << 10, 64 << 10}).Draw(t, "segment size")),
		wal.WithBufferSize(32 << 10),
		wal.WithMoveLimit(rapid.SampledFrom([]int64{0, 1, 30 << 10}).Draw(t, "move limit")),
		wal.WithRecycleLimit(rapid.IntRange(0, 2).Draw(t, "recycle")),
		wal.WithShards(shards),
	}
	x.m = open(t, x.disk, x.opts...)
	if x.ro != nil {
		require.NoError(t, x.ro.Close())
		x.ro = nil
	}
	if _, err := x.m.Append(bg, "first", 0, x.value()); err == nil { // so that there is a log
		p := x.at("first/0")
		p.records[p.next] = x.last()
		p.next++
	}
	x.ro = openReadOnly(t, x.disk)
}

func (x *machine) value() wal.Record {
	x.values++
	return wal.Record{Value: []byte(x.last())}
}

func (x *machine) last() string { return fmt.Sprint("value ", x.values) }

func (x *machine) at(name string) *modelPartition {
	p := x.model[name]
	if p == nil {
		p = &modelPartition{records: map[int64]string{}, once: map[uint64]onceAppend{}}
		x.model[name] = p
	}
	return p
}

// pick returns one of a few partitions and its model.
func (x *machine) pick(t *rapid.T) (*wal.Partition, *modelPartition) {
	p := partition(t, x.m, "t", rapid.Int32Range(0, 3).Draw(t, "partition"))
	return p, x.at(p.String())
}

func (x *machine) records(t *rapid.T) (list []wal.Record) {
	for range rapid.IntRange(1, 4).Draw(t, "records") {
		r := x.value()
		r.Key = make([]byte, rapid.SampledFrom([]int{0, 10, 500, 500, 3000, 20_000}).Draw(t, "size"))
		list = append(list, r)
	}
	return list
}

func (n *modelPartition) add(offset int64, list []wal.Record) {
	for i, r := range list {
		n.records[offset+int64(i)] = string(r.Value)
	}
	n.next = offset + int64(len(list))
}

func (x *machine) append(t *rapid.T) {
	p, n := x.pick(t)
	list := x.records(t)
	got, err := p.Append(bg, list...)
	require.NoError(t, err)
	require.Equal(t, n.next, got)
	n.add(got, list)
}

func (x *machine) appendAt(t *rapid.T) {
	p, n := x.pick(t)
	list := x.records(t)
	at := n.next + rapid.Int64Range(-2, 20).Draw(t, "jump")
	ack, err := p.AppendAt(bg, at, list...)
	if at < n.next {
		require.ErrorIs(t, err, wal.ErrOffsetOutOfRange)
		return
	}
	require.NoError(t, err)
	require.Equal(t, at, ack.Offset())
	require.NoError(t, ack.Wait(bg))
	n.add(at, list)
}

// appendOnce appends as a producer, where that has come to.
func (x *machine) appendOnce(t *rapid.T) {
	p, n := x.pick(t)
	id := rapid.Uint64Range(1, 3).Draw(t, "producer")
	sequence, known := p.NextSequence(id)
	o, ok := n.once[id]
	if ok {
		require.True(t, known)
		require.Equal(t, o.sequence+int64(len(o.list)), sequence)
	}
	if !known {
		sequence = rapid.Int64Range(0, 1000).Draw(t, "sequence")
	}
	o = onceAppend{sequence, n.next, x.records(t)}
	ack, err := p.AppendOnce(bg, id, sequence, o.list...)
	require.NoError(t, err)
	require.Equal(t, n.next, ack.Offset())
	require.False(t, ack.Duplicate())
	require.NoError(t, ack.Wait(bg))
	n.add(n.next, o.list)
	n.once[id] = o
}

// repeat repeats the newest append of a producer.
func (x *machine) repeat(t *rapid.T) {
	p, n := x.pick(t)
	id := rapid.Uint64Range(1, 3).Draw(t, "producer")
	o, ok := n.once[id]
	if !ok {
		return
	}
	ack, err := p.AppendOnce(bg, id, o.sequence, o.list...)
	require.NoError(t, err)
	require.True(t, ack.Duplicate())
	require.Equal(t, o.offset, ack.Offset())
	require.NoError(t, ack.Wait(bg))
	require.Equal(t, n.next, p.NextOffset())
}

// transaction commits appends to some partitions, or aborts them.
func (x *machine) transaction(t *rapid.T) {
	tx := begin(t, x.m)
	defer tx.Abort()
	var lists [][]wal.Record
	var models []*modelPartition
	var want []int64
	next, fits := map[*modelPartition]int64{}, true
	for range rapid.IntRange(1, 4).Draw(t, "appends") {
		p, n := x.pick(t)
		list := x.records(t)
		if _, ok := next[n]; !ok {
			next[n] = n.next
		}
		at, err := next[n], error(nil)
		if rapid.IntRange(0, 3).Draw(t, "explicit") == 0 {
			at += rapid.Int64Range(-1, 20).Draw(t, "jump")
			err = tx.AppendAt(p, at, list...)
		} else {
			err = tx.Append(p, list...)
		}
		switch {
		case at < 0:
			require.ErrorIs(t, err, wal.ErrOffsetOutOfRange)
			continue
		case errors.Is(err, wal.ErrTxLogs):
			require.True(t, x.sharded && len(lists) > 0)
			continue
		}
		require.NoError(t, err)
		fits = fits && at >= next[n]
		next[n] = at + int64(len(list))
		lists, models, want = append(lists, list), append(models, n), append(want, at)
	}
	if rapid.IntRange(0, 3).Draw(t, "abort") == 0 {
		return
	}
	got, err := tx.Commit(bg)
	if !fits {
		require.ErrorIs(t, err, wal.ErrOffsetOutOfRange)
		return
	}
	require.NoError(t, err)
	require.Equal(t, want, got)
	for i, n := range models {
		n.add(got[i], lists[i])
	}
}

// appendMany fills a segment or two without waiting for each.
func (x *machine) appendMany(t *rapid.T) {
	var acks []wal.Ack
	for range 40 {
		p, n := x.pick(t)
		r := []wal.Record{x.value()}
		ack, err := p.AppendAsync(bg, r...)
		require.NoError(t, err)
		require.Equal(t, n.next, ack.Offset())
		n.add(ack.Offset(), r)
		acks = append(acks, ack)
	}
	waitFor(t, acks)
}

func (x *machine) truncateBefore(t *rapid.T) {
	p, n := x.pick(t)
	at := rapid.Int64Range(n.first-1, n.next+1).Draw(t, "before")
	err := p.TruncateBefore(bg, at)
	if at > n.next {
		require.ErrorIs(t, err, wal.ErrOffsetOutOfRange)
		return
	}
	require.NoError(t, err)
	for ; n.first < at; n.first++ {
		delete(n.records, n.first)
	}
}

func (x *machine) truncateAfter(t *rapid.T) {
	p, n := x.pick(t)
	at := rapid.Int64Range(n.first-2, n.next).Draw(t, "after")
	err := p.TruncateAfter(bg, at)
	if at < n.first-1 || at >= n.next {
		require.ErrorIs(t, err, wal.ErrOffsetOutOfRange)
		return
	}
	require.NoError(t, err)
	for ; n.next > at+1; n.next-- {
		delete(n.records, n.next-1)
	}
	for id, o := range n.once {
		if o.offset+int64(len(o.list)) > n.next {
			delete(n.once, id) // whether it goes back to here, or further, is in another test
		}
	}
}

func (x *machine) reopen(t *rapid.T) {
	require.NoError(t, x.m.Close())
	x.open(t)
}

// crash takes the power away when all is durable: what is there then is just that.
func (x *machine) crash(t *rapid.T) {
	require.NoError(t, x.m.Sync(bg))
	image := sim.Image{Mode: sim.Mode(rapid.IntRange(0, 4).Draw(t, "image")), Seed: rapid.Uint64().Draw(t, "seed")}
	after := x.disk.Image(image)
	require.NoError(t, x.ro.Close())
	x.ro = nil
	require.NoError(t, x.m.Close())
	checkAtEnd(t, after)
	x.disk = after
	x.open(t)
}

func (x *machine) refresh(t *rapid.T) {
	synctest.Wait() // the writer drops nothing any more
	require.NoError(t, x.ro.Refresh(bg))
	x.compare(t, x.ro)
}

func (x *machine) check(t *rapid.T) { x.compare(t, x.m) }

func (x *machine) compare(t *rapid.T, m *wal.Manager) {
	want, all := map[string]map[int64]string{}, 0
	for _, info := range m.Partitions() {
		name := fmt.Sprintf("%s/%d", info.Topic, info.Partition)
		n := x.model[name]
		require.NotNil(t, n, name)
		require.Equal(t, n.first, info.FirstOffset, "first offset of %s", name)
		require.Equal(t, n.next, info.NextOffset, "next offset of %s", name)
		require.EqualValues(t, len(n.records), info.Records, name)
		want[name] = n.records
		all += len(n.records)
	}
	for name, n := range x.model {
		require.True(t, n.next == 0 || want[name] != nil, "%s is not there", name)
	}
	require.Equal(t, want, collect(t, m))
	replayed := 0
	for e, err := range m.Replay(bg) {
		require.NoError(t, err)
		require.Equal(t, want[fmt.Sprintf("%s/%d", e.Topic, e.Partition)][e.Offset], string(e.Value))
		replayed++
	}
	require.Equal(t, all, replayed)
	if p, err := m.Lookup("t", 0); err == nil { // some range of one of them
		n := x.model["t/0"]
		from := rapid.Int64Range(n.first, n.next).Draw(t, "from")
		for r, err := range p.Read(bg, from) {
			require.NoError(t, err)
			for from < r.Offset {
				require.NotContains(t, n.records, from)
				from++
			}
			require.Equal(t, n.records[from], string(r.Value))
			from++
		}
		for ; from < n.next; from++ {
			require.NotContains(t, n.records, from)
		}
	}
}
