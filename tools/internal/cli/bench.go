package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"os/signal"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	wal "github.com/chronik-go/wal/core"
	"github.com/chronik-go/wal/tools/internal/bench"
)

func (c *cli) benchCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "Measure a log on this machine",
		Long: "Measure a log on this machine, in a fresh directory below --dir that is removed\n" +
			"again, also by a signal. One that is killed (SIGKILL) leaves its directory, bench-…, to\n" +
			"be removed by hand.\n" +
			"Megabytes are 10^6 bytes of values. Exit status: 0 measured; 1 the log lost what it\n" +
			"had acknowledged; 2 nothing was measured.",
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return usagef("no benchmark given: append, read, recovery or baseline")
		},
	}
	cmd.AddCommand(
		c.benchAppendCommand("append", "Appends: group commit on a log", bench.Append),
		c.benchAppendCommand("baseline", "The same appends with one write and one fsync each, a file a partition", bench.Baseline),
		c.benchReadCommand(), c.benchRecoveryCommand(), c.benchRecoveryStepCommand(),
	)
	return cmd
}

// inScratch runs a benchmark in a fresh directory and prints its result, with the machine
// it ran on: before it, or with --json as further keys.
func (c *cli) inScratch(asJSON bool, run func(dir string) (any, error)) (err error) {
	dir, err := c.dataDir()
	if err != nil {
		return err
	}
	scratch, remove, err := bench.Scratch(dir)
	if err != nil {
		return cannotRun(err)
	}
	defer func() {
		if removeErr := remove(); err == nil {
			err = removeErr
		}
	}()
	defer endBySignal(remove)()
	machine := bench.Describe(scratch)
	if !asJSON {
		if err := c.write([]byte(strings.Join(machine.Lines(), "\n") + "\n")); err != nil {
			return err
		}
	}
	result, err := run(scratch)
	if errors.Is(err, context.Canceled) {
		return errors.New("interrupted; its directory was removed")
	}
	if err != nil {
		return cannotRun(err)
	}
	return c.printResult(result, machine, asJSON)
}

// endBySignal has a second signal, which ends the process at once, take the directory of the benchmark
// with it. What it returns takes that back.
func endBySignal(remove func() error) (stop func()) {
	signals, done := make(chan os.Signal, 2), make(chan struct{})
	signal.Notify(signals, endingSignals()...)
	go func() {
		for range 2 {
			select {
			case <-signals:
			case <-done:
				return
			}
		}
		// What is still being written may be made while it is removed.
		for range 10 {
			if remove() == nil {
				break
			}
		}
		os.Exit(exitCannot)
	}()
	return func() { signal.Stop(signals); close(done) }
}

// printResult prints a result as JSON with the machine's keys behind its own, or as lines.
func (c *cli) printResult(result any, machine bench.Machine, asJSON bool) error {
	encoded, err := json.Marshal(result)
	if err != nil {
		return err
	}
	if asJSON {
		m, err := json.Marshal(machine)
		if err != nil {
			return err
		}
		encoded[len(encoded)-1] = ','
		return c.write(append(append(encoded, m[1:]...), '\n'))
	}
	var t table
	d := json.NewDecoder(strings.NewReader(string(encoded)))
	d.UseNumber()
	for {
		name, err := nextToken(d)
		if err != nil {
			return c.printTable(&t)
		}
		value, err := nextToken(d)
		if err != nil {
			return err
		}
		t.row(name, value)
	}
}

// nextToken returns the next name or value of a flat JSON object.
func nextToken(d *json.Decoder) (any, error) {
	for {
		token, err := d.Token()
		if _, brace := token.(json.Delim); err != nil || !brace {
			return token, err
		}
	}
}

