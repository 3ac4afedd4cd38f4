package cli

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	wal "github.com/chronik-go/wal/core"
)

// appendFlags are the flags of append.
type appendFlags struct {
	topicFlags
	lines, prefixed bool
	batch, inflight int
}

func (f *appendFlags) check() error {
	switch {
	case f.lines && f.prefixed:
		return usagef("--lines and --length-prefixed exclude each other")
	case f.batch < 1:
		return usagef("--batch %d: at least 1", f.batch)
	case f.inflight < 1:
		return usagef("--inflight %d: at least 1", f.inflight)
	}
	return f.topicFlags.check()
}

func (c *cli) appendCommand() *cobra.Command {
	var f appendFlags
	cmd := &cobra.Command{
		Use:   "append --topic T",
		Short: "Append each record of standard input, print where it is once it is durable",
		Long: "Append each record of standard input: a line, or with --length-prefixed a u32\n" +
			"length (little-endian) and so many bytes. For each record, once it is as durable\n" +
			"as --fsync promises, its topic, partition and offset go to standard output.\n\n" +
			"SIGINT or SIGTERM ends the input: what was appended by then is waited for. With\n" +
			"--batch, records that do not fill a batch yet are left out, and not printed.",
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error { return c.append(cmd.Context(), f) },
	}
	f.register(cmd)
	cmd.Flags().BoolVar(&f.lines, "lines", false, "a record is a line (the default)")
	cmd.Flags().BoolVar(&f.prefixed, "length-prefixed", false, "a record is a u32 length and so many bytes")
	cmd.Flags().IntVar(&f.batch, "batch", 1, "how many `records` to append as one atomic batch")
	cmd.Flags().IntVar(&f.inflight, "inflight", 1024, "how many `appends` may be on their way to the disk")
	return cmd
}

func (c *cli) append(ctx context.Context, f appendFlags) error {
	if err := f.check(); err != nil {
		return err
	}
	m, err := c.openWriter(true)
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
	// An append that was begun is finished, also after a signal.
	err = feed(context.WithoutCancel(ctx), in, acks, p, f.batch)
	if ackErr := acks.finish(); ackErr != nil {
		return ackErr // it is about an earlier record than err
	}
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// feed appends records as they arrive, until the input ends or something fails.
func feed(ctx context.Context, in *recordReader, acks *ackPrinter, p *wal.Partition, batch int) error {
	records := make([]wal.Record, 0, batch)
	for {
		value, inputErr := in.next()
		if inputErr == nil {
			records = append(records, wal.Record{Value: value})
		}
		ended := errors.Is(inputErr, io.EOF) || errors.Is(inputErr, errRefused)
		if len(records) == batch || ended && len(records) > 0 {
			which := inputRange{first: in.count - int64(len(records)) + 1, last: in.count}
			acks.reserve()
			ack, err := p.AppendAsync(ctx, records...)
			if err != nil {
				acks.release()
				return fmt.Errorf("%v: %w", which, err)
			}
			acks.add(pendingAck{ack: ack, input: which})
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
