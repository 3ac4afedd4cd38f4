package wal

import (
	"context"
	"fmt"
	"math"
	"sync"
	"time"

	"github.com/chronik-go/wal/core/format"
)

// MaxTxAppends is how many appends a transaction may hold.
const MaxTxAppends = maxGroupEntries

// Tx is a transaction: appends to partitions of one log that are all made, or none of them.
// They share one group commit, so they are written and synced as one, and a recovery finds all
// of them or none. A reader that has seen one of its records sees those in the other partitions
// too when it looks there next; Replay, Visit and Partitions show all of it or nothing.
//
// It holds no lock and no offset until it is committed: appends of others go on meanwhile. What is
// truncated, moved by retention, or lost by damage later, is so for each partition by itself.
//
// Its methods may be called concurrently. The caller may reuse the memory of records as soon as
// a method returns.
type Tx struct {
	m *Manager

	mu      sync.Mutex
	over    bool
	shard   *shard
	appends []txAppend
	last    map[*Partition]int // the newest append to each partition
	data    []byte             // of all, encoded, one behind the other
	raw     int64              // its size before compression, bytes
}

// txAppend is one append of a transaction.
type txAppend struct {
	request
	before int   // the append to the same partition before this one, or -1
	end    int64 // the offset behind it, where it fits the partition's state
}

// Begin begins a transaction. It returns ErrClosed, ErrReadOnly, or an error that wraps ErrFailed
// if nothing can be appended any more.
func (m *Manager) Begin() (*Tx, error) {
	m.mu.RLock()
	closed := m.closed
	m.mu.RUnlock()
	if closed {
		return nil, ErrClosed
	}
	var err error
	for _, s := range m.allShards() {
		s.mu.Lock()
		err = s.writable()
		s.mu.Unlock()
		if err == nil {
			break
		}
	}
	if err != nil {
		return nil, err
	}
	return &Tx{m: m, last: map[*Partition]int{}}, nil
}

// Append adds records to the transaction, as one batch. Nothing is written before Commit. An
// append that is refused leaves the transaction as it was:
//
//   - ErrTxDone: it was committed or aborted;
//   - ErrTxLogs: the partition lies in another log than the others. A log is what is written and
//     synced as one: partitions share one unless WithShards or LayoutDedicated spread them;
//   - ErrTxTooLarge: together with these its records were more than one append may have (see
//     WithMaxRecordSize), or its appends more than MaxTxAppends;
//   - ErrRecordTooLarge, ErrInvalid: as for Partition.Append.
func (t *Tx) Append(p *Partition, records ...Record) error {
	return t.add(p, -1, records)
}

// AppendAt is Append at an explicit offset; see Partition.AppendAt. Whether it fits is told by
// Commit.
func (t *Tx) AppendAt(p *Partition, offset int64, records ...Record) error {
	if p != nil && (offset < 0 || offset > math.MaxInt64-int64(len(records))) {
		return fmt.Errorf("%w: %s: append at offset %d", ErrOffsetOutOfRange, p, offset)
	}
	return t.add(p, offset, records)
}

func (t *Tx) add(p *Partition, at int64, records []Record) error {
	r, err := p.request(records)
	if err != nil {
		return err
	}
	if t.m == nil {
		return fmt.Errorf("%w: a transaction comes from Begin", ErrInvalid)
	}
	r.at = at
	t.mu.Lock()
	defer t.mu.Unlock()
	if err := t.takes(p, &r); err != nil {
		return err
	}
	if err := p.begin(context.Background(), &r); err != nil {
		return err
	}
	r.pack(records)
	from := len(t.data)
	t.data = append(t.data, make([]byte, r.entry.Length)...)
	r.put(t.data[from:], records)
	r.unpack()
	before := -1
	if i, ok := t.last[p]; ok {
		before = i
	}
	if len(t.appends) > 0 {
		r.entry.Flags = format.FlagTransaction
	}
	t.last[p], t.shard = len(t.appends), p.shard
	t.appends = append(t.appends, txAppend{request: r, before: before})
	t.raw += r.entry.RawLength
	return nil
}

