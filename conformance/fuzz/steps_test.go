package fuzz

import (
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/stretchr/testify/require"

	wal "github.com/chronik-go/wal/core"
)

// sizes are those of records: many a frame, a few a frame, many a segment, larger than a group.
var sizes = []int{0, 10, 10, 100, 600, 3000, 7000, 20_000}

// batch makes the records of an append.
func (w *world) batch(count, size int) (list []placed, records []wal.Record) {
	for range count {
		w.numbers++
		list = append(list, placed{number: w.numbers, size: sizes[size%len(sizes)]})
		if size = 1; len(list) > 20 { // within the limit, whatever was asked for
			break
		}
	}
	for _, r := range list {
		records = append(records, r.record())
	}
	return list, records
}

// append appends without waiting, at so many offsets behind the next one.
func (w *world) append(t tester, i, count, size int, skip int64) {
	p, h := w.partition(t, i%partitions)
	list, records := w.batch(count, size)
	at := int64(-1)
	if skip > 0 && !w.row(t) {
		at = h.now().next + skip
	}
	after := h.now().appended(at, list)
	offset := after.next - int64(len(list))
	send := func() (wal.Ack, error) {
		if at >= 0 {
			return p.AppendAt(bg, at, records...)
		}
		return p.AppendAsync(bg, records...)
	}
	w.send(t, h, after, offset, send)
}

// send submits an append that is to get an offset and to lead to a state.
func (w *world) send(t tester, h *history, after state, offset int64, send func() (wal.Ack, error)) {
	if w.noWait { // it says at once whether there is space
		ack, err := send()
		if errors.Is(err, wal.ErrBackpressure) {
			require.True(t, w.stalled || len(w.flights) > 0, "nothing is under way, and there is no space")
			return
		}
		send = func() (wal.Ack, error) { return ack, err }
	}
	w.submit(h, after, func(placed func()) error {
		ack, err := send()
		placed()
		if err != nil {
			return err
		}
		if ack.Offset() != offset || ack.Duplicate() {
			return fmt.Errorf("offset %d, should be %d; taken for a duplicate: %v", ack.Offset(), offset, ack.Duplicate())
		}
		return ack.Wait(bg)
	})
}

// truncateBefore truncates at an offset relative to the first one.
func (w *world) truncateBefore(t tester, i int, by int64) {
	p, h := w.partition(t, i)
	now := h.now()
	at := now.first + by
	switch {
	case at <= p.FirstOffset() || w.noWait && len(w.flights) > 0 || w.row(t):
		return
	case at > now.next:
		if len(w.flights) == 0 {
			require.ErrorIs(t, p.TruncateBefore(bg, at), wal.ErrOffsetOutOfRange)
		}
		return
	}
	w.submit(h, now.cutBefore(at), func(func()) error { return p.TruncateBefore(bg, at) })
}

// truncateAfter truncates at an offset relative to the last one.
func (w *world) truncateAfter(t tester, i int, by int64) {
	p, h := w.partition(t, i)
	now := h.now()
	at := now.next - 1 - by
	switch {
	case w.noWait && len(w.flights) > 0 || w.row(t):
		return
	case at < now.first-1:
		if len(w.flights) == 0 {
			require.ErrorIs(t, p.TruncateAfter(bg, at), wal.ErrOffsetOutOfRange)
		}
		return
	}
	w.submit(h, now.cutAfter(at), func(func()) error { return p.TruncateAfter(bg, at) })
}

// sync makes durable what is acknowledged.
func (w *world) sync() {
	f := &flight{sync: true, acked: map[*history]int{}}
	for _, h := range w.parts {
		f.acked[h] = max(h.acked, h.seen)
	}
	w.start(f, func() error { return w.m.Sync(bg) })
}

// rotate lets the active segment get too old.
func (w *world) rotate() { <-time.After(rotationAge) }

// stall holds back what the disk completes, but for the next n batches.
func (w *world) stall(n int) {
	w.stalled = true
	w.disk.Stall()
	w.disk.Complete(n)
}

// reopen closes the log and opens it again: all that was submitted is there.
func (w *world) reopen(t tester) {
	w.close(t)
	w.open(t)
	w.transactions = nil
	for i, h := range w.parts {
		var got state
		if p, err := w.m.Lookup("t", int32(i)); err == nil {
			got, err = readState(p, h.producer)
			require.NoError(t, err)
		}
		require.True(t, got.equal(h.now()), "%s: %v after a clean close, should be %v", h.name, got, h.now())
		h.restart(got)
	}
}

// look has a reader of another process look at the log: it changes no byte.
func (w *world) look(t tester) {
	w.land(t)
	if w.ro == nil {
		before := w.contents(t)
		ro, err := wal.Open(dataDir, append(w.options(w.disk), wal.WithReadOnly())...)
		if errors.Is(err, wal.ErrNotLog) {
			return
		}
		require.NoError(t, err)
		w.ro = ro
		require.Equal(t, before, w.contents(t), "a read-only open has changed something")
	}
	before := w.contents(t)
	require.NoError(t, w.ro.Refresh(bg))
	require.Equal(t, before, w.contents(t), "a refresh has changed something")
	w.compare(t, w.ro, true)
}

// contents are the files of the log as a reader sees them.
func (w *world) contents(t tester) map[string]string {
	files := map[string]string{}
	var walk func(dir string)
	walk = func(dir string) {
		for _, name := range w.disk.Files(dir) {
			if b, err := w.disk.ReadFile(dir + "/" + name); err == nil {
				files[dir+"/"+name] = string(b)
			} else {
				walk(dir + "/" + name)
			}
		}
	}
	walk(dataDir)
	return files
}

// badInput does what must fail, and must change nothing.
func (w *world) badInput(t tester, i int) {
	_, err := wal.Open(dataDir, w.options(w.disk)...)
	require.ErrorIs(t, err, wal.ErrLocked)
	p, h := w.partition(t, i)
	if next := h.now().next; next > 0 && len(w.flights) == 0 {
		_, err = p.AppendAt(bg, next-1, wal.Record{})
		require.ErrorIs(t, err, wal.ErrOffsetOutOfRange)
	}
	_, err = p.Append(bg, wal.Record{Value: make([]byte, recordLimit)})
	require.ErrorIs(t, err, wal.ErrRecordTooLarge)
	_, err = p.Append(bg)
	require.ErrorIs(t, err, wal.ErrInvalid)
	for _, offset := range []int64{p.FirstOffset() - 1, p.NextOffset() + 1, math.MaxInt64, math.MinInt64} {
		for _, err := range p.Read(bg, offset) {
			require.ErrorIs(t, err, wal.ErrOffsetOutOfRange)
		}
	}
	for _, topic := range []string{"", "..", "a/b", "a\x00"} {
		_, err := w.m.Partition(topic, 0)
		require.ErrorIs(t, err, wal.ErrInvalid)
	}
}
