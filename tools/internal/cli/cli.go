// Package cli is the command chronik-wal: one file a command. A command reads and
// writes the streams it is given, so that tests run it within their own process.
package cli

import (
	"context"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	_ "github.com/chronik-go/wal/backend-mmap"  // only by name
	_ "github.com/chronik-go/wal/backend-posix" // the backend of every platform
	_ "github.com/chronik-go/wal/backend-uring" // where the kernel has io_uring
	"github.com/chronik-go/wal/tools/internal/bench"
)

// Streams are what a command talks through.
type Streams struct {
	Stdin          io.Reader
	Stdout, Stderr io.Writer
}

// cli is one run of the command.
type cli struct {
	Streams
	flags globalFlags
}

// Main runs the command as this process and returns its exit status. A first SIGINT, SIGTERM or
// SIGHUP asks the command to finish; a second one ends it.
func Main() int { return asProcess(Run) }

func asProcess(run func(context.Context, Streams, []string) int) int {
	// A closed pipe is an error of the write that met it, not the end of the process.
	signal.Ignore(syscall.SIGPIPE)
	ctx, stop := signal.NotifyContext(context.Background(), endingSignals()...)
	defer stop()
	context.AfterFunc(ctx, stop)
	return run(ctx, Streams{os.Stdin, os.Stdout, os.Stderr}, os.Args[1:])
}

// endingSignals are those that ask the command to finish; not the one that nohup has ignored.
func endingSignals() []os.Signal {
	list := []os.Signal{os.Interrupt, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) {
		list = append(list, syscall.SIGHUP)
	}
	return list
}

// Run runs the command and returns its exit status: 0 done; 1 the log is damaged or
// data was refused; 2 it cannot run.
func Run(ctx context.Context, s Streams, args []string) int {
	out := &output{w: s.Stdout}
	s.Stdout = out
	c := &cli{Streams: s}
	root := c.rootCommand()
	root.SetArgs(args)
	root.SetIn(s.Stdin)
	root.SetOut(out)
	root.SetErr(io.Discard) // errors are reported here, and once
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil {
		err = out.err // of a help text, which nobody else looks at
	}
	if err == nil {
		return 0
	}
	return c.report(cmd, err)
}

func (c *cli) rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "chronik-wal",
		Short: "Append to, read, check, mend and measure a write-ahead log",
		Long: "Append to, read, check, mend and measure a write-ahead log.\n\n" +
			"Exit status: 0 done; 1 the log is damaged or data was refused; 2 it cannot run, or not\n" +
			"all of its output could be written. A standard output that was closed (>&-) counts as\n" +
			"/dev/null.",
		Version:           bench.Build(),
		SilenceUsage:      true,
		SilenceErrors:     true,
		CompletionOptions: cobra.CompletionOptions{HiddenDefaultCmd: true},
		Args:              noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return usagef("no command given: see %s --help", cmd.CommandPath())
		},
	}
	root.SetFlagErrorFunc(flagError)
	root.SetHelpCommand(helpCommand())
	c.flags.register(root.PersistentFlags())
	root.AddCommand(
		c.appendCommand(), c.readCommand(), c.lsCommand(), c.segmentsCommand(),
		c.verifyCommand(), c.repairCommand(), c.dumpCommand(), c.truncateCommand(), c.trainDictCommand(),
		c.backendsCommand(), c.envCommand(), c.benchCommand(),
	)
	return root
}

// helpCommand shows the help of a command. The library's own one says of a command that is
// not there that all is well.
func helpCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "help [command]",
		Short: "Show the help of a command",
		RunE: func(cmd *cobra.Command, args []string) error {
			about, rest, err := cmd.Root().Find(args)
			if err != nil || len(rest) > 0 {
				return unknownCommand(cmd.Root(), strings.Join(args, " "))
			}
			about.InitDefaultHelpFlag()
			return about.Help()
		},
	}
}

// noArguments is the Args of commands that take flags only.
func noArguments(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	if cmd.HasAvailableSubCommands() {
		return unknownCommand(cmd, args[0])
	}
	return usagef("unknown argument %q: see %s --help", args[0], cmd.CommandPath())
}

// unknownCommand says which commands may have been meant.
func unknownCommand(of *cobra.Command, name string) error {
	of.SuggestionsMinimumDistance = 2
	meant := ""
	if names := of.SuggestionsFor(name); len(names) > 0 {
		meant = "did you mean " + orList(names) + "? "
	}
	return usagef("unknown command %q: %ssee %s --help", name, meant, of.CommandPath())
}
