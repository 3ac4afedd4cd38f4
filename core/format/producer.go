package format

import (
	"fmt"
	"math"
)

// Producer is what a partition knows of a producer that numbers its records: the last of its
// sequence numbers that were appended in a row, to offsets in a row.
type Producer struct {
	// ID is the producer's, never 0.
	ID uint64
	// First is the first of the sequence numbers, Base the offset of its record.
	First int64
	Base  int64
	// Count is how many there are, at least 1.
	Count int
}

// Next is the sequence number that the producer goes on with.
func (p Producer) Next() int64 { return p.First + int64(p.Count) }

// End is the offset behind the record of the last sequence number.
func (p Producer) End() int64 { return p.Base + int64(p.Count) }

// Entry returns the control entry that states it for a partition.
func (p Producer) Entry(partition uint32) Entry {
	return Entry{
		Partition: partition, Kind: KindProducer, Base: p.Base, Gap: p.First, Count: p.Count, MaxTimestamp: int64(p.ID),
	}
}

// Producer returns what an entry of KindProducer states.
func (e Entry) Producer() Producer {
	return Producer{ID: uint64(e.MaxTimestamp), First: e.Gap, Base: e.Base, Count: e.Count}
}

// checkProducer checks an entry of KindProducer.
func (e Entry) checkProducer() error {
	p := e.Producer()
	if e.Partition == 0 || p.ID == 0 || p.First < 0 || p.Base < 0 || p.Count < 1 ||
		p.First > math.MaxInt64-int64(p.Count) || p.Base > math.MaxInt64-int64(p.Count) {
		return fmt.Errorf("%w: %v entry %+v of partition %d", ErrCorrupt, e.Kind, p, e.Partition)
	}
	if e != p.Entry(e.Partition) {
		return fmt.Errorf("%w: %v entry with fields it does not use: %+v", ErrVersion, e.Kind, e)
	}
	return nil
}

// readProducers reads n producers of a partition from the start of b, which is long enough.
func readProducers(id uint32, n int64, b []byte) (list []Producer, rest []byte, err error) {
	for range n {
		e := readEntry(b)
		if e.Kind != KindProducer || e.Partition != id {
			return nil, nil, fmt.Errorf("%w: %v entry of partition %d among the producers of %d", ErrCorrupt, e.Kind, e.Partition, id)
		}
		if err := e.checkProducer(); err != nil {
			return nil, nil, err
		}
		list, b = append(list, e.Producer()), b[EntrySize:]
	}
	return list, b, nil
}
