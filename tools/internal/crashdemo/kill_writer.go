package crashdemo

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"sync"
	"sync/atomic"

	wal "github.com/chronik-go/wal/core"
)

// The load of the kill test: small segments, so that rotation and retention go on all the
// time, and little enough in the log that a round reads all of it.
const (
	killPartitions  = 4
	killSegmentSize = 64 << 10
	killKeep        = 200 // records that retention leaves to a partition
	killDrop        = 150 // records that it drops at a time
	killDepth       = 8   // appends outstanding on a partition
	killBatch       = 4   // records of an append, at most
	killValue       = 600 // bytes of a value, at most, beyond its head
)

// valueHead is the size of what a value says about itself.
const valueHead = 8 + 4 + 4

// killValueOf returns the value of a record: it says which offset and partition it was
// made for, and in which round, and the rest follows from that and the seed. So a record
// at a wrong place, or one that a recovery had given up, is told from the right one.
func killValueOf(buf []byte, seed uint64, round, partition int, offset int64) []byte {
	random := rand.NewPCG(seed^uint64(round)<<32, uint64(partition)<<48^uint64(offset))
	size := valueHead + int(random.Uint64()%killValue)
	buf = binary.LittleEndian.AppendUint64(buf[:0], uint64(offset))
	buf = binary.LittleEndian.AppendUint32(buf, uint32(partition))
	buf = binary.LittleEndian.AppendUint32(buf, uint32(round))
	for len(buf) < size {
		buf = binary.LittleEndian.AppendUint64(buf, random.Uint64())
	}
	return buf[:size]
}

// killOptions are the options of a log under the kill test.
func killOptions(opts []wal.Option) []wal.Option {
	return append([]wal.Option{wal.WithSegmentSize(killSegmentSize), wal.WithRecycleLimit(2)}, opts...)
}

// killWriter appends to its partitions until it is killed, or standard input ends: then
// it closes the log.
func (c config) killWriter(opts []wal.Option, stdin io.Reader, stdout io.Writer) error {
	report := reporter{stdout}
	m, err := wal.Open(c.dir, killOptions(opts)...)
	if err != nil {
		return err
	}
	if err := report.say(writerReady, 0, 0); err != nil {
		return errors.Join(err, m.Close())
	}
	var stop atomic.Bool
	var wg sync.WaitGroup
	errs := make([]error, killPartitions)
	for i := range killPartitions {
		wg.Go(func() { errs[i] = c.killAppend(m, i, report, &stop) })
	}
	_, err = io.Copy(io.Discard, stdin)
	stop.Store(true)
	wg.Wait()
	err = errors.Join(err, errors.Join(errs...), report.say(writerClosing, 0, 0))
	return errors.Join(err, m.Close())
}

// killAppend appends to one partition, and drops old records as it goes.
func (c config) killAppend(m *wal.Manager, number int, report reporter, stop *atomic.Bool) error {
	partition, err := m.Partition(topic, int32(number))
	if err != nil {
		return err
	}
	random := rand.New(rand.NewPCG(c.seed+uint64(number), uint64(c.round)))
	p := pipeline{partition: partition, report: report, depth: killDepth}
	bufs := make([][]byte, killBatch)
	next := partition.NextOffset()
	for !stop.Load() {
		batch := make([]wal.Record, 1+random.IntN(killBatch))
		for i := range batch {
			bufs[i] = killValueOf(bufs[i], c.seed, c.round, number, next)
			batch[i].Value = bufs[i]
			next++
		}
		if err := p.submit(batch...); err != nil {
			return err
		}
		if err := retain(partition, report); err != nil {
			return err
		}
	}
	return p.settle(len(p.pending))
}

// retain drops records when there are many.
func retain(p *wal.Partition, report reporter) error {
	next := p.NextOffset()
	if next-p.FirstOffset() < killKeep+killDrop {
		return nil
	}
	to := next - killKeep
	if err := report.say(truncateIntent, int(p.ID()), to); err != nil {
		return err
	}
	if err := p.TruncateBefore(context.Background(), to); err != nil {
		return err
	}
	return report.say(truncatedTo, int(p.ID()), to)
}
