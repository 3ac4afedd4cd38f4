package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"iter"
	"math"
	"sync"
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
	asJSON, hasFormat  bool
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
			f.hasFrom, f.hasFormat = cmd.Flags().Changed("from"), cmd.Flags().Changed("format")
			return c.read(cmd.Context(), f)
		},
	}
	f.register(cmd)
	wholeFlag(cmd.Flags(), &f.from, "from", 0, 0, math.MaxInt64, "first `offset` (default: the first one there is)")
	wholeFlag(cmd.Flags(), &f.limit, "limit", -1, -1, math.MaxInt64, "how many `records` at most; -1: all")
	cmd.Flags().BoolVar(&f.follow, "follow", false, "wait for more records until SIGINT")
	cmd.Flags().BoolVar(&f.skipDamage, "skip-damage", false, "go on behind lost records, and say of each hole what is missing; the exit status is still 1")
	cmd.Flags().BoolVar(&f.asJSON, "json", false, "the same as --format json")
	choiceFlag(cmd.Flags(), &f.format, "format", "value", []string{"value", "json", "length-prefixed"},
		"value (one a line), json (one object a line) or length-prefixed")
	return cmd
}

func (c *cli) read(ctx context.Context, f readFlags) error {
	if err := f.check(); err != nil {
		return err
	}
	if f.asJSON && f.hasFormat && f.format != "json" {
		return usagef("--json and --format %s exclude each other", f.format)
	}
	if f.asJSON {
		f.format = "json"
	}
	out := bufio.NewWriterSize(c.Stdout, 64<<10)
	encode, err := recordEncoder(f, out)
	if err != nil {
		return err
	}
	if legacy, err := c.readsLegacy(); err != nil {
		return err
	} else if legacy {
		return c.readLegacy(ctx, f, out, encode)
	}
	return c.withReader(func(m *wal.Manager) error {
		p, err := m.Lookup(f.topic, f.partition)
		if err != nil && len(m.Damage()) > 0 {
			return refusef("no such partition in what can be read of this damaged log: %s/%d: chronik-wal verify "+
				"lists the damage, chronik-wal repair makes the log whole", f.topic, f.partition)
		}
		if err != nil {
			return err
		}
		if !f.hasFrom {
			f.from = p.FirstOffset()
		}
		r := &reader{cli: c, flags: f, manager: m, partition: p, encode: encode, out: out, next: f.from}
		err = r.run(ctx)
		return errorsFirst(err, stdoutError(out.Flush()))
	})
}

// reader is one run of read.
type reader struct {
	*cli
	flags     readFlags
	manager   *wal.Manager
	partition *wal.Partition
	encode    func(*wal.Record) error
	next      int64 // the offset to go on from
	printed   int64
	hole      wal.PartitionSpan // the last one that was met, empty if none was; those before it were told

	mu  sync.Mutex // for out: a follower's is flushed while it waits
	out *bufio.Writer
}

// run prints what there is, and with --follow what comes.
func (r *reader) run(ctx context.Context) error {
	err := r.print(ctx)
	if err == nil && !r.full() && (r.flags.skipDamage || !r.metHole()) {
		r.lostAtEnd()
	}
	if err == nil && r.metHole() {
		return r.lostError(r.hole)
	}
	r.tellHole()
	return err
}

// full reports whether --limit is reached.
func (r *reader) full() bool { return r.flags.limit >= 0 && r.printed >= r.flags.limit }

func (r *reader) print(ctx context.Context) error {
	if r.full() {
		return nil
	}
	if !r.flags.follow {
		return r.printAll(ctx, r.partition.Read(ctx, r.next))
	}
	following, stop := r.refresh(ctx)
	defer stop()
	err := r.printAll(ctx, r.partition.Follow(following, r.next))
	if errors.Is(err, context.Canceled) {
		return r.unlessEnded(ctx, context.Cause(following))
	}
	return err
}

// refresh looks for what a writer has appended, and prints what has been read so far, until
// ctx ends or that fails: then what it returns ends, with that cause.
func (r *reader) refresh(ctx context.Context) (following context.Context, stop func()) {
	following, fail := context.WithCancelCause(ctx)
	var wg sync.WaitGroup
	wg.Go(func() {
		tick := time.NewTicker(followInterval)
		defer tick.Stop()
		for {
			select {
			case <-following.Done():
				return
			case <-tick.C:
			}
			if err := errorsFirst(r.manager.Refresh(following), r.flush()); err != nil {
				fail(err)
				return
			}
		}
	})
	return following, func() { fail(nil); wg.Wait() }
}

func (r *reader) flush() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return stdoutError(r.out.Flush())
}

// printAll prints records to the last one or to --limit.
func (r *reader) printAll(ctx context.Context, records iter.Seq2[wal.Record, error]) error {
	for record, err := range records {
		var lost *wal.LostError
		switch {
		case err == nil:
			if err := r.put(&record); err != nil {
				return stdoutError(err)
			}
			r.next = record.Offset + 1
			if r.printed++; r.full() {
				return nil
			}
		case errors.As(err, &lost):
			r.meetHole(lost.PartitionSpan)
			if !r.flags.skipDamage {
				r.wholeHole(ctx)
				return nil
			}
			r.next = lost.To
		default:
			return r.readError(err)
		}
	}
	return nil
}

func (r *reader) put(record *wal.Record) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.encode(record)
}

// readError says how to go on where the partition was truncated under the reader.
func (r *reader) readError(err error) error {
	var cut *wal.TruncatedError
	if !errors.As(err, &cut) {
		return err
	}
	return fmt.Errorf("topic %s partition %d was truncated while it was read, with offset %d due: go on with --from %d",
		cut.Topic, cut.Partition, cut.Due, cut.GoOn)
}

// unlessEnded returns err unless it comes from the signal that ends --follow.
func (r *reader) unlessEnded(ctx context.Context, err error) error {
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		return nil
	}
	return err
}
