// Package crashdemo is the command wal-crashdemo: a writer that is killed, and a parent
// that knows what the writer had acknowledged and looks for it.
//
// A killed process loses what it had in memory, not what the kernel has: this shows that
// an ack is not given before its write, and that recovery finds what was written. What a
// power failure takes is the conformance suite's subject.
package crashdemo

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	_ "github.com/chronik-go/wal/backend-posix" // the backend of every platform
	_ "github.com/chronik-go/wal/backend-uring" // where the kernel has io_uring
	wal "github.com/chronik-go/wal/core"
	"github.com/chronik-go/wal/core/backend"
)

// config is what the flags say.
type config struct {
	dir, source, backend, fsync string
	lines, partitions, kills    int
	seed                        uint64
	// The writer's own.
	role  string
	round int
	input string
}

// The roles that the command starts itself in.
const (
	roleDemo = "demo-writer"
	roleKill = "kill-writer"
)

func parse(args []string, stderr io.Writer) (config, error) {
	var c config
	f := flag.NewFlagSet("wal-crashdemo", flag.ContinueOnError)
	f.SetOutput(stderr)
	f.StringVar(&c.dir, "dir", "", "empty or missing directory for the log, kept afterwards (default: a temporary one, removed)")
	f.StringVar(&c.source, "source", "", "directory whose text is the input (default: the source of the Go installation)")
	f.IntVar(&c.lines, "lines", 200_000, "how many lines to append")
	f.IntVar(&c.partitions, "partitions", 16, "over how many partitions")
	f.IntVar(&c.kills, "kills", 0, "kill a writer on one directory so many times, in place of the demonstration")
	f.Uint64Var(&c.seed, "seed", 0, "seed of what is random (default: a random one, printed)")
	f.StringVar(&c.backend, "backend", "auto", "IO backend")
	f.StringVar(&c.fsync, "fsync", "batch", "always or batch")
	f.StringVar(&c.role, "role", "", "of a process that this command starts")
	f.IntVar(&c.round, "round", 0, "of a process that this command starts")
	f.StringVar(&c.input, "input", "", "of a process that this command starts")
	if err := f.Parse(args); err != nil {
		return c, err
	}
	switch {
	case f.NArg() > 0:
		return c, fmt.Errorf("unknown argument %q", f.Arg(0))
	case c.lines < 1 || c.partitions < 1 || c.partitions > 1<<10 || c.kills < 0:
		return c, errors.New("-lines and -partitions (to 1024): at least 1; -kills: at least 0")
	}
	if c.seed == 0 {
		c.seed = rand.Uint64()
	}
	return c, nil
}

// args are the arguments that start this command again as a writer.
func (c config) args() []string {
	return []string{"-dir", c.dir, "-partitions", fmt.Sprint(c.partitions), "-seed", fmt.Sprint(c.seed),
		"-backend", c.backend, "-fsync", c.fsync, "-role", c.role, "-round", fmt.Sprint(c.round), "-input", c.input}
}

// options are the options of the log.
func (c config) options() ([]wal.Option, error) {
	mode, err := wal.ParseFsyncMode(c.fsync)
	if err != nil {
		return nil, err
	}
	if mode == wal.FsyncPeriodic {
		return nil, errors.New("-fsync periodic acknowledges before data is durable: always or batch")
	}
	opts := []wal.Option{wal.WithFsyncMode(mode)}
	if c.backend != "auto" {
		b, err := backend.Named(c.backend)
		if err != nil {
			return nil, err
		}
		opts = append(opts, wal.WithBackend(b))
	}
	return opts, nil
}

// Main runs the command and returns its exit status: 0 if nothing was lost, 1 if
// something was, 2 if it cannot run.
func Main(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	c, err := parse(args, stderr)
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	if err == nil {
		err = c.run(ctx, stdin, stdout)
	}
	if err == nil {
		return 0
	}
	_, _ = fmt.Fprintf(stderr, "wal-crashdemo: %v\n", err)
	if errors.Is(err, errLost) || errors.Is(err, wal.ErrDamaged) {
		return 1
	}
	return 2
}

// errLost is wrapped by errors about records that are not what was acknowledged.
var errLost = errors.New("LOST")

func (c config) run(ctx context.Context, stdin io.Reader, stdout io.Writer) error {
	opts, err := c.options()
	if err != nil {
		return err
	}
	switch c.role {
	case roleDemo:
		return c.demoWriter(opts, stdout)
	case roleKill:
		return c.killWriter(opts, stdin, stdout)
	case "":
	default:
		return fmt.Errorf("unknown -role %q", c.role)
	}
	scratch, err := os.MkdirTemp("", "wal-crashdemo-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(scratch) }()
	if c.dir == "" {
		c.dir = filepath.Join(scratch, "log")
	} else if entries, err := os.ReadDir(c.dir); err == nil && len(entries) > 0 {
		return fmt.Errorf("-dir %s is not empty", c.dir)
	}
	if c.kills > 0 {
		return c.killRounds(ctx, opts, stdout)
	}
	c.input = filepath.Join(scratch, "input")
	return c.demonstrate(ctx, opts, stdout)
}
