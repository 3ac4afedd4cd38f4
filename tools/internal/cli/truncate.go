package cli

import (
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/spf13/cobra"

	wal "github.com/chronik-go/wal/core"
)

// truncateFlags are the flags of truncate.
type truncateFlags struct {
	topicFlags
	before, after       int64
	hasBefore, hasAfter bool
	asJSON              bool
}

// truncatedJSON is what truncate prints.
type truncatedJSON struct {
	Topic       string `json:"topic"`
	Partition   int32  `json:"partition"`
	FirstOffset int64  `json:"first_offset"`
	NextOffset  int64  `json:"next_offset"`
}

func (c *cli) truncateCommand() *cobra.Command {
	var f truncateFlags
	cmd := &cobra.Command{
		Use:   "truncate --topic T (--before N | --after N)",
		Short: "Drop the records of a partition before or after an offset",
		Long: "Drop the records of a partition before or after an offset. Offsets are never used\n" +
			"again by --before; --after gives them to the next records. To drop all with --after\n" +
			"give it the offset below the first one, which ls shows: -1 in a partition of which\n" +
			"--before has dropped nothing.",
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			f.hasBefore, f.hasAfter = cmd.Flags().Changed("before"), cmd.Flags().Changed("after")
			return c.truncate(cmd.Context(), f)
		},
	}
	f.register(cmd)
	wholeFlag(cmd.Flags(), &f.before, "before", 0, 0, math.MaxInt64, "drop the records below this `offset`")
	wholeFlag(cmd.Flags(), &f.after, "after", 0, -1, math.MaxInt64, "drop the records above this `offset`; the one below first_offset drops all")
	cmd.Flags().BoolVar(&f.asJSON, "json", false, "print JSON")
	return cmd
}

func (c *cli) truncate(ctx context.Context, f truncateFlags) error {
	if err := f.check(); err != nil {
		return err
	}
	if f.hasBefore == f.hasAfter {
		return usagef("give either --before N or --after N")
	}
	m, err := c.openWriter(false)
	if err != nil {
		return err
	}
	return errors.Join(c.truncateIn(ctx, m, f), m.Close())
}

func (c *cli) truncateIn(ctx context.Context, m *wal.Manager, f truncateFlags) error {
	p, err := m.Lookup(f.topic, f.partition)
	if err != nil {
		return err
	}
	if f.hasBefore {
		err = p.TruncateBefore(ctx, f.before)
	} else {
		err = p.TruncateAfter(ctx, f.after)
	}
	if err != nil {
		return err
	}
	if f.asJSON {
		return c.printJSON(truncatedJSON{f.topic, f.partition, p.FirstOffset(), p.NextOffset()})
	}
	return c.write(fmt.Appendf(nil, "%s %d first_offset=%d next_offset=%d\n",
		f.topic, f.partition, p.FirstOffset(), p.NextOffset()))
}
