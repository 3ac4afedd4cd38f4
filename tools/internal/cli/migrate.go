package cli

import (
	"context"
	"fmt"
	"io"
	"sync"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	walv0 "github.com/chronik-go/wal/compat-v0"
	"github.com/chronik-go/wal/tools/internal/bench"
)

// migrateFlags are the flags of wal-migrate.
type migrateFlags struct {
	from, to      string
	reverse, json bool
	o             walv0.Options
}

// MigrateMain runs wal-migrate as this process and returns its exit status.
func MigrateMain() int { return asProcess(RunMigrate) }

// RunMigrate runs wal-migrate and returns its exit status: 0 done; 1 damage, or the target holds
// something else; 2 it cannot run.
func RunMigrate(ctx context.Context, s Streams, args []string) int {
	c := &cli{Streams: s}
	root := c.migrateCommand()
	root.SetArgs(args)
	root.SetIn(s.Stdin)
	root.SetOut(s.Stdout)
	root.SetErr(io.Discard) // errors are reported here, and once
	err := root.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	c.note("wal-migrate: " + oneLine(inFlags(err.Error())))
	return exitStatus(err)
}

func (c *cli) migrateCommand() *cobra.Command {
	var f migrateFlags
	cmd := &cobra.Command{
		Use:   "wal-migrate --from V0DIR --to DIR",
		Short: "Make a v1 log of a v0 data directory, or with --reverse a v0 data directory of a v1 log",
		Long: "Make a v1 log of a v0 data directory, or with --reverse a v0 data directory of a v1 log.\n\n" +
			"The source is read as a whole first, and nothing is written if it is damaged. What is written\n" +
			"lies in DIR.migrating until it is durable and verified; only then it gets the name DIR. If the\n" +
			"command is interrupted, in whatever way, run it again: it goes on where it was. The source is\n" +
			"not changed; stop what writes to it before.\n\n" +
			"Exit status: 0 done; 1 damage, a wrong CRC, or another DIR than this migration's; 2 it cannot run.",
		Version:           bench.Build(),
		SilenceUsage:      true,
		SilenceErrors:     true,
		CompletionOptions: cobra.CompletionOptions{DisableDefaultCmd: true},
		Args:              noArguments,
		RunE:              func(cmd *cobra.Command, _ []string) error { return c.migrate(cmd.Context(), f) },
	}
	cmd.SetFlagErrorFunc(flagError)
	set := cmd.Flags()
	set.StringVar(&f.from, "from", "", "`directory` to read")
	set.StringVar(&f.to, "to", "", "`directory` to make; it is empty or not there")
	set.BoolVar(&f.reverse, "reverse", false, "make a v0 data directory of a v1 log")
	set.BoolVar(&f.json, "json", false, "print JSON")
	set.BoolVar(&f.o.DryRun, "dry-run", false, "look at the source, say what is in it, write nothing")
	set.BoolVar(&f.o.AcceptBadCRC, "accept-bad-crc", false, "take V2 records with a wrong CRC: v0 did not check them")
	set.BoolVar(&f.o.AcceptLost, "accept-lost", false, "with --reverse: leave out what a repair gave up")
	set.StringArrayVar(&f.o.Renumber, "renumber", nil, "`TOPIC/PARTITION` to number anew, in the order of its files; may be given again")
	set.StringVar(&f.o.TempDir, "temp", "", "`directory` for 48 bytes a record, of a source with many (default: $TMPDIR)")
	set.Var((*size)(&f.o.Batch), "batch", "how much to write at once, `bytes` "+sizeUnits+" (default 1MiB)")
	log := pflag.NewFlagSet("", pflag.ContinueOnError)
	c.flags.register(log)
	for _, name := range []string{"backend", "codec", "key-file", "cipher", "log-level"} {
		set.AddFlag(log.Lookup(name))
	}
	return cmd
}

func (c *cli) migrate(ctx context.Context, f migrateFlags) error {
	if err := f.check(); err != nil {
		return err
	}
	if f.reverse && c.flags.set.Changed("codec") && c.flags.codec != "none" {
		return usagef("--codec: v0 has no compression, and --reverse writes v0")
	}
	opts, err := c.options()
	if err != nil {
		return err
	}
	if f.reverse && c.flags.keyFile != "" && !f.o.DryRun {
		c.note("wal-migrate: warning: v0 has no encryption: what is written to " + f.to + " is plain")
	}
	f.o.Progress = c.phases()
	run := walv0.Import
	if f.reverse {
		run = walv0.Export
	}
	report, err := run(ctx, f.from, f.to, f.o, opts...)
	if advice := f.advise(report, err); advice != "" {
		err = fmt.Errorf("%w: %s", err, advice)
	}
	if report == nil {
		return err
	}
	return errorsFirst(err, c.printMigration(report, f.json))
}

// phases returns a function that shows how much is done of one kind of work after the other.
func (c *cli) phases() func(what string, done, total int64) {
	var mu sync.Mutex
	var at string
	var show func(done, total int64)
	return func(what string, done, total int64) {
		mu.Lock()
		defer mu.Unlock()
		if what != at {
			at, show = what, c.progress(what)
		}
		show(done, total)
		migrationProgress(what, done)
	}
}

// migrationProgress is told of progress: a test ends the process by it.
var migrationProgress = func(what string, done int64) {}

func (c *cli) printMigration(r *walv0.Report, asJSON bool) error {
	if asJSON {
		out := *r
		out.Damage, out.Torn = orEmpty(r.Damage), orEmpty(r.Torn)
		out.Ignored, out.Partitions = orEmpty(r.Ignored), orEmpty(r.Partitions)
		return c.printJSON(out)
	}
	var t table
	for _, row := range []struct {
		name  string
		value any
	}{
		{"files", r.Files}, {"records", r.Records}, {"bytes", r.Bytes}, {"duplicates", r.Duplicates}, {"bad_crc", r.BadCRC},
		{"torn_tails", r.TornTails}, {"approximated", r.Approximated}, {"lost", r.Lost},
	} {
		t.row(row.name, row.value)
	}
	for _, d := range r.Damage {
		t.row("damage", d)
	}
	for _, d := range r.Torn {
		t.row("torn", d)
	}
	for _, name := range r.Ignored {
		t.row("ignored", name)
	}
	for _, p := range r.Partitions {
		text := fmt.Sprintf("%s/%d: %d records, offsets %d to %d", p.Topic, p.Partition, p.Records, p.First, p.Next-1)
		if p.Records == 0 {
			text = fmt.Sprintf("%s/%d: no records", p.Topic, p.Partition)
		}
		if p.Duplicates > 0 {
			text += fmt.Sprintf(", %d duplicates", p.Duplicates)
		}
		if p.Numbered > 0 {
			text += fmt.Sprintf(", %d numbered", p.Numbered)
		}
		t.row("partition", text)
	}
	switch {
	case r.Done:
		t.row("done: all is written, durable and verified")
	case r.DryRun:
		t.row("nothing was written: this was a dry run")
	default:
		t.row("not done")
	}
	return c.printTable(&t)
}
