package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// runAsCommand in the environment makes the test binary the command itself.
const runAsCommand = "CHRONIK_WAL_TEST_COMMAND"

// runAsStubborn in the environment makes it a benchmark in that directory that no signal ends.
const runAsStubborn = "CHRONIK_WAL_TEST_STUBBORN"

// runAndTellMemory in the environment is the file that wal-migrate, run so, copies its status to.
const runAndTellMemory = "CHRONIK_WAL_TEST_TELL_MEMORY"

func TestMain(m *testing.M) {
	if dir := os.Getenv(runAsStubborn); dir != "" {
		endBySignal(func() error { return os.RemoveAll(dir) })
		fmt.Println("ready")
		select {}
	}
	switch os.Getenv(runAsCommand) {
	case "wal-migrate":
		killAtProgress()
		code := MigrateMain()
		if name := os.Getenv(runAndTellMemory); name != "" {
			status, err := os.ReadFile("/proc/self/status")
			if err = errors.Join(err, os.WriteFile(name, status, 0o600)); err != nil {
				panic(err)
			}
		}
		os.Exit(code)
	case "1":
		os.Exit(Main())
	}
	// For what a test or a command starts, and small files.
	if err := errors.Join(os.Setenv(runAsCommand, "1"), os.Setenv("CHRONIK_WAL_SEGMENT_SIZE", "1048576")); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}

// outcome is what a run of the command left.
type outcome struct {
	code           int
	stdout, stderr string
	made           bool // it said that it made a new log
}

// run runs the command in this process.
func run(t *testing.T, stdin string, args ...string) outcome {
	t.Helper()
	var stdout, stderr bytes.Buffer
	code := Run(t.Context(), Streams{strings.NewReader(stdin), &stdout, &stderr}, args)
	said := madeNew.ReplaceAllString(stderr.String(), "")
	return outcome{code, stdout.String(), said, said != stderr.String()}
}

// madeNew is what append says when there was no log.
var madeNew = regexp.MustCompile(`(?m)^chronik-wal: there was no log in .*: made a new one\n`)

// ok runs the command, which must succeed, and returns its standard output.
func ok(t *testing.T, stdin string, args ...string) string {
	t.Helper()
	o := run(t, stdin, args...)
	require.Zero(t, o.code, "chronik-wal %v: %s", args, o.stderr)
	require.Empty(t, o.stderr, "chronik-wal %v", args)
	return o.stdout
}

// process returns the command as a process of its own.
func process(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	return processContext(t.Context(), t, args...)
}

func processContext(ctx context.Context, t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	return exec.CommandContext(ctx, self, args...)
}

// split splits a command line at its spaces.
func split(command string) []string { return strings.Fields(command) }

// decode decodes JSON.
func decode[T any](t *testing.T, text string) (v T) {
	t.Helper()
	require.NoError(t, json.Unmarshal([]byte(text), &v), "%s", text)
	return v
}

// lines returns n lines: a number and a text that grows and shrinks.
func lines(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(strings.Repeat("x", i%97))
		b.WriteString(strings.Repeat("é", i%3))
		b.WriteByte('\n')
	}
	return b.String()
}

// feedf writes to what a command reads.
func feedf(t *testing.T, w io.Writer, format string, args ...any) {
	t.Helper()
	_, err := fmt.Fprintf(w, format, args...)
	require.NoError(t, err)
}
