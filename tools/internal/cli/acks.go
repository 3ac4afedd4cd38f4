package cli

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"sync"

	wal "github.com/chronik-go/wal/core"
)

// pendingAck is an append whose ack is awaited.
type pendingAck struct {
	ack   wal.Ack
	input inputRange
	// records are those of an append that may be a repetition; else nil.
	records []wal.Record
}

// inputRange is which records of the input an append holds, from 1, both inclusive.
type inputRange struct{ first, last int64 }

func (r inputRange) String() string {
	if r.first == r.last {
		return fmt.Sprintf("record %d of the input", r.first)
	}
	return fmt.Sprintf("records %d to %d of the input", r.first, r.last)
}

// An ackPrinter waits for acks in the order of their appends and prints a line for each
// record. Its output is flushed whenever there is no further append or the next one is
// not durable yet: so nobody waits for a line longer than for the disk, and a group commit
// costs one write.
type ackPrinter struct {
	out       *bufio.Writer
	partition *wal.Partition
	line      ackLine
	repeats   repeats
	slots     chan struct{} // one for each append in flight
	pending   chan pendingAck
	fail      func()
	err       error
	wg        sync.WaitGroup
}

// newAckPrinter starts a printer; fail is called at its first error.
func newAckPrinter(out io.Writer, p *wal.Partition, f appendFlags, fail func()) *ackPrinter {
	a := &ackPrinter{
		out:       bufio.NewWriterSize(out, 64<<10),
		partition: p,
		line:      newAckLine(f),
		repeats:   repeats{partition: p},
		slots:     make(chan struct{}, f.inflight),
		pending:   make(chan pendingAck, f.inflight),
		fail:      fail,
	}
	a.wg.Go(a.run)
	return a
}

// reserve waits for a free place in flight.
func (a *ackPrinter) reserve() { a.slots <- struct{}{} }

// release gives up a place that reserve got.
func (a *ackPrinter) release() { <-a.slots }

// add hands over an append that has a place.
func (a *ackPrinter) add(p pendingAck) { a.pending <- p }

// finish waits for all appends and returns the first error.
func (a *ackPrinter) finish() error {
	close(a.pending)
	a.wg.Wait()
	return a.err
}

func (a *ackPrinter) run() {
	for {
		p, ok := a.next()
		if !ok {
			break
		}
		if a.err != nil {
			_ = p.ack.Wait(context.Background()) // it follows a failed one
		} else if a.err = a.print(p); a.err != nil {
			a.fail()
		}
		a.release()
	}
	if err := a.flush(); a.err == nil {
		a.err = err
	}
	a.repeats.close()
}

// next returns the next append; false when there will be none.
func (a *ackPrinter) next() (p pendingAck, ok bool) {
	select {
	case p, ok = <-a.pending:
		return p, ok
	default:
	}
	if err := a.flush(); err != nil && a.err == nil {
		a.err = err
		a.fail()
	}
	p, ok = <-a.pending
	return p, ok
}

// print waits for one append and prints its records.
func (a *ackPrinter) print(p pendingAck) error {
	first := p.ack.Offset()
	end := first + p.input.last - p.input.first + 1
	if a.partition.NextOffset() < end {
		if err := a.flush(); err != nil {
			return err
		}
	}
	if err := p.ack.Wait(context.Background()); err != nil {
		return fmt.Errorf("%v and what follows it was not acknowledged: %w", p.input, err)
	}
	repeated := p.ack.Duplicate()
	if repeated {
		if err := a.repeats.check(p); err != nil {
			return err
		}
	}
	for offset := first; offset < end; offset++ {
		at := offset
		if first < 0 { // appended before, where is not known any more
			at = -1
		}
		if _, err := a.out.Write(a.line.put(a.out.AvailableBuffer(), at, repeated)); err != nil {
			return stdoutError(err)
		}
	}
	return nil
}

// ackLine makes the line of a record that is acknowledged: its topic and partition, its offset, and
// with --json whether it was there before.
type ackLine struct {
	before, behind, repeated string
}

func newAckLine(f appendFlags) ackLine {
	if !f.asJSON {
		return ackLine{fmt.Sprintf("%s %d ", f.topic, f.partition), "\n", "\n"}
	}
	topic, _ := json.Marshal(f.topic) // a string always can
	return ackLine{
		fmt.Sprintf(`{"topic":%s,"partition":%d,"offset":`, topic, f.partition),
		",\"duplicate\":false}\n", ",\"duplicate\":true}\n",
	}
}

func (l *ackLine) put(line []byte, offset int64, repeated bool) []byte {
	line = strconv.AppendInt(append(line, l.before...), offset, 10)
	if repeated {
		return append(line, l.repeated...)
	}
	return append(line, l.behind...)
}

func (a *ackPrinter) flush() error { return stdoutError(a.out.Flush()) }