func (c *cli) benchAppendCommand(name, short string,
	run func(context.Context, bench.AppendOptions) (bench.AppendResult, error)) *cobra.Command {
	o := bench.AppendOptions{Duration: 10 * time.Second}
	cmd := &cobra.Command{Use: name, Short: short, Args: noArguments}
	f := cmd.Flags()
	wholeFlag(f, &o.Producers, "producers", 16, 1, 1<<16, "how many goroutines append")
	wholeFlag(f, &o.Partitions, "partitions", 16, 1, 1<<20, "how many partitions they append to")
	choiceFlag(f, &o.Layout, "layout", "shared", []string{"shared", "dedicated"}, "shared: one log; dedicated: one a partition")
	wholeFlag(f, &o.RecordSize, "record-size", 1024, 1, math.MaxInt32, "size of a value, `bytes`")
	wholeFlag(f, &o.Batch, "batch", 1, 1, mostInBatch, "how many `records` are one append")
	wholeFlag(f, &o.Inflight, "inflight", 1, 1, mostInFlight, "how many `appends` a producer has outstanding")
	f.Var((*seconds)(&o.Duration), "duration", "how long to measure, after a warm-up of 0.5 s: "+durationUnits)
	wholeFlag(f, &o.Compressibility, "compressibility", 0, 0, 100, "how much of each value repeats, `percent`")
	values := f.String("values", "", "cut the values out of this `file`, or the files below this folder, in place of noise")
	f.BoolVar(&o.Recycle, "recycle", false, "drop what is in full segments, so that their files are used again")
	if name == "baseline" {
		cmd.Long = short + ".\n\nIt is what version 0 did. --codec, --layout, --recycle, --fsync, --backend, --key-file, --cipher and\n" +
			"--checksum are there so that both benchmarks take the same flags; it says so where one of them has no effect."
	}
	asJSON := jsonFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		opts, err := c.options()
		if err := errorsFirst(err, o.Check()); err != nil {
			return err
		}
		if *values != "" && cmd.Flags().Changed("compressibility") {
			return usagef("--values and --compressibility exclude each other")
		}
		if name == "baseline" {
			c.noteIgnored(cmd)
		}
		if *values != "" {
			if o.Text, err = bench.ReadText(*values); err != nil {
				return err
			}
		}
		o.Log, o.Codec = opts, c.flags.codec
		return c.inScratch(*asJSON, func(dir string) (any, error) {
			o.Dir = dir
			return run(cmd.Context(), o)
		})
	}
	return cmd
}

// noteIgnored says which flags have no effect on the baseline.
func (c *cli) noteIgnored(cmd *cobra.Command) {
	var ignored []string
	for flag, is := range map[string]string{
		"layout": "dedicated", "recycle": "false", "fsync": "always", "backend": "auto", "codec": "none",
		"key-file": "", "cipher": wal.AES().Name(), "checksum": "crc32c",
	} {
		if f := cmd.Flag(flag); f.Changed && f.Value.String() != is {
			ignored = append(ignored, "--"+flag)
		}
	}
	if len(ignored) > 0 {
		slices.Sort(ignored)
		c.note(fmt.Sprintf("%s: without effect here: %s", cmd.CommandPath(), strings.Join(ignored, ", ")))
	}
}

func (c *cli) benchReadCommand() *cobra.Command {
	o := bench.ReadOptions{Duration: 5 * time.Second, Size: 256e6}
	cmd := &cobra.Command{Use: "read", Short: "Reads by one reader, warm page cache", Args: noArguments}
	f := cmd.Flags()
	f.BoolVar(&o.Random, "random", false, "read single records at random; else partitions from first to last")
	f.Var((*size)(&o.Size), "size", "how many bytes of values to write first, "+sizeUnits)
	wholeFlag(f, &o.RecordSize, "record-size", 1024, 1, math.MaxInt32, "size of a value, `bytes`")
	f.Var((*seconds)(&o.Duration), "duration", "how long to measure: "+durationUnits)
	asJSON := jsonFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		opts, err := c.options()
		if err := errorsFirst(err, o.Check()); err != nil {
			return err
		}
		o.Log = opts
		return c.inScratch(*asJSON, func(dir string) (any, error) {
			o.Dir = dir
			return bench.Read(cmd.Context(), o)
		})
	}
	return cmd
}
