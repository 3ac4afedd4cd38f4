package wal_test

import (
	"context"
	"math"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	wal "github.com/chronik-go/wal/core"
	"github.com/chronik-go/wal/core/backend/sim"
)

// Offsets are dense, each batch has its records next to each other and in order, whoever
// appends to the same partition at the same time.
func TestOffsetsAreDense(t *testing.T) {
	disk := newDisk(t, sim.Options{Depth: 4})
	m := open(t, disk)
	p := partition(t, m, "t", 0)
	const producers, appends = 8, 60
	var wg sync.WaitGroup
	for i := range producers {
		wg.Go(func() {
			for j := range appends {
				n := (i+j)%4 + 1
				var batch []wal.Record
				for k := range n {
					batch = append(batch, record("%d %d %d", i, j, k))
				}
				var first int64
				var err error
				if j%2 == 0 {
					first, err = p.Append(bg, batch...)
				} else {
					var ack wal.Ack
					if ack, err = p.AppendAsync(bg, batch...); err == nil {
						first, err = ack.Offset(), ack.Wait(bg)
					}
				}
				if err != nil {
					t.Error(err)
					return
				}
				k := 0
				for r, err := range p.Read(bg, first) {
					if want := string(record("%d %d %d", i, j, k).Value); err != nil || string(r.Value) != want {
						t.Errorf("offset %d: %q, %v instead of %q", r.Offset, r.Value, err, want)
					}
					if k++; k == n {
						break
					}
				}
			}
		})
	}
	wg.Wait()
	require.False(t, t.Failed())
	all := offsets(t, p, 0)
	for i, o := range all {
		require.EqualValues(t, i, o)
	}
	require.EqualValues(t, len(all), p.NextOffset())
	st := m.Stats()
	require.EqualValues(t, producers*appends, st.Appends)
	require.EqualValues(t, len(all), st.Records)
}

// An Ack can be asked any number of times, by any number of goroutines, before and after
// it is decided; the end of a context ends one wait and nothing else.
func TestAckWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := newDisk(t, sim.Options{})
		m := open(t, disk)
		p := partition(t, m, "t", 0)
		disk.Stall()
		ack, err := p.AppendAsync(bg, record("x"))
		require.NoError(t, err)
		later, err := p.AppendAsync(bg, record("y"))
		require.NoError(t, err)
		ended, cancel := context.WithCancel(bg)
		cancel()
		require.ErrorIs(t, ack.Wait(ended), context.Canceled)
		short, cancel := context.WithTimeout(bg, time.Second)
		defer cancel()
		var waits []<-chan error
		for i := range 100 {
			waits = append(waits, run(func() error {
				if i%10 == 0 {
					return ack.Wait(short)
				}
				return []wal.Ack{ack, later}[i%2].Wait(bg)
			}))
		}
		time.Sleep(time.Second)
		synctest.Wait()
		disk.Resume()
		for i, w := range waits {
			if i%10 == 0 {
				require.ErrorIs(t, <-w, context.DeadlineExceeded)
			} else {
				require.NoError(t, <-w)
			}
		}
		require.NoError(t, ack.Wait(ended), "it is decided, there is nothing to wait for")
		require.NoError(t, m.Close())
		require.NoError(t, ack.Wait(bg), "also when the log is closed")
		require.ErrorIs(t, wal.Ack{}.Wait(bg), wal.ErrInvalid)
	})
}

// The context of an append bounds the wait, not the write.
func TestAppendContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := newDisk(t, sim.Options{})
		m := open(t, disk)
		p := partition(t, m, "t", 0)
		ended, cancel := context.WithCancel(bg)
		cancel()
		_, err := p.Append(ended, record("no"))
		require.ErrorIs(t, err, context.Canceled)
		_, err = p.AppendAsync(ended, record("no"))
		require.ErrorIs(t, err, context.Canceled)
		_, err = p.AppendAt(ended, 5, record("no"))
		require.ErrorIs(t, err, context.Canceled)
		require.ErrorIs(t, p.TruncateBefore(ended, 0), nil)
		require.ErrorIs(t, p.TruncateAfter(ended, -1), context.Canceled)
		require.Empty(t, m.Partitions(), "it never began")

		disk.Stall()
		short, cancel := context.WithTimeout(bg, time.Second)
		defer cancel()
		_, err = p.Append(short, record("written nevertheless"))
		require.ErrorIs(t, err, context.DeadlineExceeded)
		disk.Resume()
		off, err := p.Append(bg, record("next"))
		require.NoError(t, err)
		require.EqualValues(t, 1, off)
		require.Equal(t, "written nevertheless", collect(t, m)["t/0"][0])
	})
}

