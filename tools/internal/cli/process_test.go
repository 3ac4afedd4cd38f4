//go:build unix

package cli

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// start starts a command with pipes for its input and output.
func start(t *testing.T, cmd *exec.Cmd) (feed *os.File, out *bufio.Reader, stderr *bytes.Buffer) {
	t.Helper()
	in, feed, err := os.Pipe()
	require.NoError(t, err)
	stderr = new(bytes.Buffer)
	cmd.Stdin, cmd.Stderr = in, stderr
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	in.Close()
	t.Cleanup(func() { feed.Close() })
	return feed, bufio.NewReader(stdout), stderr
}

// On SIGINT and SIGTERM append stops reading, although its input is open, and closes the
// log in order.
func TestAppendEndsOnSignal(t *testing.T) {
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
		t.Run(sig.String(), func(t *testing.T) {
			dir := t.TempDir()
			cmd := process(t, "append", "--dir", dir, "--topic", "t")
			feed, out, stderr := start(t, cmd)
			feedf(t, feed, "a\nb\nnot a whole line")
			for i := range 2 {
				line, err := out.ReadString('\n')
				require.NoError(t, err)
				require.Equal(t, fmt.Sprintf("t 0 %d\n", i), line)
			}
			require.NoError(t, cmd.Process.Signal(sig))
			require.NoError(t, cmd.Wait())
			require.Empty(t, stderr.String())
			require.Equal(t, "a\nb\n", ok(t, "", "read", "--dir", dir, "--topic", "t"))
			segments := ok(t, "", "segments", "--dir", dir)
			require.Contains(t, segments, "sealed", "a clean close seals")
			require.NotContains(t, segments, "unsealed")
		})
	}
}

// A batch that is not full when a signal ends the input goes out, as at its end.
func TestAppendSignalCompletesPartialBatch(t *testing.T) {
	dir := t.TempDir()
	cmd := process(t, "append", "--dir", dir, "--topic", "t", "--batch", "2")
	feed, out, _ := start(t, cmd)
	feedf(t, feed, "a\nb\nc\n")
	_, err := out.ReadString('\n')
	require.NoError(t, err)
	require.NoError(t, cmd.Process.Signal(os.Interrupt))
	rest, err := io.ReadAll(out)
	require.NoError(t, err)
	require.Equal(t, "t 0 1\nt 0 2\n", string(rest))
	require.NoError(t, cmd.Wait())
	require.Equal(t, "a\nb\nc\n", ok(t, "", "read", "--dir", dir, "--topic", "t"))
}

func TestFollowEndsOnSignal(t *testing.T) {
	dir := t.TempDir()
	ok(t, "a\n", "append", "--dir", dir, "--topic", "t")
	cmd := process(t, "read", "--dir", dir, "--topic", "t", "--follow")
	_, out, stderr := start(t, cmd)
	line, err := out.ReadString('\n')
	require.NoError(t, err)
	require.Equal(t, "a\n", line)
	require.NoError(t, cmd.Process.Signal(os.Interrupt))
	require.NoError(t, cmd.Wait(), "exit 0")
	require.Empty(t, stderr.String())
}

// append | head: the acks go nowhere, and append says so. read | head needs no words, but not all was
// written.
func TestBrokenPipe(t *testing.T) {
	dir := t.TempDir()
	ok(t, lines(20_000), "append", "--dir", dir, "--topic", "t") // more than a pipe holds
	for _, c := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"append", "--dir", dir, "--topic", "t"}, 2, "broken pipe: whoever read the acks is gone"},
		{[]string{"read", "--dir", dir, "--topic", "t"}, 2, ""},
	} {
		cmd := process(t, c.args...)
		cmd.Stdin = strings.NewReader(lines(200_000))
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		out, w, err := os.Pipe()
		require.NoError(t, err)
		cmd.Stdout = w
		require.NoError(t, cmd.Start())
		w.Close()
		_, err = bufio.NewReaderSize(out, 16).ReadString('\n')
		require.NoError(t, err)
		out.Close()
		_ = cmd.Wait()
		require.Equal(t, c.code, cmd.ProcessState.ExitCode(), stderr.String())
		require.Contains(t, stderr.String(), c.want)
		require.LessOrEqual(t, strings.Count(stderr.String(), "\n"), 1, stderr.String())
	}
	ok(t, "", "verify", "--dir", dir)
}

// A benchmark that is interrupted leaves nothing behind.
func TestBenchInterrupted(t *testing.T) {
	for args, ending := range map[string]os.Signal{
		"append --duration 60": os.Interrupt, "baseline --duration 60": syscall.SIGTERM,
		"read --duration 60 --size 1M": syscall.SIGHUP, "recovery --size 100G": os.Interrupt,
	} {
		t.Run(args, func(t *testing.T) {
			if signal.Ignored(ending) { // below nohup, say: it is to go on
				ending = syscall.SIGTERM
			}
			dir := t.TempDir()
			cmd := process(t, append(strings.Fields("bench "+args), "--dir", dir)...)
			stdout, err := cmd.StdoutPipe()
			require.NoError(t, err)
			var stderr bytes.Buffer
			cmd.Stderr = &stderr
			require.NoError(t, cmd.Start())
			text := bufio.NewReader(stdout)
			for line := ""; !strings.HasPrefix(line, "build"); { // the machine's last line: it runs
				line, err = text.ReadString('\n')
				require.NoError(t, err)
			}
			require.NoError(t, cmd.Process.Signal(ending))
			_ = cmd.Wait()
			require.Contains(t, stderr.String(), "interrupted; its directory was removed")
			require.Equal(t, 1, strings.Count(stderr.String(), "\n"))
			require.Equal(t, 2, cmd.ProcessState.ExitCode())
			entries, err := os.ReadDir(dir)
			require.NoError(t, err)
			require.Empty(t, entries)
		})
	}
}

