package cli

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	wal "github.com/chronik-go/wal/core"
)

// What a benchmark ran on stands before its result, in the same stream.
func TestBenchText(t *testing.T) {
	out := ok(t, "", split("bench append --duration 0.05 --producers 1 --partitions 1 --dir "+t.TempDir())...)
	require.Regexp(t, `(?s)^device .*\nfilesystem .*\nkernel .*\ncpus .*\nbuild .*\nbench +append\n.*\nrecords_per_s `, out)
}

// The baseline takes the flags of the other benchmark, and says which do nothing.
func TestBaselineSaysWhatItIgnores(t *testing.T) {
	baseline := "bench baseline --json --duration 0.05 --producers 1 --partitions 1 --dir " + t.TempDir()
	o := run(t, "", split(baseline+" --layout shared --recycle --fsync periodic")...)
	require.Zero(t, o.code)
	require.Equal(t, "chronik-wal bench baseline: without effect here: --fsync, --layout, --recycle\n", o.stderr)
	ok(t, "", split(baseline+" --layout dedicated --fsync always --backend auto")...)
	key := filepath.Join(t.TempDir(), "key")
	require.NoError(t, os.WriteFile(key, []byte(strings.Repeat("a", 64)), 0o600))
	o = run(t, "", append(split(baseline+" --cipher chacha20-poly1305 --checksum xxh64 --key-file"), key)...)
	require.Equal(t, "chronik-wal bench baseline: without effect here: --checksum, --cipher, --key-file\n", o.stderr)
}

// The processes of the recovery benchmark have all flags that say how the log is written.
func TestRecoveryStepsHaveTheFlags(t *testing.T) {
	c := &cli{flags: globalFlags{backend: "posix", codec: "s2", checksum: "xxh64", logLevel: "off", fsync: "always", keyFile: "F", cipher: "chacha20-poly1305"}}
	args := strings.Join(c.stepArgs("open", &recoveryFlags{shutdown: "crash"}), " ")
	for _, want := range []string{"--backend posix", "--codec s2", "--checksum xxh64", "--fsync always", "--key-file F", "--cipher chacha20-poly1305"} {
		require.Contains(t, args, want)
	}
}

func TestExitStatus(t *testing.T) {
	for _, c := range []struct {
		err  error
		want int
	}{
		{usagef("what?"), 2},
		{wal.ErrDamaged, 1},
		{fmt.Errorf("%w: %w", wal.ErrNoSpace, syscall.ENOSPC), 1},
		{fmt.Errorf("%w: %w", wal.ErrFailed, syscall.EIO), 1},
		{fmt.Errorf("%w: %w", wal.ErrFailed, syscall.EROFS), 2},
		{cannotRun(wal.ErrNoSpace), 2},
		{cannotRun(wal.ErrDamaged), 1},
		{stdoutError(syscall.ENOSPC), 2},
		{errors.New("other"), 2},
	} {
		require.Equal(t, c.want, exitStatus(c.err), "%v", c.err)
	}
}

// The help says what is not obvious from a flag's name.
func TestHelp(t *testing.T) {
	for command, want := range map[string]string{
		"":               `(?s)2 it cannot run, or not\nall of its output could be written.*IO backend: auto, posix, uring, mmap \(default auto\)`,
		"append":         `takes the space of a whole segment`,
		"read":           `number of the partition \(default 0\)`,
		"truncate":       `(?s)-1 in a partition of which\n--before has dropped nothing.*the one below first_offset drops all`,
		"verify":         `(?s)In JSON the "to" of a range.*declared_lost|declared_lost.*In JSON the "to" of a range`,
		"repair":         `(?s)left, as it is after --dry-run of a damaged log.*In JSON the "to" of a range`,
		"segments":       `In JSON the "to" of a range`,
		"bench":          `leaves its directory, bench-…`,
		"bench read":     `like 1000000, 500M \(10\^6\) or 512MiB \(2\^20\) \(default 256000000\)`,
		"bench recovery": `like 1000000, 500M`,
		"bench baseline": `--key-file, --cipher and\n--checksum are there so that`,
	} {
		require.Regexp(t, want, ok(t, "", append(split(command), "--help")...), command)
		require.Regexp(t, want, ok(t, "", append([]string{"help"}, split(command)...)...), command)
	}
}
