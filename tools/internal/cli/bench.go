package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/chronik-go/wal/tools/internal/bench"
)

func (c *cli) benchCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "Measure a log on this machine",
		Long: "Measure a log on this machine, in a fresh directory below --dir that is removed\n" +
			"again. Megabytes are 10^6 bytes of values.",
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
// it ran on: on standard error, or with --json as further keys.
func (c *cli) inScratch(asJSON bool, run func(dir string) (any, error)) (err error) {
	dir, err := c.dataDir()
	if err != nil {
		return err
	}
	scratch, remove, err := bench.Scratch(dir)
	if err != nil {
		return err
	}
	defer func() {
		if removeErr := remove(); err == nil {
			err = removeErr
		}
	}()
	machine := bench.Describe(scratch)
	if !asJSON {
		c.note(strings.Join(machine.Lines(), "\n"))
	}
	result, err := run(scratch)
	if errors.Is(err, context.Canceled) {
		return errors.New("interrupted; its directory was removed")
	}
	if err != nil {
		return err
	}
	return c.printResult(result, machine, asJSON)
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
	f.IntVar(&o.Producers, "producers", 16, "how many goroutines append")
	f.IntVar(&o.Partitions, "partitions", 16, "how many partitions they append to")
	f.StringVar(&o.Layout, "layout", "shared", "shared: one log; dedicated: one a partition")
	f.IntVar(&o.RecordSize, "record-size", 1024, "size of a value, `bytes`")
	f.IntVar(&o.Batch, "batch", 1, "how many `records` are one append")
	f.IntVar(&o.Inflight, "inflight", 1, "how many `appends` a producer has outstanding")
	f.Var((*seconds)(&o.Duration), "duration", "how long to measure, after a warm-up of 0.5 s")
	f.BoolVar(&o.Recycle, "recycle", false, "drop what is in full segments, so that their files are used again")
	asJSON := jsonFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		opts, err := c.options()
		if err := errors.Join(err, o.Check()); err != nil {
			return err
		}
		o.Log = opts
		return c.inScratch(*asJSON, func(dir string) (any, error) {
			o.Dir = dir
			return run(cmd.Context(), o)
		})
	}
	return cmd
}

func (c *cli) benchReadCommand() *cobra.Command {
	o := bench.ReadOptions{Duration: 5 * time.Second, Size: 256e6}
	cmd := &cobra.Command{Use: "read", Short: "Reads by one reader, warm page cache", Args: noArguments}
	f := cmd.Flags()
	f.BoolVar(&o.Random, "random", false, "read single records at random; else partitions from first to last")
	f.Var((*size)(&o.Size), "size", "how many bytes of values to write first")
	f.IntVar(&o.RecordSize, "record-size", 1024, "size of a value, `bytes`")
	f.Var((*seconds)(&o.Duration), "duration", "how long to measure")
	asJSON := jsonFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		opts, err := c.options()
		if err := errors.Join(err, o.Check()); err != nil {
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

// seconds is a flag for a duration: 10s, 500ms, or a plain number of seconds.
type seconds time.Duration

func (s *seconds) String() string { return time.Duration(*s).String() }
func (s *seconds) Type() string   { return "duration" }

func (s *seconds) Set(text string) error {
	if n, err := strconv.ParseFloat(text, 64); err == nil && math.Abs(n) < 1e9 {
		*s = seconds(n * float64(time.Second))
		return nil
	}
	d, err := time.ParseDuration(text)
	*s = seconds(d)
	return err
}

// size is a flag for a number of bytes: 1000000, 512MiB, 1G (10^9).
type size int64

func (s *size) String() string { return strconv.FormatInt(int64(*s), 10) }
func (s *size) Type() string   { return "bytes" }

func (s *size) Set(text string) error {
	number, unit := strings.TrimRight(text, "KMGTiB"), int64(1)
	switch suffix := strings.TrimSuffix(text[len(number):], "B"); suffix {
	case "":
	case "K", "M", "G", "T":
		unit = int64(math.Pow10(3 * (1 + strings.Index("KMGT", suffix))))
	case "Ki", "Mi", "Gi", "Ti":
		unit = 1 << (10 * (1 + strings.Index("KMGT", suffix[:1])))
	default:
		return fmt.Errorf("unknown unit %q: one of K, M, G, T, Ki, Mi, Gi, Ti", suffix)
	}
	n, err := strconv.ParseInt(number, 10, 64)
	if err != nil || n < 0 || n > math.MaxInt64/unit {
		return errors.New("not a number of bytes, like 1000000 or 512MiB")
	}
	*s = size(n * unit)
	return nil
}
