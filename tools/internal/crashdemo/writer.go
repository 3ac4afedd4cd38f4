package crashdemo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"

	wal "github.com/chronik-go/wal/core"
)

// topic is where the demonstration appends to.
const topic = "demo"

// inflight is how many appends a writer has outstanding on a partition.
const inflight = 64

// A reporter tells the parent what happened, in lines of text. A line that was written
// outlives the process. Each line is one write, so that lines never mix.
type reporter struct{ out io.Writer }

// The lines, each followed by a partition and an offset.
const (
	ackedBelow     = "acked"     // all records below the offset are acknowledged
	truncateIntent = "truncate"  // a truncation before the offset is about to be asked for
	truncatedTo    = "truncated" // it was acknowledged
	writerReady    = "open"      // the log is open
	writerClosing  = "close"     // the log is about to be closed
)

func (r reporter) say(what string, partition int, offset int64) error {
	_, err := fmt.Fprintf(r.out, "%s %d %d\n", what, partition, offset)
	return err
}

// pipeline appends to one partition and reports acks.
type pipeline struct {
	partition *wal.Partition
	report    reporter
	depth     int
	pending   []pendingAppend
}

type pendingAppend struct {
	ack wal.Ack
	end int64 // the offset behind its last record
}

// submit appends records; when enough appends are outstanding it waits for the oldest.
func (p *pipeline) submit(records ...wal.Record) error {
	ack, err := p.partition.AppendAsync(context.Background(), records...)
	if err != nil {
		return err
	}
	p.pending = append(p.pending, pendingAppend{ack, ack.Offset() + int64(len(records))})
	if len(p.pending) < p.depth {
		return nil
	}
	return p.settle(1)
}

// settle waits for the n oldest appends, and reports them with those that are
// acknowledged by then.
func (p *pipeline) settle(n int) error {
	for n < len(p.pending) && p.pending[n].end <= p.partition.NextOffset() {
		n++
	}
	if n == 0 {
		return nil
	}
	for _, a := range p.pending[:n] {
		if err := a.ack.Wait(context.Background()); err != nil {
			return err
		}
	}
	end := p.pending[n-1].end
	p.pending = p.pending[:copy(p.pending, p.pending[n:])]
	return p.report.say(ackedBelow, int(p.partition.ID()), end)
}

// demoWriter appends what is not in the log yet of its input.
func (c config) demoWriter(opts []wal.Option, stdout io.Writer) error {
	text, err := os.ReadFile(c.input)
	if err != nil {
		return err
	}
	lines := bytes.Split(bytes.TrimSuffix(text, []byte{'\n'}), []byte{'\n'})
	m, err := wal.Open(c.dir, opts...)
	if err != nil {
		return err
	}
	errs := make([]error, c.partitions)
	var wg sync.WaitGroup
	for i := range c.partitions {
		wg.Go(func() { errs[i] = appendRest(m, i, share(lines, i, c.partitions), reporter{stdout}) })
	}
	wg.Wait()
	return errors.Join(errors.Join(errs...), m.Close())
}

// appendRest appends the lines of a partition from its next offset on.
func appendRest(m *wal.Manager, number int, lines [][]byte, report reporter) error {
	partition, err := m.Partition(topic, int32(number))
	if err != nil {
		return err
	}
	next := partition.NextOffset()
	if next > int64(len(lines)) {
		return fmt.Errorf("partition %d has %d records of %d", number, next, len(lines))
	}
	p := pipeline{partition: partition, report: report, depth: inflight}
	for _, line := range lines[next:] {
		if err := p.submit(wal.Record{Value: line}); err != nil {
			return err
		}
	}
	return p.settle(len(p.pending))
}
