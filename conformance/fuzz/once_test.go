package fuzz

import (
	"fmt"

	"github.com/stretchr/testify/require"

	wal "github.com/chronik-go/wal/core"
)

// appendOnce appends records that the partition's producer numbers, without waiting. Before that, and with again
// behind it too, the last one is repeated: nothing may be appended by that.
func (w *world) appendOnce(t tester, i, count, size int, again bool) {
	p, h := w.partition(t, i)
	if w.row(t) {
		return // it would be refused for what those before it have not done yet
	}
	now := h.now()
	require.NoError(t, repeatLast(p, h.producer, now))
	sequence, known := now.row.Next()
	if !known {
		sequence = int64(w.numbers) << 8
	}
	list, records := w.batch(count, size)
	after := now.once(sequence, list)
	w.send(t, h, after, after.next-int64(len(list)), func() (wal.Ack, error) {
		return p.AppendOnce(bg, h.producer, sequence, records...)
	})
	if again && !w.row(t) {
		require.NoError(t, repeatLast(p, h.producer, h.now()))
	}
}

// repeatLast appends the last record that a producer numbered again.
func repeatLast(p *wal.Partition, producer uint64, now state) error {
	sequence, offset, n := now.row.Last(1)
	if n == 0 {
		return nil
	}
	ack, err := p.AppendOnce(bg, producer, sequence, wal.Record{})
	if err == nil && (!ack.Duplicate() || ack.Offset() != offset) {
		err = fmt.Errorf("number %d again: offset %d, should be %d; taken for a duplicate: %v", sequence, ack.Offset(), offset, ack.Duplicate())
	}
	return err
}
