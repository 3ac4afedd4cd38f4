package conformance

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/stretchr/testify/require"

	wal "github.com/chronik-go/wal/core"
)

// The stress that the log is put under: so many producers, each with flagMessages messages for a
// partition of its own, besides what all of them append to a shared one.
const (
	stressProducers = 16
	stressAtOnce    = 100 // appends in flight of a producer
	stressKept      = 2000
)

// stressMessages is how many messages a producer has: no less than make the log drop some.
func stressMessages() int64 {
	return int64(max(*flagMessages, 2*stressKept) / stressAtOnce * stressAtOnce)
}

// logStress has everything happen at the same time that a broker does. Under the race detector
// it looks for races, without it for wrong contents.
func logStress(t *T) {
	e := t.engine(
		wal.WithFsyncMode(wal.FsyncBatch), wal.WithSegmentSize(1<<20), wal.WithBufferSize(256<<10), wal.WithMoveLimit(4<<20))
	m := e.openLog()
	lagging := e.part(m, "lagging", 0)
	e.fillLog(lagging, 50, 0)
	readers := e.crew()
	producers := e.crew()
	for i := range stressProducers {
		p := e.part(m, "own", i)
		producers.do(func(ctx context.Context) error { return produce(ctx, p, e.known(m, "lagging", 0)) })
		readers.do(func(ctx context.Context) error { return followCut(ctx, p) })
		if i%4 == 0 {
			readers.do(func(ctx context.Context) error { return readOver(ctx, p) })
		}
	}
	readers.do(func(ctx context.Context) error { return readOver(ctx, lagging) })
	readers.do(func(ctx context.Context) error { return e.lookOver(ctx) })
	shared := newSharedPartition(e.part(m, "shared", 0))
	for i := range stressProducers {
		producers.do(func(ctx context.Context) error { return shared.produce(ctx, i) })
	}
	require.NoError(e, producers.wait())
	readers.stop()
	require.NoError(e, readers.wait())
	check := func(m *wal.Manager) {
		e.Helper()
		for i := range stressProducers {
			e.holds(e.known(m, "own", i), stressMessages()-stressKept, stressMessages(), 0)
		}
		e.holds(e.known(m, "lagging", 0), 0, 50, 0)
		require.NoError(e, shared.check(e.ctx, e.known(m, "shared", 0)))
	}
	check(m)
	s := m.Stats()
	t.Logf("%d records in %d groups, %d rotations, %d segments dropped, %d recycled, %d bytes moved",
		s.Records, s.Groups, s.Rotations, s.Dropped, s.Recycled, s.MovedBytes)
	require.Positive(e, s.Dropped)
	require.Positive(e, s.Recycled)
	e.closeLog(m)
	e.sound(0)
	check(e.openLog())
}

// produce appends all messages of a producer and keeps only the newest.
func produce(ctx context.Context, p, other *wal.Partition) error {
	for done := int64(0); done < stressMessages(); done += stressAtOnce {
		if err := appendLog(ctx, p, stressAtOnce, 0); err != nil {
			return err
		}
		if first := p.NextOffset() - stressKept; first > 0 {
			if err := p.TruncateBefore(ctx, first); err != nil {
				return err
			}
		}
		if other.NextOffset() < 50 {
			return errors.New("the lagging partition has lost something")
		}
	}
	return nil
}

// followCut follows a partition that is truncated meanwhile: wherever it begins again, no
// record is missing from there on.
func followCut(ctx context.Context, p *wal.Partition) error {
	next := int64(0)
	for next < stressMessages() && ctx.Err() == nil {
		for r, err := range p.Follow(ctx, next) {
			if errors.Is(err, wal.ErrOffsetOutOfRange) {
				next = max(next, p.FirstOffset())
				break
			}
			if errors.Is(err, context.Canceled) {
				return nil
			}
			if err != nil {
				return fmt.Errorf("follow: %w", err)
			}
			if err := sameRecord(p, r, next, 0); err != nil {
				return err
			}
			if next++; next == stressMessages() {
				break
			}
		}
	}
	return nil
}

// lookOver looks at the log as another process would, over and over: what it sees is in order,
// and never goes back.
func (e *engine) lookOver(ctx context.Context) error {
	var ro *wal.Manager
	last := map[string]int64{}
	for ctx.Err() == nil {
		if ro == nil {
			var err error
			if ro, err = e.tryLog(wal.WithReadOnly()); err != nil {
				return fmt.Errorf("open read-only: %w", err)
			}
		}
		if err := ro.Refresh(ctx); err != nil && ctx.Err() == nil {
			return errors.Join(fmt.Errorf("refresh: %w", err), ro.Close())
		}
		for _, info := range ro.Partitions() {
			name := fmt.Sprint(info.Topic, info.Partition)
			if info.NextOffset < last[name] {
				return errors.Join(fmt.Errorf("%s goes back from %d to %d", name, last[name], info.NextOffset), ro.Close())
			}
			last[name] = info.NextOffset
		}
	}
	return ro.Close()
}

// sharedPartition is one that many producers append to: who got which offset.
type sharedPartition struct {
	part   *wal.Partition
	owners []atomic.Int32 // by offset: the producer, plus 1
}

const sharedMessages = 600 // of each producer

func newSharedPartition(p *wal.Partition) *sharedPartition {
	return &sharedPartition{part: p, owners: make([]atomic.Int32, stressProducers*sharedMessages)}
}

func (s *sharedPartition) produce(ctx context.Context, id int) error {
	for n := 0; n < sharedMessages; n += 3 {
		records := make([]wal.Record, 3)
		for i := range records {
			records[i] = wal.Record{Value: fmt.Appendf(nil, "producer %d message %d", id, n+i)}
		}
		first, err := s.part.Append(ctx, records...)
		if err != nil {
			return err
		}
		for i := range int64(3) {
			if first+i >= int64(len(s.owners)) || !s.owners[first+i].CompareAndSwap(0, int32(id+1)) {
				return fmt.Errorf("%v: offset %d was given twice, or is beyond all", s.part, first+i)
			}
		}
	}
	return nil
}

// check demands that each record is where its producer was told, once and in the producer's
// order, and the three of each append together.
func (s *sharedPartition) check(ctx context.Context, p *wal.Partition) error {
	counts := make([]int, stressProducers)
	next := 0
	for r, err := range p.Read(ctx, 0) {
		if err != nil {
			return err
		}
		if r.Offset != int64(next) || next == len(s.owners) {
			return fmt.Errorf("%v: offset %d behind %d", p, r.Offset, next-1)
		}
		id := int(s.owners[next].Load()) - 1
		if want := fmt.Sprintf("producer %d message %d", id, counts[id]); string(r.Value) != want {
			return fmt.Errorf("%v: offset %d is %q, should be %q", p, next, r.Value, want)
		}
		if next%3 > 0 && s.owners[next-1].Load() != s.owners[next].Load() {
			return fmt.Errorf("%v: offset %d: the records of an append are torn apart", p, next)
		}
		counts[id]++
		next++
	}
	if next != len(s.owners) {
		return fmt.Errorf("%v: %d records, should be %d", p, next, len(s.owners))
	}
	return nil
}
