package cli

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/chronik-go/wal/codec"
	wal "github.com/chronik-go/wal/core"
)

// trainFlags are the flags of train-dict.
type trainFlags struct {
	topic        string
	size         size
	samples      int
	dryRun, list bool
	asJSON       *bool
}

func (c *cli) trainDictCommand() *cobra.Command {
	f := trainFlags{size: codec.DefaultDictionary}
	cmd := &cobra.Command{
		Use:   "train-dict (--topic T | --list)",
		Short: "Train a zstd dictionary from a topic's newest records",
		Long: "Train a zstd dictionary from a topic's newest records, of all its partitions, and\n" +
			"store it in the log. What is appended to the topic with --codec zstd uses it from\n" +
			"then on; what was appended before stays readable. A fourth of the records is held\n" +
			"out and compressed one by one, to tell what the dictionary brings. --dry-run tells\n" +
			"that and changes nothing. --list shows the dictionaries that the log has.",
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error { return c.trainDict(cmd.Context(), f) },
	}
	cmd.Flags().StringVar(&f.topic, "topic", "", "`name` of the topic")
	cmd.Flags().Var(&f.size, "size", fmt.Sprintf("most bytes of the dictionary, %d to %d, %s", codec.MinDictionary, wal.MaxDictionary, sizeUnits))
	wholeFlag(cmd.Flags(), &f.samples, "samples", 4000, 16, 1<<20, "look at this `number` of records, at most 64 MiB of them")
	cmd.Flags().BoolVar(&f.dryRun, "dry-run", false, "say what it would bring and change nothing")
	cmd.Flags().BoolVar(&f.list, "list", false, "list the dictionaries of all topics")
	f.asJSON = jsonFlag(cmd)
	return cmd
}

func (c *cli) trainDict(ctx context.Context, f trainFlags) error {
	if f.list && f.topic == "" {
		return c.withReader(func(m *wal.Manager) error { return c.listDictionaries(m, *f.asJSON) })
	}
	if f.list || f.topic == "" {
		return usagef("give either --topic NAME or --list")
	}
	if f.size < codec.MinDictionary || f.size > wal.MaxDictionary {
		return usagef("--size %d: from %d to %d", f.size, codec.MinDictionary, wal.MaxDictionary)
	}
	train := func(m *wal.Manager) error {
		o := codec.TrainOptions{Size: int(f.size), Samples: f.samples, Level: c.zstdLevel(), DryRun: f.dryRun}
		report, err := codec.TrainDictionary(ctx, m, f.topic, o)
		if err != nil {
			return err
		}
		return c.printTraining(report, *f.asJSON)
	}
	if f.dryRun {
		return c.withReader(train)
	}
	m, err := c.openWriter(false)
	if err != nil {
		return err
	}
	return errors.Join(train(m), m.Close())
}

// zstdLevel is the level of --codec zstd:N, 0 where that says none.
func (c *cli) zstdLevel() int {
	name, level, _ := strings.Cut(c.flags.codec, ":")
	n, err := strconv.Atoi(level)
	if name != "zstd" || err != nil {
		return 0
	}
	return n
}

func (c *cli) printTraining(r *codec.TrainReport, asJSON bool) error {
	if asJSON {
		return c.printJSON(r)
	}
	text := fmt.Sprintf("samples            %d records, %d bytes\nheld out           %d records, %d bytes\n"+
		"zstd without       %d bytes, ratio %.2f\nzstd with          %d bytes, ratio %.2f\ndictionary         %d bytes",
		r.Samples, r.SampleBytes, r.HeldOut, r.RawBytes, r.WithoutBytes, r.RatioWithout, r.WithBytes, r.RatioWith, r.DictionaryBytes)
	if d := r.Dictionary; d != nil {
		text += fmt.Sprintf(", %08x, number %d of topic %s, in use", d.ID, d.Number, d.Topic)
	} else {
		text += ", not stored: this is a dry run"
	}
	return c.write([]byte(text + "\n"))
}

func (c *cli) listDictionaries(m *wal.Manager, asJSON bool) error {
	list, err := m.Dictionaries()
	if err != nil {
		return err
	}
	if asJSON {
		return c.printJSON(orEmpty(list))
	}
	var t table
	t.row("TOPIC", "NUMBER", "ID", "BYTES", "IN USE", "ENCRYPTED")
	for _, d := range list {
		t.row(d.Topic, d.Number, fmt.Sprintf("%08x", d.ID), d.Bytes, d.InUse, d.Sealed)
	}
	return c.printTable(&t)
}