// takes tells whether a request can be part of the transaction. The caller holds t.mu.
func (t *Tx) takes(p *Partition, r *request) error {
	limit := p.shard.cfg.maxRecord
	switch {
	case t.over:
		return ErrTxDone
	case p.shard.cfg != t.m.cfg:
		return fmt.Errorf("%w: %s is a partition of another Manager", ErrInvalid, p)
	case t.shard != nil && t.shard != p.shard:
		return fmt.Errorf("%w: %s is in %s, what came before in %s", ErrTxLogs, p, p.shard.title(), t.shard.title())
	case len(t.appends) == MaxTxAppends:
		return fmt.Errorf("%w: it has %d appends already (the limit)", ErrTxTooLarge, MaxTxAppends)
	case t.raw+r.entry.RawLength > limit:
		return fmt.Errorf("%w: %d bytes of records, and %d more to %s (the limit is %d)",
			ErrTxTooLarge, t.raw, r.entry.RawLength, p, limit)
	}
	return nil
}

// Commit makes the appends, and waits until they are acknowledged: as durable as the FsyncMode
// promises, with one sync for all. It returns the offset of the first record of each append, in
// the order of the calls. A transaction without appends changes nothing.
//
// After an error nothing of it is in the log, but for those that say the outcome is open; see
// Partition.Append. If nothing was submitted (ErrOffsetOutOfRange, ErrBackpressure, or ctx ended
// while there was no space in the write buffer) the transaction is as it was, and may be committed
// again; else that is ErrTxDone.
func (t *Tx) Commit(ctx context.Context) ([]int64, error) {
	acks, err := t.CommitAsync(ctx)
	if err != nil || len(acks) == 0 {
		return nil, err
	}
	if err := acks[0].Wait(ctx); err != nil { // they are one group: of one all is known
		return nil, err
	}
	offsets := make([]int64, len(acks))
	for i, a := range acks {
		offsets[i] = a.Offset()
	}
	return offsets, nil
}

// CommitAsync submits the appends and returns without waiting for their acknowledgement. The
// Acks, one for each append, all tell the same. ctx bounds the wait for space in the write
// buffer.
func (t *Tx) CommitAsync(ctx context.Context) ([]Ack, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.over:
		return nil, ErrTxDone
	case len(t.appends) == 0:
		t.end()
		return nil, nil
	}
	acks, err := t.shard.commitTx(ctx, t)
	if err == nil {
		t.end()
	}
	return acks, err
}

// Abort gives the transaction up: nothing of it gets into the log. After Commit it does nothing,
// so it may be deferred.
func (t *Tx) Abort() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.end()
}

func (t *Tx) end() {
	t.over, t.appends, t.last, t.data = true, nil, nil, nil
}

// check tells whether all appends fit the state of their partitions. The caller holds the
// append lock.
func (t *Tx) check() error {
	for i := range t.appends {
		a := &t.appends[i]
		next := a.part.next
		if a.before >= 0 {
			next = t.appends[a.before].end
		}
		if err := a.part.fits(&a.request, next); err != nil {
			return err
		}
		a.end = max(next, a.at) + int64(a.entry.Count)
	}
	return nil
}

// commitTx puts a transaction into one group: all of it becomes durable by one write, and
// is found by a recovery, or not, as a whole.
func (s *shard) commitTx(ctx context.Context, t *Tx) ([]Ack, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	r := request{tx: t, start: time.Now(), entry: format.Entry{Kind: format.KindData, Length: int64(len(t.data))}}
	acks := make([]Ack, 0, len(t.appends))
	s.mu.Lock()
	g, err := s.groupFor(ctx, &r)
	if err != nil {
		s.mu.Unlock()
		return nil, err
	}
	at, first := g.n, len(g.entries)
	for i := range t.appends {
		t.appends[i].start = r.start
		acks = append(acks, s.enter(g, &t.appends[i].request))
	}
	sl := slot{group: g, buf: g.buf[at:g.n:g.n]}
	entries := g.entries[first:]
	sl.wake = s.entered(g)
	s.mu.Unlock()
	copy(sl.buf, t.data)
	for i := range acks {
		n := entries[i].Length
		s.finishEntry(&entries[i], sl.buf[:n:n], acks[i].lsn)
		sl.buf = sl.buf[n:]
	}
	g.encoding.Add(-1)
	s.rouse(sl.wake)
	return acks, nil
}

// title names a log for messages.
func (s *shard) title() string {
	if !s.isMade() {
		return "a log of its own"
	}
	if s.name == "" {
		return "the log of the data directory itself"
	}
	return "log " + s.name
}

// together changes several partitions in one step: a reader that sees one of them changed finds
// the others so too, and a look at all of them comes before or after. The partitions are all
// different.
func (s *shard) together(parts []*Partition, change func()) {
	s.showing.Lock()
	defer s.showing.Unlock()
	for _, p := range parts {
		p.mu.Lock()
	}
	change()
	for _, p := range parts {
		p.mu.Unlock()
	}
}
