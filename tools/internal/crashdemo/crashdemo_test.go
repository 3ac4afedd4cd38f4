package crashdemo

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	wal "github.com/chronik-go/wal/core"
)

// runAsCommand in the environment makes the test binary the command itself.
const runAsCommand = "WAL_CRASHDEMO_TEST_COMMAND"

func TestMain(m *testing.M) {
	if os.Getenv(runAsCommand) != "" {
		os.Exit(Main(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
	}
	// For what a test or a command starts, and small files.
	if err := errors.Join(os.Setenv(runAsCommand, "1"), os.Setenv("CHRONIK_WAL_SEGMENT_SIZE", "1048576")); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}

// sourceText makes files of text and returns their directory.
func sourceText(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(dir, "a"), 0o700))
	var text bytes.Buffer
	for i := range 4000 {
		text.WriteString(strings.Repeat("text ", i%23))
		text.WriteString("\n")
	}
	require.NoError(t, os.WriteFile(filepath.Join(dir, "a", "first"), text.Bytes(), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "binary"), []byte{1, 0, 2}, 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "last"), []byte("no newline\nat the end"), 0o600))
	return dir
}

func TestReadLines(t *testing.T) {
	dir := sourceText(t)
	lines, err := readLines(dir, 10_000)
	require.NoError(t, err)
	require.Len(t, lines, 4002)
	require.Equal(t, "text text ", string(lines[2]))
	require.Equal(t, "at the end", string(lines[4001]))
	lines, err = readLines(dir, 7)
	require.NoError(t, err)
	require.Len(t, lines, 7)
	_, err = readLines(t.TempDir(), 1)
	require.Error(t, err)

	var all []string
	for p := range 3 {
		for _, l := range share(lines, p, 3) {
			all = append(all, string(l))
		}
	}
	require.Len(t, all, 7, "each line is in one partition")
}

func TestDemonstration(t *testing.T) {
	var out, stderr bytes.Buffer
	code := Main([]string{"-source", sourceText(t), "-lines", "4002", "-partitions", "5", "-seed", "3"}, strings.NewReader(""), &out, &stderr)
	require.Zero(t, code, stderr.String())
	for _, want := range []string{
		"4002 lines of text", "killed with SIGKILL", "byte for byte", "no damage",
		"read      all 4002 lines", "Nothing that was acknowledged was lost",
	} {
		require.Contains(t, out.String(), want)
	}
}

// A demonstration that cannot fail shows nothing: each kind of loss is found.
func TestDemonstrationFindsLoss(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "log")
	c, err := parse([]string{"-source", sourceText(t), "-lines", "1000", "-partitions", "4", "-dir", dir}, io.Discard)
	require.NoError(t, err)
	c.input = filepath.Join(t.TempDir(), "input")
	opts, err := c.options()
	require.NoError(t, err)
	d := &demo{config: c, opts: opts, out: io.Discard, state: newWatched(c.partitions)}
	require.NoError(t, d.prepareInput())
	require.NoError(t, d.killHalfway(t.Context()))
	require.NoError(t, d.finish(t.Context()))
	for i := range d.state.acked { // all is there; what was recovered and not acknowledged counts too
		d.state.acked[i] = 250
	}

	for name, spoil := range map[string]func(){
		"an acknowledged record is missing":  func() { d.state.acked[1]++ },
		"an acknowledged partition is gone":  func() { d.partitions++; d.state.acked = append(d.state.acked, 1) },
		"a record differs":                   func() { d.lines[500] = []byte("other") },
		"two records have changed places":    func() { d.lines[8], d.lines[28] = d.lines[28], d.lines[8] },
		"a record that nobody wrote":         func() { d.lines = d.lines[:999] },
		"a record in place of a removed one": func() { d.lines = append(d.lines[:40:40], d.lines[44:]...) },
	} {
		t.Run(name, func(t *testing.T) {
			before := *d
			state, lines := *d.state, append([][]byte{}, d.lines...)
			state.acked = append([]int64{}, state.acked...)
			d.lines = append([][]byte{}, lines...)
			d.state = &state
			defer func() { *d = before }()
			spoil()
			m, err := wal.Open(dir, wal.WithReadOnly())
			require.NoError(t, err)
			defer m.Close()
			_, err = d.readAll(t.Context(), m)
			require.ErrorIs(t, err, errLost)
		})
	}
}

