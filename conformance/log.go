package conformance

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/stretchr/testify/require"

	wal "github.com/chronik-go/wal/core"
)

// logChecks are the checks of the engine at work on the backend. They speak of what the log's
// documentation promises, and find what a backend breaks in it that its contract does not show.
func logChecks() []check {
	return []check{
		{group: "Log", name: "RotationBySize", says: "a segment ends at its size; the next one follows without a gap; all but the last get sealed", run: logRotationBySize},
		{group: "Log", name: "RotationByAge", says: "a segment that holds something ends at its age, without an append", run: logRotationByAge},
		{group: "Log", name: "Reopen", says: "G1 acked-is-durable: after a clean close all is there, in order, in each mode", run: logReopen},
		{group: "Log", name: "Modes", says: "G1 acked-is-durable: DurableOffset is NextOffset in always and batch, and after Sync in periodic", run: logModes},
		{group: "Log", name: "Unclosed", says: "G5 recovery: what was acknowledged is there without a close, G6: a torn tail is cut off and counted", run: logUnclosed},
		{group: "Log", name: "Damage", says: "G6 damage-is-reported: damage to what was durable is an error that names segment and partitions; Repair keeps the rest", run: logDamage},
		{group: "Log", name: "Retention", says: "truncated segments go, oldest first, and their files are used again", run: logRetention},
		{group: "Log", name: "Moves", says: "a lagging partition does not hold back what is truncated behind it; nobody notices its move", run: logMoves},
		{group: "Log", name: "TruncateAfter", says: "G4 no-resurrection: what was truncated never comes back", run: logTruncateAfter},
		{group: "Log", name: "Recycled", says: "G4 no-resurrection: what a recycled file held in its earlier life never comes back", run: logRecycled},
		{group: "Log", name: "Readers", says: "G10 whole-and-acked: readers see whole records that are acknowledged, while segments rotate and old ones go", run: logReaders},
		{group: "Log", name: "Followers", says: "a follower gets each record once, as it is acknowledged, and ends with its context or the log", run: logFollowers},
		{group: "Log", name: "ReadOnlyBeside", says: "G9 one-writer: a read-only open beside a writer takes no lock and changes no byte; Refresh takes in what is new", run: logReadOnlyBeside},
		{group: "Log", name: "OneWriter", says: "G9 one-writer: a directory has one writer", run: logOneWriter},
		{group: "Log", name: "Shards", says: "partitions are spread over the shards, and stay where they began", run: logShards},
		{group: "Log", name: "Dedicated", says: "each new partition of the dedicated layout has a log of its own", run: logDedicated},
		{group: "Log", name: "LargeRecords", says: "records up to the limit are taken, larger ones are ErrRecordTooLarge and change nothing", run: logLargeRecords},
		{group: "Log", name: "ManyPartitions", says: "thousands of partitions share a log", run: logManyPartitions},
		{group: "Log", name: "BadInput", says: "G11 bad-input: bad input gets a typed error and changes nothing", run: logBadInput},
		{group: "Log", name: "BadFiles", says: "G11 bad-input: a segment that is a link, a FIFO or a directory is refused", run: logBadFiles},
		{group: "Log", name: "Sealed", says: "G16 sealed: of an encrypted log no file holds what is secret; what was changed, moved or is older is refused; without the key nothing is cut off or repaired", run: logSealed},
		{group: "Log", name: "FileModes", says: "G11 bad-input: files have mode 0600 and directories 0700 under any umask", run: logFileModes, apart: logFileModesUmask},
		{group: "Log", name: "BoundedQueue", says: "G12 bounded-memory: a full queue blocks until the context ends, or is ErrBackpressure with WithNoWait", run: logBoundedQueue},
		{group: "Log", name: "NoSpace", says: "G8 no-space: on a full disk appends fail with ErrNoSpace, all else works, and they succeed again once there is space", run: logNoSpace, apart: logNoSpace},
		{group: "Log", name: "Linearizable", says: "what clients do to a partition at the same time is as if they did it one after the other", run: logLinearizable},
		{group: "Log", name: "Leaks", says: "a log that is closed leaves no goroutine, descriptor, mapping or memory behind", run: logLeaks},
		{group: "Log", name: "Cycles", says: "thousands of open, append, close cycles lose nothing and leave nothing behind", run: logCycles},
		{group: "Log", name: "Stress", says: "G10 whole-and-acked: many producers, readers and followers at once, while segments rotate and old ones go", run: logStress},
	}
}

// engine is the log on the backend under test, in a directory of its own.
type engine struct {
	*T
	dir string
	ctx context.Context
	// opts are those of every open.
	opts []wal.Option
}

// engine makes the directory of a log, with small segments unless opts say otherwise.
func (t *T) engine(opts ...wal.Option) *engine {
	t.Helper()
	// The deadline measures nothing: it only ends what hangs.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 5*t.suite.patience)
	t.Cleanup(cancel)
	base := []wal.Option{
		wal.WithBackend(t.Backend), wal.WithFsyncMode(wal.FsyncAlways),
		wal.WithSegmentSize(64 << 10), wal.WithBufferSize(64 << 10),
	}
	return &engine{T: t, dir: t.TempDir(), ctx: ctx, opts: append(base, opts...)}
}

