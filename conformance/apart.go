package conformance

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"strings"

	"github.com/stretchr/testify/require"

	"github.com/chronik-go/wal/core/backend"
)

// runApart runs the part of a check that is to be apart, in a process of its own.
func (t *T) runApart(c check) {
	t.Helper()
	var stderr *strings.Builder
	dir := t.TempDir()
	start := func(isolated bool) (*exec.Cmd, error) {
		cmd, text, err := t.suite.process(t.Context(), task{Check: c.fullName(), Dir: dir})
		require.NoError(t, err)
		if stderr = text; isolated && isolate(cmd) != nil {
			return nil, fs.ErrPermission
		}
		return cmd, cmd.Start()
	}
	cmd, err := start(os.Geteuid() == 0)
	if errors.Is(err, fs.ErrPermission) {
		cmd, err = start(false) // what needs it will say so
	}
	require.NoError(t, err)
	switch err := cmd.Wait(); {
	case err == nil:
	case cmd.ProcessState.ExitCode() == exitSkipped:
		why := strings.TrimSpace(stderr.String())
		if strings.HasPrefix(why, missingPrefix) { // else it has nothing to check
			sayMissing(why)
		}
		t.Skipf("%s", why)
	default:
		require.NoError(t, err, "in a process of its own:\n%s", stderr)
	}
}

// checkApart is runApart in that process.
func (s *suite) checkApart(name, dir string) (status int, err error) {
	s.dir = dir
	for _, c := range checks() {
		if c.fullName() != name {
			continue
		}
		r := newRecorder()
		r.do(func() { c.apart(s.newT(c, r)) })
		if err := r.err(); err != nil {
			return exitRefused, err
		}
		if r.skipped != "" {
			return exitSkipped, errors.New(r.skipped)
		}
		return exitDone, nil
	}
	return exitUsage, fmt.Errorf("there is no check %s", name)
}

const lockedLine = "locked"

// hold locks a directory until standard input ends.
func (s *suite) hold(dir string) (status int, err error) {
	b, err := s.factory()
	if err != nil {
		return exitUsage, err
	}
	d, err := b.OpenDir(dir, backend.DirOptions{})
	if err != nil {
		return exitRefused, err
	}
	if err := d.Lock(); err != nil {
		return exitRefused, err
	}
	fmt.Println(lockedLine)
	_, _ = io.Copy(io.Discard, os.Stdin) // ends with the pipe, whatever that says
	return exitDone, nil
}

// holder is another process that holds a directory's lock.
type holder struct {
	t     *T
	cmd   *exec.Cmd
	stdin io.Closer
}

// lockElsewhere starts a process that locks a directory. nil: there can be none.
func (t *T) lockElsewhere(dir string) *holder {
	t.Helper()
	if _, own := t.Backend.(Machine); own || t.suite.command == nil {
		return nil
	}
	cmd, stderr, err := t.suite.process(t.Context(), task{Lock: dir})
	require.NoError(t, err)
	stdin, err := cmd.StdinPipe()
	require.NoError(t, err)
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	lines := bufio.NewScanner(stdout)
	for lines.Scan() && lines.Text() != lockedLine {
	}
	require.Equal(t, lockedLine, lines.Text(), "a process that locks a free directory: %s", stderr)
	return &holder{t: t, cmd: cmd, stdin: stdin}
}

// childAlive starts a process that does nothing, and inherits all that it can, where there can be
// one; end ends it.
func (t *T) childAlive() (end func()) {
	t.Helper()
	if !t.onSystem() || t.suite.command == nil {
		return func() {}
	}
	cmd, stderr, err := t.suite.process(t.Context(), task{Idle: true})
	require.NoError(t, err)
	stdin, err := cmd.StdinPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start()) // its program runs by then, so it has inherited what it will
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	return func() {
		require.NoError(t, stdin.Close())
		require.NoError(t, cmd.Wait(), stderr)
	}
}

// end lets the process end in an orderly way, but without closing the Dir.
func (h *holder) end() {
	require.NoError(h.t, h.stdin.Close())
	require.NoError(h.t, h.cmd.Wait())
}

// kill ends it in the middle.
func (h *holder) kill() {
	require.NoError(h.t, h.cmd.Process.Kill())
	require.Error(h.t, h.cmd.Wait())
}
