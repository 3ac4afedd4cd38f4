package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	wal "github.com/chronik-go/wal/core"
)

// followInterval is how often read --follow looks for new records.
const followInterval = 100 * time.Millisecond

// readFlags are the flags of read.
type readFlags struct {
	topicFlags
	from, limit        int64
	hasFrom            bool
	follow, skipDamage bool
	format             string
}

func (c *cli) readCommand() *cobra.Command {
	var f readFlags
	cmd := &cobra.Command{
		Use:   "read --topic T",
		Short: "Print the records of a partition; works beside a running writer",
		Long: "Print the records of a partition. Changes no byte, takes no lock and works beside\n" +
			"a running writer. Where records are lost it prints what comes before them, says\n" +
			"what is missing and exits with 1.",
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			f.hasFrom = cmd.Flags().Changed("from")
			return c.read(cmd.Context(), f)
		},
	}
	f.register(cmd)
	cmd.Flags().Int64Var(&f.from, "from", 0, "first `offset` (default: the first one there is)")
	cmd.Flags().Int64Var(&f.limit, "limit", -1, "how many `records` at most (-1: all)")
	cmd.Flags().BoolVar(&f.follow, "follow", false, "wait for more records until SIGINT")
	cmd.Flags().BoolVar(&f.skipDamage, "skip-damage", false, "go on behind lost records; the exit status is still 1")
	cmd.Flags().StringVar(&f.format, "format", "value", "value (one a line), json (one object a line) or length-prefixed")
	return cmd
}

func (c *cli) read(ctx context.Context, f readFlags) error {
	if err := f.check(); err != nil {
		return err
	}
	out := bufio.NewWriterSize(c.Stdout, 64<<10)
	encode, err := recordEncoder(f, out)
	if err != nil {
		return err
	}
	return c.withReader(func(m *wal.Manager) error {
		p, err := m.Lookup(f.topic, f.partition)
		if err != nil {
			return errors.Join(err, damageError(m.Damage()))
		}
		if !f.hasFrom {
			f.from = p.FirstOffset()
		}
		r := &reader{cli: c, flags: f, manager: m, partition: p, encode: encode,
			out: out, next: f.from}
		err = r.run(ctx)
		if flushErr := stdoutError(out.Flush()); err == nil {
			err = flushErr
		}
		return err
	})
}

// reader is one run of read.
type reader struct {
	*cli
	flags     readFlags
	manager   *wal.Manager
	partition *wal.Partition
	encode    func(*wal.Record) error
	out       *bufio.Writer
	next      int64 // the offset to go on from
	printed   int64
	lost      error // the last hole that was skipped
}

// run prints what there is, and with --follow what comes.
func (r *reader) run(ctx context.Context) error {
	err := r.readOn(ctx)
	if r.flags.follow && err == nil {
		err = r.follow(ctx)
	}
	if err == nil {
		err = r.lost
	}
	if err == nil && !r.full() {
		err = r.lostAtEnd()
	}
	return err
}

// full reports whether --limit is reached.
func (r *reader) full() bool { return r.flags.limit >= 0 && r.printed >= r.flags.limit }

// readOn prints from next to the last record there is now.
func (r *reader) readOn(ctx context.Context) error {
	if r.full() {
		return nil
	}
	for record, err := range r.partition.Read(ctx, r.next) {
		var lost *wal.LostError
		switch {
		case err == nil:
			if err := r.encode(&record); err != nil {
				return stdoutError(err)
			}
			r.next = record.Offset + 1
			if r.printed++; r.full() {
				return nil
			}
		case errors.As(err, &lost) && r.flags.skipDamage:
			r.next = lost.To
			r.lost = r.lostError(lost.PartitionSpan)
		case errors.As(err, &lost):
			return r.lostError(lost.PartitionSpan)
		default:
			return err
		}
	}
	return nil
}

// follow looks for new records until ctx ends.
func (r *reader) follow(ctx context.Context) error {
	tick := time.NewTicker(followInterval)
	defer tick.Stop()
	for !r.full() {
		if err := r.out.Flush(); err != nil {
			return stdoutError(err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if err := r.manager.Refresh(ctx); err != nil {
			return r.unlessEnded(ctx, err)
		}
		if err := r.readOn(ctx); err != nil {
			return r.unlessEnded(ctx, err)
		}
	}
	return nil
}

// unlessEnded returns err unless it comes from the signal that ends --follow.
func (r *reader) unlessEnded(ctx context.Context, err error) error {
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		return nil
	}
	return err
}

// lostError says what is missing and what to do.
func (r *reader) lostError(s wal.PartitionSpan) error {
	what := fmt.Sprintf("from offset %d on", s.From)
	if s.To > s.From {
		what = fmt.Sprintf("at offsets %d to %d", s.From, s.To-1)
	}
	return refusef("topic %s partition %d: the records %s are lost: see chronik-wal verify; "+
		"--skip-damage reads on behind them", s.Topic, s.Partition, what)
}

// lostAtEnd finds damage that leaves no hole to stumble over: records that are missing
// behind the last one that is there.
func (r *reader) lostAtEnd() error {
	for _, d := range r.manager.Damage() {
		for _, s := range d.Partitions {
			mine := s.Topic == r.partition.Topic() && s.Partition == r.flags.partition
			if mine && (s.To == 0 || s.To > r.partition.NextOffset()) {
				return r.lostError(wal.PartitionSpan{Topic: s.Topic, Partition: s.Partition,
					From: max(s.From, r.partition.NextOffset()), To: s.To})
			}
		}
	}
	return nil
}
