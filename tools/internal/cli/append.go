package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"

	"github.com/spf13/cobra"

	wal "github.com/chronik-go/wal/core"
)

// appendFlags are the flags of append.
type appendFlags struct {
	topicFlags
	lines, hasLines, prefixed bool
	mustExist, asJSON         bool
	batch, inflight           int
	producer                  uint64 // 0: none
}

// The most that a flag may ask for: beyond it memory goes to nothing but keeping books.
const (
	mostInBatch  = 1 << 20
	mostInFlight = 1 << 16
)

func (f *appendFlags) check() error {
	switch {
	case f.lines && f.prefixed && f.hasLines:
		return usagef("--lines and --length-prefixed exclude each other")
	case !f.lines && !f.prefixed:
		return usagef("--lines=false leaves no way to read the input: give --length-prefixed")
	}
	if err := f.topicFlags.check(); err != nil {
		return err
	}
	return wal.CheckPartition(f.topic, f.partition)
}

func (c *cli) appendCommand() *cobra.Command {
	var f appendFlags
	cmd := &cobra.Command{
		Use:   "append --topic T",
		Short: "Append each record of standard input, print where it is once it is durable",
		Long: "Append each record of standard input: a line, or with --length-prefixed a u32\n" +
			"length (little-endian) and so many bytes. For each record, once it is as durable\n" +
			"as --fsync promises, its topic, partition and offset go to standard output.\n\n" +
			"SIGINT or SIGTERM ends the input: whole records that were read by then are appended,\n" +
			"with --batch also those that do not fill a batch, and their acks waited for.\n\n" +
			"With --producer the records are numbered by their place in the input, and those\n" +
			"that the same producer appended to the partition before are not appended again: after\n" +
			"a crash give the same input once more. Their lines tell where they are, or -1\n" +
			"where others have appended in between and that is not known any more; --json marks\n" +
			"them, and how many there were is told on standard error. One that has another value\n" +
			"than what is there is refused.\n\n" +
			"Where there is no log it makes one. It says so on standard error, unless the directory\n" +
			"was there and empty; --must-exist makes that an error.\n\n" +
			"A log takes the space of a whole segment ($CHRONIK_WAL_SEGMENT_SIZE) at once.",
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			f.hasLines = cmd.Flags().Changed("lines")
			return c.append(cmd.Context(), f)
		},
	}
	f.register(cmd)
	cmd.Flags().BoolVar(&f.asJSON, "json", false, "print each ack as a JSON object")
	cmd.Flags().BoolVar(&f.mustExist, "must-exist", false, "fail if there is no log in --dir; else a new one is made")
	cmd.Flags().BoolVar(&f.lines, "lines", true, "a record is a line")
	cmd.Flags().BoolVar(&f.prefixed, "length-prefixed", false, "a record is a u32 length and so many bytes")
	wholeFlag(cmd.Flags(), &f.batch, "batch", 1, 1, mostInBatch, "how many `records` to append as one atomic batch")
	wholeFlag(cmd.Flags(), &f.inflight, "inflight", 1024, 1, mostInFlight, "how many `appends` may be on their way to the disk")
	wholeFlag(cmd.Flags(), &f.producer, "producer", 0, 1, math.MaxInt64,
		"append what the producer of this `number` has not appended before")
	return cmd
}

func (c *cli) append(ctx context.Context, f appendFlags) error {
	if err := f.check(); err != nil {
		return err
	}
	legacy, err := c.appendsLegacy()
	switch {
	case err != nil:
		return err
	case legacy:
		return c.appendLegacy(ctx, f)
	}
	m, err := c.openWriter(!f.mustExist)
	if err != nil {
		return err
	}
	p, err := m.Partition(f.topic, f.partition)
	if err != nil {
		return errors.Join(err, m.Close())
	}
	if err := c.appendAll(ctx, p, f); err != nil {
		_ = m.Close() // what failed already says more than what fails now
		return err
	}
	return m.Close()
}

// appendAll appends the whole input. The records that are on their way when it ends or
// fails are waited for.
func (c *cli) appendAll(ctx context.Context, p *wal.Partition, f appendFlags) error {
	reading, stopReading := context.WithCancel(ctx)
	defer stopReading()
	in, closeInput, err := newRecordReader(reading, c.Stdin, f.prefixed)
	if err != nil {
		return err
	}
	defer closeInput()
	acks := newAckPrinter(c.Stdout, p, f, stopReading)
	err = feed(ctx, in, acks, p, f)
	ackErr := acks.finish()
	if n := acks.repeats.count; n > 0 {
		c.note(fmt.Sprintf("chronik-wal append: %d records of producer %d were there before: not appended again", n, f.producer))
	}
	if ackErr != nil {
		return ackErr // it is about an earlier record than err
	}
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// feed appends records as they arrive, until the input or ctx ends, or something fails.
func feed(ctx context.Context, in *recordReader, acks *ackPrinter, p *wal.Partition, f appendFlags) error {
	var records []wal.Record
	send := sender(p, f.producer)
	next, _ := p.NextSequence(f.producer)
	for {
		value, inputErr := in.next()
		if inputErr == nil {
			records = append(records, wal.Record{Value: value})
		}
		interrupted := inputErr != nil && ctx.Err() != nil
		ended := errors.Is(inputErr, io.EOF) || errors.Is(inputErr, errRefused) || interrupted
		// What is there already and what is not go apart, however the input was cut last time.
		if len(records) == f.batch || len(records) > 0 && (ended || in.count == next) {
			which := inputRange{first: in.count - int64(len(records)) + 1, last: in.count}
			acks.reserve()
			// An append that was begun is finished, also after a signal.
			ack, err := send(context.WithoutCancel(ctx), which.first-1, records)
			if err != nil {
				acks.release()
				return fmt.Errorf("%v: %w", which, err)
			}
			pending := pendingAck{ack: ack, input: which}
			if ack.Duplicate() {
				pending.records, records = records, nil
			}
			acks.add(pending)
			records = records[:0]
		}
		if errors.Is(inputErr, io.EOF) {
			return nil
		}
		if inputErr != nil {
			return inputErr
		}
	}
}

// sender returns what appends records, the first of which has a number, in order: what follows
// one that failed does not go in, or the input had a hole.
func sender(p *wal.Partition, producer uint64) func(ctx context.Context, number int64, records []wal.Record) (wal.Ack, error) {
	if producer == 0 {
		var last wal.Ack
		return func(ctx context.Context, _ int64, records []wal.Record) (ack wal.Ack, err error) {
			ack, err = p.AppendAfter(ctx, last, records...)
			last = ack
			return ack, err
		}
	}
	_, known := p.NextSequence(producer)
	return func(ctx context.Context, number int64, records []wal.Record) (wal.Ack, error) {
		ack, err := p.AppendOnce(ctx, producer, number, records...)
		if err == nil && !known { // until then the log would take anything for the producer's first
			known, err = true, ack.Wait(ctx)
		}
		return ack, err
	}
}