// The caller may use the records' memory again as soon as the call returns, whether or
// not anything is written by then.
func TestAppendTakesCopies(t *testing.T) {
	disk := newDisk(t, sim.Options{})
	m := open(t, disk)
	p := partition(t, m, "t", 0)
	disk.Stall()
	rec := slowRecord(0)
	rec.Value = []byte("value")
	var acks []wal.Ack
	for i := range 20 {
		rec.Key[0], rec.Value[0], rec.Headers[0].Value[0] = byte(i), byte(i), byte(i)
		ack, err := p.AppendAsync(bg, rec)
		require.NoError(t, err)
		acks = append(acks, ack)
	}
	clear(rec.Key)
	clear(rec.Value)
	rec.Headers[0] = wal.Header{}
	disk.Resume()
	for _, ack := range acks {
		require.NoError(t, ack.Wait(bg))
	}
	for r, err := range p.Read(bg, 0) {
		require.NoError(t, err)
		i := byte(r.Offset)
		require.Equal(t, []byte{i, 'e', 'y', ' ', '0'}, r.Key)
		require.Equal(t, []byte{i, 'a', 'l', 'u', 'e'}, r.Value)
		require.Equal(t, []wal.Header{{Key: "a", Value: []byte{i}}, {Key: "a"}}, r.Headers)
	}
}

func TestAppendAt(t *testing.T) {
	disk := newDisk(t, sim.Options{})
	m := open(t, disk)
	p := partition(t, m, "t", 0)
	appendAt(t, p, 5, 2) // the first of a partition
	appendAt(t, p, 7, 1) // no gap
	appendAt(t, p, 1<<40, 1)
	appendAt(t, p, math.MaxInt64-3, 2)
	want := []int64{5, 6, 7, 1 << 40, math.MaxInt64 - 3, math.MaxInt64 - 2}
	for _, offset := range []int64{0, 4, 7, 1 << 40, math.MaxInt64 - 2, -1, math.MinInt64, math.MaxInt64} {
		_, err := p.AppendAt(bg, offset, record("x"))
		require.ErrorIs(t, err, wal.ErrOffsetOutOfRange, "%d", offset)
	}
	_, err := p.AppendAt(bg, math.MaxInt64-1, record("x"), record("y"))
	require.ErrorIs(t, err, wal.ErrOffsetOutOfRange)
	appendAt(t, p, math.MaxInt64-1, 1)
	want = append(want, math.MaxInt64-1)
	_, err = p.Append(bg, record("x"))
	require.ErrorIs(t, err, wal.ErrOffsetOutOfRange, "no offset is left")
	for range 2 {
		require.Equal(t, want, offsets(t, p, 0))
		require.Equal(t, want[3:], offsets(t, p, 8))
		require.EqualValues(t, int64(math.MaxInt64), p.NextOffset())
		require.EqualValues(t, len(want), m.Partitions()[0].Records)
		require.NoError(t, m.Close())
		m = open(t, disk)
		p = lookup(t, m, "t", 0)
	}
}

// What comes back is what went in: nil is not empty, headers keep their order.
func TestRecordsComeBackAsTheyWere(t *testing.T) {
	disk := newDisk(t, sim.Options{})
	m := open(t, disk)
	p := partition(t, m, "t", 0)
	list := []wal.Record{
		{Timestamp: time.Unix(1, 2)},
		{Timestamp: time.Unix(-1, 999_999_999), Key: []byte{}, Value: []byte{}},
		{Timestamp: time.Unix(0, 0), Key: []byte("k")},
		{Timestamp: time.Unix(5, 0), Value: []byte("v")},
		{Timestamp: time.Date(1678, 1, 1, 0, 0, 0, 0, time.UTC).Local(), Headers: []wal.Header{{}, {Key: "a"}, {Key: "a", Value: []byte{}}, {Value: []byte("x")}}},
		{Timestamp: time.Date(2262, 1, 1, 0, 0, 0, 1, time.UTC).Local(), Key: []byte{0}, Value: make([]byte, 5000)},
	}
	_, err := p.Append(bg, list...)
	require.NoError(t, err)
	for range 2 {
		i := 0
		for r, err := range p.Read(bg, 0) {
			require.NoError(t, err)
			want := list[i]
			want.Offset = int64(i)
			require.Equal(t, want, r)
			i++
		}
		require.Len(t, list, i)
		require.NoError(t, m.Close())
		m = open(t, disk)
		p = lookup(t, m, "t", 0)
	}
}