func TestKillRounds(t *testing.T) {
	var out, stderr bytes.Buffer
	code := Main([]string{"-kills", "30", "-seed", "5"}, strings.NewReader(""), &out, &stderr)
	require.Zero(t, code, stderr.String())
	require.Regexp(t, `rounds +30, .*; [1-9]\d* writers killed`, out.String())
	require.Regexp(t, `acked +[1-9]\d* records`, out.String())
	require.Regexp(t, `lost +0\n`, out.String())
	require.Contains(t, out.String(), "seed 5")
}

// A writer that is killed before there is a log has lost nothing, and its round counts.
func TestKillBeforeLog(t *testing.T) {
	c, err := parse([]string{"-dir", filepath.Join(t.TempDir(), "log")}, io.Discard)
	require.NoError(t, err)
	k := newKills(c, nil)
	for range 8 { // read-only or not, as the seed has it
		require.NoError(t, k.check(t.Context()))
	}
	for _, ends := range k.ends {
		require.Len(t, ends, 9)
	}
	k.state.acked[0] = 1
	require.Error(t, k.check(t.Context()))
}

// The kill test finds what it looks for.
func TestKillRoundsFindLoss(t *testing.T) {
	c, err := parse([]string{"-kills", "30", "-dir", filepath.Join(t.TempDir(), "log")}, io.Discard)
	require.NoError(t, err)
	k := newKills(c, nil)
	require.NoError(t, k.rounds(t.Context()))
	require.Positive(t, k.state.total())
	last := k.ends[2][len(k.ends[2])-1]
	for name, spoil := range map[string]func(){
		"an acknowledged record is missing":      func() { k.state.acked[2] = last + 1 },
		"a record that was served is missing":    func() { k.ends[2] = append(k.ends[2], last+1) },
		"a truncation is undone":                 func() { k.state.truncated[2] = last + 1 },
		"a truncation that nobody asked for":     func() { k.state.truncated[2], k.state.intended[2] = -2, -1 },
		"records differ":                         func() { k.seed++ },
		"a given-up record came back":            func() { k.ends[2] = append([]int64{0}, k.ends[2]...) },
		"an acknowledged partition is not there": func() { k.dir = t.TempDir() },
	} {
		t.Run(name, func(t *testing.T) {
			before := *k
			state := watched{append([]int64{}, k.state.acked...), append([]int64{}, k.state.intended...), append([]int64{}, k.state.truncated...)}
			k.state = &state
			k.ends = append([][]int64{}, k.ends...)
			defer func() { *k = before }()
			spoil()
			require.Error(t, k.check(t.Context()))
		})
	}
	require.NoError(t, k.check(t.Context()))
}

func TestUsage(t *testing.T) {
	full := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(full, "file"), nil, 0o600))
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"-frob"}, "not defined: -frob"},
		{[]string{"extra"}, `unknown argument "extra"`},
		{[]string{"-lines", "0"}, "at least 1"},
		{[]string{"-fsync", "periodic"}, "before data is durable"},
		{[]string{"-backend", "floppy"}, `"floppy" is not part of this program`},
		{[]string{"-dir", full}, "is not empty"},
		{[]string{"-source", filepath.Join(full, "missing")}, "no such file"},
	} {
		var stderr bytes.Buffer
		require.Equal(t, 2, Main(c.args, strings.NewReader(""), io.Discard, &stderr), c.args)
		require.Contains(t, stderr.String(), c.want)
	}
}

func TestCount(t *testing.T) {
	require.Equal(t, "0 segments, 1 segment, 2 segments", count(0, "segment")+", "+count(1, "segment")+", "+count(2, "segment"))
}