// A benchmark that does not end by the first signal ends by the second, with its directory.
func TestSecondSignalRemovesTheDirectory(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "bench-1")
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "a"), 0o700))
	cmd := process(t)
	cmd.Env = append(os.Environ(), runAsStubborn+"="+dir)
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	_, err = bufio.NewReader(stdout).ReadString('\n')
	require.NoError(t, err)
	require.NoError(t, cmd.Process.Signal(os.Interrupt))
	require.NoError(t, cmd.Process.Signal(syscall.SIGTERM))
	_ = cmd.Wait()
	require.Equal(t, exitCannot, cmd.ProcessState.ExitCode())
	require.NoDirExists(t, dir)
}

// needsRoot ends a test that only root can run: as a failure where the conformance suite requires
// that privilege too.
func needsRoot(t *testing.T, why string) {
	t.Helper()
	if slices.Contains(strings.Split(os.Getenv("CHRONIK_CONFORMANCE_REQUIRE"), ","), "privilege") {
		t.Fatal("only root can run this, and it is required here: " + why)
	}
	t.Skip("SKIPPED, only root can run this: " + why)
}

// asNobody runs the command as a user who owns nothing.
func asNobody(t *testing.T, stdin string, args ...string) outcome {
	t.Helper()
	if os.Geteuid() != 0 {
		needsRoot(t, "permissions are tested by becoming another user")
	}
	cmd := exec.CommandContext(t.Context(), "/proc/self/exe", args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	cmd.Dir = "/"
	var stdout, stderr bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &stdout, &stderr
	err := cmd.Run()
	require.NotNil(t, cmd.ProcessState, "%v", err)
	return outcome{code: cmd.ProcessState.ExitCode(), stdout: stdout.String(), stderr: stderr.String()}
}

func TestPermissions(t *testing.T) {
	dir := t.TempDir()
	ok(t, "a\n", "append", "--dir", dir, "--topic", "t")
	chmod := func(mode, dirMode os.FileMode) {
		require.NoError(t, filepath.WalkDir(dir, func(path string, d os.DirEntry, _ error) error {
			if d.IsDir() {
				return os.Chmod(path, dirMode)
			}
			return os.Chmod(path, mode)
		}))
	}
	require.NoError(t, os.Chmod(filepath.Dir(dir), 0o755))

	// Nobody may read: each command says so.
	chmod(0o600, 0o700)
	for _, args := range []string{"read --topic t", "ls", "segments", "verify", "dump", "append --topic t"} {
		o := asNobody(t, "", append(strings.Fields(args), "--dir", dir)...)
		require.Equal(t, 2, o.code, args)
		require.Contains(t, o.stderr, "permission denied: run it as the user that owns the log", args)
		require.Equal(t, 1, strings.Count(o.stderr, "\n"), o.stderr)
	}
	// Where there is no log it has no owner.
	o := asNobody(t, "x\n", "append", "--topic", "t", "--dir", filepath.Join(filepath.Dir(dir), "new"))
	require.Equal(t, 2, o.code)
	require.Contains(t, o.stderr, "permission denied: choose a --dir where you may write\n")
	// Nobody may write: what only looks, works.
	chmod(0o644, 0o755)
	for _, args := range []string{"read --topic t", "ls", "segments", "verify", "dump"} {
		o := asNobody(t, "", append(strings.Fields(args), "--dir", dir)...)
		require.Zero(t, o.code, "%s: %s", args, o.stderr)
	}
	for _, args := range []string{"append --topic t", "truncate --topic t --before 1", "bench append"} {
		o := asNobody(t, "x\n", append(strings.Fields(args), "--dir", dir)...)
		require.Equal(t, 2, o.code, args)
		require.Contains(t, o.stderr, "permission denied", args)
		require.Equal(t, 1, strings.Count(o.stderr, "\n"), o.stderr)
	}
}

// A file size limit is how a full disk looks without one: the records that fit are
// acknowledged, the others are refused, and the log is whole.
func TestNoSpace(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("CHRONIK_WAL_SEGMENT_SIZE", "262144")
	self, err := os.Executable()
	require.NoError(t, err)
	limited := exec.CommandContext(t.Context(), "sh", "-c", `ulimit -f 200; exec "$0" append --topic t --dir "$1"`, self, dir)
	limited.Stdin = strings.NewReader(lines(20_000))
	var stdout, stderr bytes.Buffer
	limited.Stdout, limited.Stderr = &stdout, &stderr
	_ = limited.Run()
	require.Equal(t, 1, limited.ProcessState.ExitCode(), stderr.String())
	require.Contains(t, stderr.String(), "no space left for the log")
	require.Equal(t, 1, strings.Count(stderr.String(), "\n"), stderr.String())
	acked := strings.Count(stdout.String(), "\n")
	require.Equal(t, acks("t", 0, acked, 1), ok(t, "after\n", "append", "--dir", dir, "--topic", "t"), "it goes on once there is space")
	ok(t, "", "verify", "--dir", dir)
}

// A benchmark for which there is no space measures nothing: whichever it is, it says why, in
// one line, with the same exit status.
func TestBenchNoSpace(t *testing.T) {
	self, err := os.Executable()
	require.NoError(t, err)
	for _, name := range []string{"append", "baseline --record-size 100000", "read", "recovery"} {
		limited := exec.CommandContext(t.Context(), "sh", "-c", `ulimit -f 200; exec "$0" bench "$@"`, self)
		limited.Args = append(limited.Args, split(name+" --json --dir "+t.TempDir())...)
		var stdout, stderr bytes.Buffer
		limited.Stdout, limited.Stderr = &stdout, &stderr
		_ = limited.Run()
		require.Equal(t, 2, limited.ProcessState.ExitCode(), "%s: %s", name, stderr.String())
		require.Empty(t, stdout.String())
		require.Equal(t, 1, strings.Count(stderr.String(), "\n"), stderr.String())
		require.Equal(t, 1, strings.Count(stderr.String(), "file too large"), "%s: %s", name, stderr.String())
	}
}

// A file system that is read-only is no matter of the log: one line, and it cannot run.
func TestReadOnlyFileSystem(t *testing.T) {
	if exec.CommandContext(t.Context(), "unshare", "-m", "true").Run() != nil {
		needsRoot(t, "a read-only file system is mounted in a mount namespace")
	}
	dir := t.TempDir()
	self, err := os.Executable()
	require.NoError(t, err)
	for _, where := range []string{dir, filepath.Join(dir, "new")} {
		cmd := exec.CommandContext(t.Context(), "unshare", "-m", "sh", "-c",
			`mount --bind "$1" "$1" && mount -o remount,ro,bind "$1" && exec "$0" append --topic t --dir "$2"`, self, dir, where)
		cmd.Stdin = strings.NewReader("a\n")
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		_ = cmd.Run()
		require.Equal(t, 2, cmd.ProcessState.ExitCode(), stderr.String())
		require.Contains(t, stderr.String(), "read-only file system: read-only commands work there")
		require.Equal(t, 1, strings.Count(stderr.String(), "\n"), stderr.String())
	}
}

// Streams that cannot work: a directory to read from, a full device to write to.
func TestStreamsThatCannotWork(t *testing.T) {
	dir := t.TempDir()
	ok(t, "a\n", "append", "--dir", dir, "--topic", "t")
	open := func(name string, flag int) *os.File {
		f, err := os.OpenFile(name, flag, 0)
		require.NoError(t, err)
		t.Cleanup(func() { f.Close() })
		return f
	}
	for _, c := range []struct {
		args          string
		stdin, stdout *os.File
		code          int
		want          string
	}{
		{"append --topic t", open(dir, os.O_RDONLY), nil, 2, "cannot read standard input: is a directory"},
		{"append --topic t", open("/dev/null", os.O_RDONLY), open("/dev/full", os.O_WRONLY), 0, ""},
		{"read --topic t", nil, open("/dev/full", os.O_WRONLY), 2, "cannot write to standard output"},
		{"ls", nil, open("/dev/full", os.O_WRONLY), 2, "cannot write to standard output"},
		{"--help", nil, open("/dev/full", os.O_WRONLY), 2, "cannot write to standard output"},
		{"help ls", nil, open("/dev/full", os.O_WRONLY), 2, "cannot write to standard output"},
		{"--version", nil, open("/dev/full", os.O_WRONLY), 2, "cannot write to standard output"},
		{"bench append", nil, open("/dev/full", os.O_WRONLY), 2, "cannot write to standard output"},
	} {
		cmd := process(t, append(strings.Fields(c.args), "--dir", dir)...)
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		if c.stdin != nil {
			cmd.Stdin = c.stdin
		}
		if c.stdout != nil {
			cmd.Stdout = c.stdout
		}
		_ = cmd.Run()
		require.Equal(t, c.code, cmd.ProcessState.ExitCode(), "%s: %s", c.args, stderr.String())
		require.Contains(t, stderr.String(), c.want)
		require.LessOrEqual(t, strings.Count(stderr.String(), "\n"), 1, "one line: %s", stderr.String())
	}
}

// A terminal is not needed for anything: no progress bar goes elsewhere.
func TestNoProgressBarWithoutTerminal(t *testing.T) {
	dir := t.TempDir()
	ok(t, lines(1000), "append", "--dir", dir, "--topic", "t")
	cmd := process(t, "verify", "--dir", dir)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	require.NoError(t, cmd.Run())
	require.Empty(t, stderr.String())
}
