package cli

import (
	"bytes"
	"context"
	"iter"

	wal "github.com/chronik-go/wal/core"
)

// repeats compares what a producer appends again with what is there: a producer's number says which
// record is meant, not what it holds.
type repeats struct {
	partition *wal.Partition
	count     int64 // records that were there

	offset int64 // of the record that next returns
	next   func() (wal.Record, error, bool)
	stop   func()
}

// check refuses an append that is a repetition by its numbers and has other contents. Where the
// records of the first time are is not always known, and they may be truncated or lost: then there
// is nothing to compare with.
func (r *repeats) check(p pendingAck) error {
	r.count += int64(len(p.records))
	first := p.ack.Offset()
	if first < 0 || first < r.partition.FirstOffset() {
		return nil
	}
	if r.next == nil || r.offset != first {
		r.close()
		r.next, r.stop = iter.Pull2(r.partition.Read(context.Background(), first))
		r.offset = first
	}
	for i := range p.records {
		there, err, ok := r.next()
		if err != nil || !ok {
			r.close()
			break
		}
		r.offset = there.Offset + 1
		if there.Offset == first+int64(i) && !bytes.Equal(there.Value, p.records[i].Value) {
			return refusef("record %d of the input was appended before, at offset %d, with another value: "+
				"give another --producer, or the input that it had", p.input.first+int64(i), there.Offset)
		}
	}
	return nil
}

func (r *repeats) close() {
	if r.stop != nil {
		r.stop()
	}
	r.next, r.stop = nil, nil
}
