package cli

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// Each thing that people get wrong has one line on standard error that says what to do.
func TestUserErrors(t *testing.T) {
	empty, log := t.TempDir(), t.TempDir()
	ok(t, "a\n", "append", "--dir", log, "--topic", "t")
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	missing := filepath.Join(empty, "missing")
	link := filepath.Join(t.TempDir(), "link")
	require.NoError(t, os.Symlink(log, link))
	for _, c := range []struct {
		args, want string
		code       int
	}{
		{"", "no command given: see chronik-wal --help", 2},
		{"frobnicate", `unknown command "frobnicate": see chronik-wal --help`, 2},
		{"apend", `unknown command "apend": did you mean append? see chronik-wal --help`, 2},
		{"bench red", `unknown command "red": did you mean read? see chronik-wal bench --help`, 2},
		{"help verfy", `unknown command "verfy": did you mean verify? see chronik-wal --help`, 2},
		{"append --dir LOG --topic t --codec zstd:9", "levels are 0 to 9 for lz4, 0 to 4 for zstd, 0 to 2 for s2", 2},
		{"append --dir LOG --topic t --codec lz4:fast", "levels are 0 to 9 for lz4", 2},
		{"read --dir LOG --topic t --json --format value", "--json and --format value exclude each other", 2},
		{"read --topic t", "give --dir DIR or set CHRONIK_WAL_DATA_DIR", 2},
		{"ls --frob", "unknown flag: --frob: see chronik-wal ls --help", 2},
		{"ls extra", `unknown argument "extra"`, 2},
		{"read --dir LOG", "no topic: give --topic NAME", 2},
		{"read --dir LOG --topic u", "no such partition", 2},
		{"read --dir LOG --topic t --partition 1", "no such partition", 2},
		{"read --dir LOG --topic t --partition x", `--partition "x": it has to be a whole number from 0 to 2147483647: see chronik-wal read --help`, 2},
		{"read --dir LOG --topic t --from 7", ": chronik-wal ls shows the first offset there is, and the next one", 2},
		{"truncate --dir LOG --topic t --before 7", ": chronik-wal ls shows the first offset there is, and the next one", 2},
		{"read --dir LOG --topic t --from -1", "a whole number, at least 0", 2},
		{"read --dir LOG --topic t --from 0x1", "a whole number, at least 0", 2},
		{"read --dir LOG --topic t --from 1_0", "a whole number, at least 0", 2},
		{"read --dir LOG --topic t --limit -2", "a whole number, at least -1", 2},
		{"read --dir LOG --topic t --follow=perhaps", `--follow "perhaps": it has to be true or false`, 2},
		{"read --dir LOG --topic t --format xml", "value, json or length-prefixed", 2},
		{"help frobnicate", `unknown command "frobnicate": see chronik-wal --help`, 2},
		{"backends --backend foo", "it has to be auto, posix, uring or mmap", 2},
		{"dump --dir LOG --segment 99", "no such segment: 99", 2},
		{"dump --dir LOG --segment 0", "a whole number, at least 1", 2},
		{"read --dir MISSING --topic t", "no such file or directory: check --dir", 2},
		{"ls --dir MISSING", "no such file or directory: check --dir", 2},
		{"segments --dir MISSING", "no such file or directory: check --dir", 2},
		{"verify --dir MISSING", "no such file or directory: check --dir", 2},
		{"dump --dir MISSING", "no such file or directory: check --dir", 2},
		{"repair --dir MISSING --quarantine MISSING/q", "no such file or directory: check --dir", 2},
		{"truncate --dir MISSING --topic t --before 1", "no such file or directory: check --dir", 2},
		{"read --dir EMPTY --topic t", "no log in this directory", 2},
		{"ls --dir EMPTY", "no log in this directory", 2},
		{"segments --dir EMPTY", "no log in this directory", 2},
		{"verify --dir EMPTY", "no log in this directory", 2},
		{"dump --dir EMPTY", "no log in this directory", 2},
		{"repair --dir EMPTY --dry-run", "no log in this directory", 2},
		{"truncate --dir EMPTY --topic t --before 1", "no log in this directory", 2},
		{"append --dir FILE --topic t", "not a directory", 2},
		{"read --dir FILE --topic t", "not a directory", 2},
		{"append --dir LOG --topic a/b", `invalid topic name "a/b": it holds the separator /`, 2},
		{"append --dir MISSING --topic a/b", "the separator /", 2},
		{"append --dir MISSING --topic t --partition -1", "a whole number from 0", 2},
		{"append --dir LOG --topic t --partition -1", "a whole number from 0 to 2147483647", 2},
		{"append --dir LOG", "no topic", 2},
		{"append --dir LOG --topic t --batch 0", "a whole number from 1 to 1048576", 2},
		{"append --dir LOG --topic t --batch 1000000000", "a whole number from 1 to 1048576", 2},
		{"append --dir LOG --topic t --inflight 0", "a whole number from 1 to 65536", 2},
		{"append --dir LOG --topic t --inflight 1000000000", "a whole number from 1 to 65536", 2},
		{"append --dir LOG --topic t --lines=false", "--lines=false leaves no way to read the input", 2},
		{"append --dir LOG --topic t --lines --length-prefixed", "exclude each other", 2},
		{"append --dir LOG --topic t --fsync often", "always, batch or periodic", 2},
		{"append --dir LOG --topic t --fsync=", "always, batch or periodic", 2},
		{"append --dir LOG --topic t --backend floppy", "it has to be auto, posix, uring or mmap", 2},
		{"append --dir LOG --topic t --codec rot13", `--codec "rot13": it has to be none`, 2},
		{"append --dir LOG --topic t --cipher aes-256-gcm", "--cipher encrypts nothing without a key: give --key-file F too", 2},
		{"append --dir MISSING --topic t --cipher chacha20-poly1305", "give --key-file F too", 2},
		{"read --dir LOG --topic t --cipher aes-256-gcm", "give --key-file F too", 2},
		{"bench append --dir LOG --cipher aes-256-gcm", "give --key-file F too", 2},
		{"bench append --dir LOG --values FILE --compressibility 1", "--values and --compressibility exclude each other", 2},
		{"append --dir MISSING --topic t --must-exist", "no such file or directory: check --dir", 2},
		{"append --dir EMPTY --topic t --must-exist", "no log in this directory", 2},
		{"append --dir LOG --topic t --log-level loud", "trace, debug, info, warn, error or off", 2},
		{"repair --dir LOG", "give --quarantine DIR, or --dry-run", 2},
		{"truncate --dir LOG --topic t", "give either --before N or --after N", 2},
		{"truncate --dir LOG --topic t --before 1 --after 1", "give either --before N or --after N", 2},
		{"truncate --dir LOG --topic t --before -1", "a whole number, at least 0", 2},
		{"truncate --dir LOG --topic t --after -2", "a whole number, at least -1", 2},
		{"repair --dir LOG --quarantine FILE", "it is not a directory", 2},
		{"repair --dir LOG --quarantine LOG", "it is the log's directory, or lies in it", 2},
		{"repair --dir LOG --quarantine LOG/new/q", "it is the log's directory, or lies in it", 2},
		{"repair --dir LOG --quarantine LINK/q", "it is the log's directory, or lies in it", 2},
		{"repair --dir LOG --quarantine FILE/q", "not a directory: give another directory as --quarantine", 2},
		{"truncate --dir LOG --topic u --before 1", "no such partition", 2},
		{"truncate --dir LOG --topic t --before 9", "offset out of range", 2},
		{"bench", "no benchmark given", 2},
		{"bench append --dir MISSING", "no such file or directory: check --dir", 2},
		{"bench append --dir LOG --duration x", "a duration, like 10 (seconds), 500ms or 2m", 2},
		{"bench append --dir LOG --record-size 104857577", "--record-size 104857577: from 1 to 104857576 with --batch 1", 2},
		{"bench append --dir LOG --record-size 1000 --batch 1000000", "with --batch 1000000", 2},
		{"bench append --dir LOG --producers 1000 --record-size 100000000", "--producers 1000: with --batch 1", 2},
		{"bench append --dir LOG --producers 1000 --inflight 65536", "--inflight 65536: with 1000 producers, at most 16777", 2},
		{"bench append --dir LOG --duration -1", "--duration: more than 0", 2},
		{"bench append --dir LOG --producers 0", "a whole number from 1 to 65536", 2},
		{"bench append --dir LOG --layout heap", "shared or dedicated", 2},
		{"bench recovery --dir LOG --size 12Q", "a number of bytes, like 1000000, 500M (10^6) or 512MiB (2^20)", 2},
		{"bench recovery --dir LOG --shutdown maybe", "clean or crash", 2},
		{"bench recovery --dir LOG --size 1", "--size 1: at least", 2},
	} {
		t.Run(c.args, func(t *testing.T) {
			args := strings.NewReplacer("LOG", log, "EMPTY", empty, "MISSING", missing, "FILE", file, "LINK", link).Replace(c.args)
			o := run(t, "x\n", strings.Fields(args)...)
			require.Equal(t, c.code, o.code, o.stderr)
			require.Contains(t, o.stderr, c.want)
			require.Equal(t, 1, strings.Count(o.stderr, "\n"), "one line: %s", o.stderr)
			require.Empty(t, o.stdout)
		})
	}
	require.Equal(t, "a\n", ok(t, "", "read", "--dir", log, "--topic", "t"), "the log is as it was")
	entries, err := os.ReadDir(empty)
	require.NoError(t, err)
	require.Empty(t, entries, "nothing was created")
}