// openLog opens the log until the end of the check.
func (e *engine) openLog(opts ...wal.Option) *wal.Manager {
	e.Helper()
	m, err := e.tryLog(opts...)
	require.NoError(e, err)
	e.Cleanup(func() { _ = m.Close() }) // a second Close does nothing
	return m
}

func (e *engine) tryLog(opts ...wal.Option) (*wal.Manager, error) {
	return wal.Open(e.dir, append(append([]wal.Option(nil), e.opts...), opts...)...)
}

// closeLog closes a log, which must succeed.
func (e *engine) closeLog(m *wal.Manager) {
	e.Helper()
	var err error
	e.soon("Close of the log", func() { err = m.Close() })
	require.NoError(e, err)
}

// part returns the handle of a partition.
func (e *engine) part(m *wal.Manager, topic string, n int) *wal.Partition {
	e.Helper()
	p, err := m.Partition(topic, int32(n))
	require.NoError(e, err)
	return p
}

// known is part for a partition that must exist.
func (e *engine) known(m *wal.Manager, topic string, n int) *wal.Partition {
	e.Helper()
	p, err := m.Lookup(topic, int32(n))
	require.NoError(e, err)
	return p
}

// logRecord is the record that these checks append at an offset of a partition. life tells
// apart what stands there one after the other.
func logRecord(p *wal.Partition, offset int64, life int) wal.Record {
	text := fmt.Sprintf("%v offset %d life %d ", p, offset, life)
	return wal.Record{
		Timestamp: time.Unix(1_700_000_000, offset),
		Key:       []byte(fmt.Sprint(offset)),
		Value:     []byte(text + strings.Repeat("=", int(offset*37%300))),
		Headers:   []wal.Header{{Key: "life", Value: []byte{byte(life)}}},
	}
}

// fillLog appends n records, one an append, and waits for all of them.
func (e *engine) fillLog(p *wal.Partition, n, life int) {
	e.Helper()
	require.NoError(e, appendLog(e.ctx, p, n, life))
}

// appendLog is fillLog for any goroutine.
func appendLog(ctx context.Context, p *wal.Partition, n, life int) error {
	next := p.NextOffset()
	acks := make([]wal.Ack, n)
	for i := range acks {
		var err error
		if acks[i], err = p.AppendAsync(ctx, logRecord(p, next+int64(i), life)); err != nil {
			return fmt.Errorf("append at %d: %w", next+int64(i), err)
		}
	}
	for i, ack := range acks {
		if err := ack.Wait(ctx); err != nil {
			return fmt.Errorf("append at %d: %w", next+int64(i), err)
		}
		if ack.Offset() != next+int64(i) {
			return fmt.Errorf("%v: append got offset %d, should get %d", p, ack.Offset(), next+int64(i))
		}
	}
	return nil
}

// holds demands that a partition has the records of a life from one offset on up to, exclusive,
// another, and nothing else.
func (e *engine) holds(p *wal.Partition, from, to int64, life int) {
	e.Helper()
	require.Equal(e, from, p.FirstOffset(), "first offset of %v", p)
	e.holdsFrom(p, from, to, life)
}

// holdsFrom is holds for a partition that has more before these records.
func (e *engine) holdsFrom(p *wal.Partition, from, to int64, life int) {
	e.Helper()
	require.Equal(e, to, p.NextOffset(), "next offset of %v", p)
	next := from
	for r, err := range p.Read(e.ctx, from) {
		require.NoError(e, err, "read %v", p)
		require.NoError(e, sameRecord(p, r, next, life))
		next++
	}
	require.Equal(e, to, next, "end of the records of %v", p)
}

// sameRecord tells how a record differs from the one that was appended at an offset.
func sameRecord(p *wal.Partition, got wal.Record, offset int64, life int) error {
	want := logRecord(p, offset, life)
	if got.Offset != offset || string(got.Value) != string(want.Value) || string(got.Key) != string(want.Key) ||
		!got.Timestamp.Equal(want.Timestamp) || len(got.Headers) != 1 || got.Headers[0].Value[0] != byte(life) {
		return fmt.Errorf("%v: offset %d with %.60q, should be offset %d with %.60q", p, got.Offset, got.Value, offset, want.Value)
	}
	return nil
}

// events is a place for what hooks tell: all that happened so far, to be waited for.
type events[E any] struct{ ch chan E }

func newEvents[E any]() events[E] { return events[E]{make(chan E, 1<<16)} }

func (ev events[E]) add(x E) {
	select {
	case ev.ch <- x:
	default: // nobody waits for so many
	}
}

// await returns the next event, or fails when ctx ends.
func await[E any](e *engine, ev events[E], what string) (x E) {
	e.Helper()
	select {
	case x = <-ev.ch:
	case <-e.ctx.Done():
		require.Failf(e, "hangs", "%s does not come", what)
	}
	return x
}

func (e *engine) segments(m *wal.Manager) []wal.SegmentInfo {
	e.Helper()
	list, err := m.Segments()
	require.NoError(e, err)
	return list
}