// A record without a timestamp gets the time of its append; an offset in it is ignored.
func TestTimestampDefaultsToNow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := newDisk(t, sim.Options{})
		m := open(t, disk)
		p := partition(t, m, "t", 0)
		time.Sleep(12345 * time.Second)
		off, err := p.Append(bg, wal.Record{Offset: 77}, wal.Record{Timestamp: time.Unix(9, 0)})
		require.NoError(t, err)
		require.Zero(t, off)
		var got []time.Time
		for r, err := range p.Read(bg, 0) {
			require.NoError(t, err)
			got = append(got, r.Timestamp)
		}
		require.Len(t, got, 2)
		require.True(t, got[0].Equal(time.Now()))
		require.True(t, got[1].Equal(time.Unix(9, 0)))
	})
}

// Bad input is refused with its own error and changes nothing.
func TestBadAppends(t *testing.T) {
	disk := newDisk(t, sim.Options{})
	m := open(t, disk, wal.WithMaxRecordSize(1000))
	p := partition(t, m, "t", 0)
	headers := make([]wal.Header, 30)
	for name, c := range map[string]struct {
		records []wal.Record
		err     error
	}{
		"none":                   {nil, wal.ErrInvalid},
		"too early":              {[]wal.Record{{Timestamp: time.Date(1677, 12, 31, 0, 0, 0, 0, time.UTC)}}, nil},
		"before nanoseconds":     {[]wal.Record{{Timestamp: time.Date(1500, 1, 1, 0, 0, 0, 0, time.UTC)}}, wal.ErrInvalid},
		"after nanoseconds":      {[]wal.Record{{Timestamp: time.Date(2263, 1, 1, 0, 0, 0, 0, time.UTC)}}, wal.ErrInvalid},
		"second one is bad":      {[]wal.Record{record("x"), {Timestamp: time.Date(2300, 1, 1, 0, 0, 0, 0, time.UTC)}}, wal.ErrInvalid},
		"at the limit":           {[]wal.Record{big(1000, 'x')}, nil},
		"over the limit":         {[]wal.Record{big(1001, 'x')}, wal.ErrRecordTooLarge},
		"batch at the limit":     {[]wal.Record{big(500, 'x'), big(500, 'x')}, nil},
		"batch over the limit":   {[]wal.Record{big(500, 'x'), big(501, 'x')}, wal.ErrRecordTooLarge},
		"key over the limit":     {[]wal.Record{{Key: make([]byte, 977)}}, wal.ErrRecordTooLarge},
		"headers at the limit":   {[]wal.Record{{Headers: headers, Value: make([]byte, 1000-24-30*8)}}, nil},
		"headers over the limit": {[]wal.Record{{Headers: headers, Value: make([]byte, 1001-24-30*8)}}, wal.ErrRecordTooLarge},
	} {
		t.Run(name, func(t *testing.T) {
			next, ops := p.NextOffset(), disk.Ops()
			_, err := p.Append(bg, c.records...)
			_, async := p.AppendAsync(bg, c.records...)
			_, at := p.AppendAt(bg, p.NextOffset()+5, c.records...)
			if c.err == nil {
				require.NoError(t, err)
				require.NoError(t, async)
				require.NoError(t, at)
				_, err = p.Append(bg, record("x")) // the ones before are done by then
				require.NoError(t, err)
				return
			}
			require.ErrorIs(t, err, c.err)
			require.ErrorIs(t, async, c.err)
			require.ErrorIs(t, at, c.err)
			require.Equal(t, next, p.NextOffset())
			require.Equal(t, ops, disk.Ops())
		})
	}
	many := open(t, newDisk(t, sim.Options{}))
	_, err := many.Append(bg, "t", 0, wal.Record{Headers: make([]wal.Header, wal.MaxHeaders)})
	require.NoError(t, err)
	_, err = many.Append(bg, "t", 0, wal.Record{Headers: make([]wal.Header, wal.MaxHeaders+1)})
	require.ErrorIs(t, err, wal.ErrInvalid)
}