func TestEnvironmentVariables(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("CHRONIK_WAL_DATA_DIR", dir)
	ok(t, "a\n", "append", "--topic", "t")
	require.Equal(t, "a\n", ok(t, "", "read", "--topic", "t"))
	require.Equal(t, 2, run(t, "", "read", "--topic", "t", "--dir", t.TempDir()).code, "the flag wins")
	for variable, value := range map[string]string{
		"CHRONIK_WAL_SEGMENT_SIZE":     "big",
		"CHRONIK_WAL_ROTATION_AGE":     "1h",
		"CHRONIK_WAL_FSYNC_MODE":       "often",
		"CHRONIK_WAL_BUFFER_SIZE":      "1",
		"CHRONIK_WAL_DISABLE_IO_URING": "perhaps",
	} {
		t.Run(variable, func(t *testing.T) {
			t.Setenv(variable, value)
			for _, command := range []string{"append --topic t", "read --topic t", "env", "backends", "verify"} {
				o := run(t, "a\n", strings.Fields(command)...)
				require.Equal(t, 2, o.code, command)
				require.Contains(t, o.stderr, variable, command)
				require.Equal(t, 1, strings.Count(o.stderr, "\n"), o.stderr)
			}
		})
	}
}

// failingWriter takes some bytes and then fails.
type failingWriter struct {
	err  error
	left int
}

