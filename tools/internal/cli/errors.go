package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	walv0 "github.com/chronik-go/wal/compat-v0"
	wal "github.com/chronik-go/wal/core"
)

// The exit statuses other than 0.
const (
	exitRefused = 1 // the log is damaged or data was refused
	exitCannot  = 2 // usage, no such directory, locked, permission
)

// errRefused is wrapped by errors about input that is not appended.
var errRefused = errors.New("refused")

// errStdout is wrapped by errors of writing to standard output.
var errStdout = errors.New("cannot write to standard output")

// stdoutError says that err is about standard output.
func stdoutError(err error) error {
	if err == nil || errors.Is(err, errStdout) {
		return err
	}
	return fmt.Errorf("%w: %w", errStdout, err)
}

// usagef returns an error about how the command was called.
func usagef(format string, args ...any) error { return fmt.Errorf(format, args...) }

// refusedError is a message that exits with exitRefused. The message stands alone; the
// sentinel only carries the exit status.
type refusedError struct{ error }

func (e refusedError) Unwrap() []error { return []error{errRefused, e.error} }

func refusef(format string, args ...any) error {
	return refusedError{fmt.Errorf(format, args...)}
}

// cannotError is an error by which nothing was done: it exits with exitCannot, whatever it
// wraps, unless data is damaged.
type cannotError struct{ error }

func (e cannotError) Unwrap() error { return e.error }

func cannotRun(err error) error {
	if errors.Is(err, wal.ErrDamaged) {
		return err
	}
	return cannotError{err}
}

// report prints err as one line and returns the exit status.
func (c *cli) report(cmd *cobra.Command, err error) int {
	if errors.Is(err, errStdout) && errors.Is(err, syscall.EPIPE) && cmd.Name() != "append" {
		// Whoever read the output has seen enough, as in read | head: that needs no words. But not all
		// was written, and who asked for all of it must not take it for done.
		return exitCannot
	}
	line := inFlags(err.Error())
	if advice := c.advise(err); advice != "" {
		line += ": " + advice
	}
	c.note(cmd.CommandPath() + ": " + oneLine(line))
	return exitStatus(err)
}

// note prints a line on standard error. Where that fails there is nobody left to tell.
func (c *cli) note(line string) { _, _ = fmt.Fprintln(c.Stderr, line) }

func exitStatus(err error) int {
	var cannot cannotError
	if errors.Is(err, errStdout) || errors.As(err, &cannot) || errors.Is(err, syscall.EROFS) {
		return exitCannot
	}
	for _, refused := range []error{
		errRefused, wal.ErrDamaged, wal.ErrRecordTooLarge, wal.ErrNoSpace, wal.ErrFailed, syscall.ENOSPC,
		walv0.ErrDamaged, walv0.ErrForeign, walv0.ErrVerify, walv0.ErrSourceChanged,
	} {
		if errors.Is(err, refused) {
			return exitRefused
		}
	}
	return exitCannot
}

// advise says what to do about err, where its text does not say it already.
func (c *cli) advise(err error) string {
	for _, a := range []struct {
		is     error
		advice string
	}{
		{wal.ErrQuarantine, "give another directory as --quarantine"},
		{wal.ErrLocked, "stop the process that writes to it, or use a read-only command"},
		{wal.ErrKey, "give the log's key with --key-file"},
		{wal.ErrDictionary, "chronik-wal verify tells more; what was appended with another dictionary, or none, can be read by --from"},
		{wal.ErrNotLog, c.notLogAdvice()},
		{wal.ErrOffsetOutOfRange, "chronik-wal ls shows the first offset there is, and the next one"},
		{wal.ErrNoPartition, "chronik-wal ls shows what there is"},
		{syscall.EROFS, "read-only commands work there; to write, mount it writable"},
		{wal.ErrFailed, "look for device errors in the kernel's log, then run chronik-wal verify"},
		{fs.ErrNotExist, "check --dir"},
		{syscall.ENOTDIR, "--dir names the directory of a log, not a file"},
		{fs.ErrPermission, c.permissionAdvice()},
		{syscall.EPIPE, "whoever read the acks is gone; what was printed is durable, more may be"},
	} {
		if errors.Is(err, a.is) {
			return a.advice
		}
	}
	return ""
}

// notLogAdvice says what to do where there is no v1 log.
func (c *cli) notLogAdvice() string {
	dir, err := c.dataDir()
	if err != nil {
		return ""
	}
	if layout := walv0.CheckLayout(dir, false); errors.Is(layout, walv0.ErrLayout) {
		return strings.TrimPrefix(layout.Error(), walv0.ErrLayout.Error()+": ")
	}
	return "check --dir; append makes a new log"
}

// permissionAdvice says who may do it: for a log that is its owner.
func (c *cli) permissionAdvice() string {
	dir, err := c.dataDir()
	if err != nil {
		return ""
	}
	entries, err := os.ReadDir(dir)
	closed := errors.Is(err, fs.ErrPermission) && isDir(dir)
	if closed || slices.ContainsFunc(entries, func(e fs.DirEntry) bool { return strings.HasSuffix(e.Name(), ".wal") }) {
		return "run it as the user that owns the log"
	}
	return "choose a --dir where you may write"
}

func isDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// inFlags leaves the library's option out where the advice that follows names the flag.
func inFlags(s string) string { return strings.ReplaceAll(s, ": open the log WithKeys", "") }

// oneLine joins what a library spread over several lines.
func oneLine(s string) string {
	return strings.Join(strings.FieldsFunc(s, func(r rune) bool { return r == '\n' || r == '\r' }), "; ")
}