// The default limit is 104,857,600 bytes.
func TestLargestRecord(t *testing.T) {
	disk := newDisk(t, sim.Options{NoTrace: true})
	m := open(t, disk)
	p := partition(t, m, "t", 0)
	memory := make([]byte, 104_857_601-24)
	_, err := p.Append(bg, wal.Record{Value: memory})
	require.ErrorIs(t, err, wal.ErrRecordTooLarge)
	largest := wal.Record{Value: memory[:len(memory)-1]}
	if every > 1 { // the race detector takes too long for the rest
		largest.Value = memory[:10<<20]
	}
	largest.Value[len(largest.Value)-1] = 'x'
	_, err = p.Append(bg, largest)
	require.NoError(t, err)
	appendAt(t, p, 1, 1)
	n := 0
	for r, err := range p.Read(bg, 0) {
		require.NoError(t, err)
		if r.Offset == 0 {
			require.Len(t, r.Value, len(largest.Value))
			require.Equal(t, byte('x'), r.Value[len(r.Value)-1])
		}
		n++
	}
	require.Equal(t, 2, n)
}

func TestTopicNames(t *testing.T) {
	disk := newDisk(t, sim.Options{})
	m := open(t, disk)
	good := []string{
		"t", "a topic", "...", ".hidden", "a.b", "ü", "-", "*", ":", "a:b", "CON", strings.Repeat("x", 249),
		strings.Repeat("ü", 124),
	}
	bad := map[string]string{
		"": "it is empty", ".": "a directory for the topic could not have that name", "..": "a directory for the topic",
		"/": "the separator /", "a/b": "the separator /", "/a": "the separator /", "a/": "the separator /",
		"\\": `the separator \`, "a\\b": `the separator \`, "\x00": "a NUL", "a\x00b": "a NUL",
		"\xff": "it is not UTF-8", "a\xc3": "it is not UTF-8",
		"t\n": "the control character U+000A", "a\tb": "U+0009", "\x1b[31m": "U+001B", "\x7f": "U+007F", "a\u0085": "U+0085",
		strings.Repeat("x", 250): "it has 250 bytes, the limit is 249", strings.Repeat("ü", 125): "it has 250 bytes",
	}
	for _, topic := range good {
		_, err := m.Append(bg, topic, 0, record("x"))
		require.NoError(t, err, "%q", topic)
	}
	for topic, problem := range bad {
		_, err := m.Partition(topic, 0)
		require.ErrorIs(t, err, wal.ErrInvalid, "%q", topic)
		require.ErrorContains(t, err, problem, "%q", topic)
		require.EqualError(t, wal.CheckPartition(topic, 0), err.Error())
		_, err = m.Append(bg, topic, 0, record("x"))
		require.ErrorIs(t, err, wal.ErrInvalid, "%q", topic)
		_, err = m.Lookup(topic, 0)
		require.ErrorIs(t, err, wal.ErrNoPartition, "%q", topic)
	}
	for _, id := range []int32{-1, math.MinInt32} {
		_, err := m.Partition("t", id)
		require.ErrorIs(t, err, wal.ErrInvalid)
	}
	_, err := m.Append(bg, "t", math.MaxInt32, record("x"))
	require.NoError(t, err)
	require.NoError(t, m.Close())
	m = open(t, disk)
	require.Len(t, m.Partitions(), len(good)+1)
	for _, topic := range good {
		require.Equal(t, topic, lookup(t, m, topic, 0).Topic())
	}
	require.EqualValues(t, math.MaxInt32, lookup(t, m, "t", math.MaxInt32).ID())
}

func TestTruncateOutOfRange(t *testing.T) {
	disk := newDisk(t, sim.Options{})
	m := open(t, disk)
	p := partition(t, m, "t", 0)
	appendValues(t, p, 10)
	require.NoError(t, p.TruncateBefore(bg, 4))
	for _, at := range []int64{4, 3, 0, -1, math.MinInt64} {
		require.NoError(t, p.TruncateBefore(bg, at), "nothing to do")
		require.EqualValues(t, 4, p.FirstOffset())
	}
	for _, at := range []int64{11, math.MaxInt64} {
		require.ErrorIs(t, p.TruncateBefore(bg, at), wal.ErrOffsetOutOfRange)
	}
	for _, at := range []int64{10, 2, -1, -2, math.MinInt64, math.MaxInt64} {
		require.ErrorIs(t, p.TruncateAfter(bg, at), wal.ErrOffsetOutOfRange)
	}
	require.NoError(t, p.TruncateAfter(bg, 9), "nothing to do")
	requireValues(t, p, 4, 10)
	require.NoError(t, p.TruncateAfter(bg, 3), "everything goes")
	require.EqualValues(t, 4, p.FirstOffset())
	require.EqualValues(t, 4, p.NextOffset())
	requireValues(t, p, 4, 4)
	const says = "the partition is empty and its next offset is 4"
	require.ErrorContains(t, p.TruncateAfter(bg, 7), says)
	require.ErrorContains(t, readError(p, 5), says)
	require.ErrorContains(t, readError(p, 3), says)
}