func (w *failingWriter) Write(p []byte) (int, error) {
	if w.left -= len(p); w.left < 0 {
		return 0, w.err
	}
	return len(p), nil
}

func TestStandardOutputFails(t *testing.T) {
	dir := t.TempDir()
	ok(t, lines(10_000), "append", "--dir", dir, "--topic", "t")
	full := func(err error, args ...string) (int, string) {
		var stderr bytes.Buffer
		code := Run(t.Context(), Streams{strings.NewReader(lines(10_000)), &failingWriter{err: err, left: 10}, &stderr},
			append(args, "--dir", dir))
		return code, stderr.String()
	}
	for _, args := range [][]string{
		{"read", "--topic", "t"}, {"ls"}, {"segments", "--json"}, {"verify"}, {"dump"}, {"env"}, {"backends"},
	} {
		code, stderr := full(syscall.EPIPE, args...)
		require.Equal(t, 2, code, "%v into a pipe that is closed: not all was written", args)
		require.Empty(t, stderr, "as with head")
		code, stderr = full(syscall.EIO, args...)
		require.Equal(t, 2, code, "%v", args)
		require.Contains(t, stderr, "cannot write to standard output: input/output error")
	}
	code, stderr := full(syscall.EPIPE, "append", "--topic", "t")
	require.Equal(t, 2, code)
	require.Contains(t, stderr, "cannot write to standard output: broken pipe")
	require.Contains(t, stderr, "what was printed is durable")
	require.Equal(t, 1, strings.Count(stderr, "\n"))
	require.Equal(t, 0, run(t, "", "verify", "--dir", dir).code, "the log was closed in order")
}
