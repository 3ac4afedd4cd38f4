package wal_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	wal "github.com/chronik-go/wal/core"
	"github.com/chronik-go/wal/core/backend/sim"
	"github.com/chronik-go/wal/core/format"
)

// TestMain fails if any test of the package left a goroutine behind.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// dataDir is where the logs of these tests are, each on a disk of its own.
const dataDir = "/d"

// moreOptions are those of the logs that most helpers open; see withOptions.
var moreOptions []wal.Option

// bg is for calls that nothing ends early.
var bg = context.Background()

// tester is a testing.TB or a *rapid.T.
type tester interface {
	require.TestingT
	Helper()
	Cleanup(func())
}

// newDisk makes a disk. When the test is over no handle of it may be open, and the
// backend contract must have been kept.
func newDisk(t tester, o sim.Options) *sim.Disk {
	t.Helper()
	disk := sim.New(o)
	checkAtEnd(t, disk)
	return disk
}

func checkAtEnd(t tester, disk *sim.Disk) {
	t.Cleanup(func() {
		assert.NoError(t, disk.Misuse())
		if !disk.Crashed() {
			assert.Zero(t, disk.OpenHandles(), "open handles")
		}
	})
}

// crash returns the disk that a power failure would leave behind now.
func crash(t tester, disk *sim.Disk) *sim.Disk {
	t.Helper()
	after := disk.Image(sim.Image{Mode: sim.DropAll})
	checkAtEnd(t, after)
	return after
}

// tryOpen opens the log of a disk: small, and without lingering groups, unless opts
// say otherwise.
func tryOpen(disk *sim.Disk, opts ...wal.Option) (*wal.Manager, error) {
	base := []wal.Option{
		wal.WithBackend(disk), wal.WithFsyncMode(wal.FsyncAlways),
		wal.WithSegmentSize(64 << 10), wal.WithBufferSize(64 << 10),
	}
	return wal.Open(dataDir, slices.Concat(base, moreOptions, opts)...)
}

func open(t tester, disk *sim.Disk, opts ...wal.Option) *wal.Manager {
	t.Helper()
	m, err := tryOpen(disk, opts...)
	require.NoError(t, err)
	t.Cleanup(func() {
		disk.Resume()
		_ = m.Close() // a second Close does nothing
	})
	return m
}

func partition(t tester, m *wal.Manager, topic string, id int32) *wal.Partition {
	t.Helper()
	p, err := m.Partition(topic, id)
	require.NoError(t, err)
	return p
}

// lookup is partition for one that must exist.
func lookup(t tester, m *wal.Manager, topic string, id int32) *wal.Partition {
	t.Helper()
	p, err := m.Lookup(topic, id)
	require.NoError(t, err)
	return p
}

func record(format string, args ...any) wal.Record {
	return wal.Record{Value: fmt.Appendf(nil, format, args...)}
}

// big is a record whose encoded size is n bytes: 24 more than its value.
func big(n int, fill byte) wal.Record {
	v := make([]byte, n-24)
	for i := range v {
		v[i] = fill
	}
	return wal.Record{Value: v}
}

// appendValues appends one record a call, whose value says its offset, from the
// partition's next offset on.
func appendValues(t tester, p *wal.Partition, n int) {
	t.Helper()
	for range n {
		want := p.NextOffset()
		got, err := p.Append(bg, valueAt(want))
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
}

func valueAt(offset int64) wal.Record { return record("value %d", offset) }

// requireValues demands that a partition holds the records of appendValues from one
// offset up to, exclusive, another, and nothing behind them.
func requireValues(t tester, p *wal.Partition, from, to int64) {
	t.Helper()
	next := from
	for r, err := range p.Read(bg, from) {
		require.NoError(t, err)
		require.Equal(t, next, r.Offset)
		require.Equal(t, string(valueAt(next).Value), string(r.Value))
		next++
	}
	require.Equal(t, to, next, "end of the records")
	require.Equal(t, to, p.NextOffset())
}

// offsets reads a partition and returns the offsets it met.
func offsets(t tester, p *wal.Partition, from int64) (list []int64) {
	t.Helper()
	for r, err := range p.Read(bg, from) {
		require.NoError(t, err)
		list = append(list, r.Offset)
	}
	return list
}

// readError returns the error that reading from an offset ends with, nil if none.
func readError(p *wal.Partition, from int64) error {
	for _, err := range p.Read(bg, from) {
		if err != nil {
			return err
		}
	}
	return nil
}

// run starts f and returns a channel with its result.
func run[T any](f func() T) <-chan T {
	ch := make(chan T, 1)
	go func() { ch <- f() }()
	return ch
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// errNoSpace is the cause of an injected lack of space.
var errNoSpace = syscall.ENOSPC

type formatHeader = format.SegmentHeader

func mustHeader(t tester, data []byte) formatHeader {
	t.Helper()
	h, err := format.ReadSegmentHeader(data)
	require.NoError(t, err)
	return h
}

// recorder collects what hooks are told, on whatever goroutine.
type recorder[T any] struct {
	mu   sync.Mutex
	list []T
}

func (r *recorder[T]) add(v T) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.list = append(r.list, v)
}

func (r *recorder[T]) all() []T {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.list)
}
