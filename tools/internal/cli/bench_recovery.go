package cli

import (
	"context"
	"fmt"
	"math"
	"os"
	"os/exec"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/chronik-go/wal/tools/internal/bench"
)

// recoveryFlags are the flags of bench recovery and of the processes it starts.
type recoveryFlags struct {
	bench.RecoveryOptions
	shutdown string
}

func (f *recoveryFlags) register(set *pflag.FlagSet) {
	f.Size = 1e9
	set.Var((*size)(&f.Size), "size", "how many bytes of values to write first, "+sizeUnits)
	wholeFlag(set, &f.RecordSize, "record-size", 1024, 1, math.MaxInt32, "size of a value, `bytes`")
	choiceFlag(set, &f.shutdown, "shutdown", "crash", []string{"clean", "crash"}, "how the writer ends: clean or crash")
	choiceFlag(set, &f.PageCache, "page-cache", bench.PageCacheWarm, []string{bench.PageCacheWarm, bench.PageCacheCold},
		"what the open finds in the page cache: warm, everything, or cold, nothing (Linux)")
}

func (f *recoveryFlags) check() error {
	f.Crash = f.shutdown == "crash"
	return f.Check()
}

func (c *cli) benchRecoveryCommand() *cobra.Command {
	var f recoveryFlags
	cmd := &cobra.Command{
		Use: "recovery", Short: "The open after a clean or killed writer, and reading everything", Args: noArguments,
	}
	f.register(cmd.Flags())
	asJSON := jsonFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if _, err := c.options(); err != nil {
			return err
		}
		if err := f.check(); err != nil {
			return err
		}
		self, err := os.Executable()
		if err != nil {
			return err
		}
		return c.inScratch(*asJSON, func(dir string) (any, error) {
			f.Dir = dir
			child := func(ctx context.Context, step string) *exec.Cmd {
				return exec.CommandContext(ctx, self, c.stepArgs(step, &f)...)
			}
			return bench.Recovery(cmd.Context(), f.RecoveryOptions, child)
		})
	}
	return cmd
}

// recoveryStepName is the command of the processes that bench recovery starts.
const recoveryStepName = "recovery-step"

func (c *cli) stepArgs(step string, f *recoveryFlags) []string {
	args := []string{"bench", recoveryStepName, "--step", step, "--dir", f.Dir,
		"--size", fmt.Sprint(f.Size), "--record-size", fmt.Sprint(f.RecordSize), "--shutdown", f.shutdown,
		"--backend", c.flags.backend, "--codec", c.flags.codec, "--checksum", c.flags.checksum, "--log-level", c.flags.logLevel}
	if c.flags.fsync != "" {
		args = append(args, "--fsync", c.flags.fsync)
	}
	if c.flags.keyFile != "" {
		args = append(args, "--key-file", c.flags.keyFile, "--cipher", c.flags.cipher)
	}
	return args
}

func (c *cli) benchRecoveryStepCommand() *cobra.Command {
	var f recoveryFlags
	cmd := &cobra.Command{Use: recoveryStepName, Hidden: true, Args: noArguments}
	f.register(cmd.Flags())
	step := cmd.Flags().String("step", "", bench.StepFill+" or "+bench.StepOpen)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := f.check(); err != nil {
			return err
		}
		opts, err := c.options()
		if err != nil {
			return err
		}
		if f.Dir, err = c.dataDir(); err != nil {
			return err
		}
		return bench.RecoveryStep(cmd.Context(), *step, f.RecoveryOptions, opts, c.Stdin, c.Stdout)
	}
	return cmd
}
