package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/chronik-go/wal/core/backend"
)

// runMigrate runs wal-migrate in this process.
func runMigrate(t *testing.T, args ...string) outcome {
	t.Helper()
	var stdout, stderr bytes.Buffer
	code := RunMigrate(t.Context(), Streams{strings.NewReader(""), &stdout, &stderr}, args)
	return outcome{code: code, stdout: stdout.String(), stderr: stderr.String()}
}

// killVariable names how many bytes wal-migrate writes, and how many microseconds it then goes on, until
// it kills itself.
const killVariable = "CHRONIK_WAL_TEST_KILL"

func killAtProgress() {
	var bytes int64
	var rest time.Duration
	if _, err := fmt.Sscan(os.Getenv(killVariable), &bytes, &rest); err != nil {
		return
	}
	self, err := os.FindProcess(os.Getpid())
	if err != nil {
		panic(err)
	}
	var once sync.Once
	migrationProgress = func(what string, done int64) {
		if what == "writing" && done >= bytes {
			once.Do(func() { time.AfterFunc(rest, func() { _ = self.Kill() }) })
		}
	}
}

// v0Golden is a v0 directory that the reader's tests are made with.
func v0Golden(name string) string {
	return filepath.Join("..", "..", "..", "compat-v0", "testdata", "golden", name)
}

func TestMigrate(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	o := runMigrate(t, "--from", v0Golden("duplicates"), "--to", at("log"), "--dry-run")
	require.Zero(t, o.code, o.stderr)
	require.Contains(t, o.stdout, "duplicates    4\n")
	require.Contains(t, o.stdout, "partition     t/0: 4 records, offsets 0 to 5, 4 duplicates\n")
	require.Contains(t, o.stdout, "this was a dry run")
	require.NoDirExists(t, at("log"))

	o = runMigrate(t, "--from", v0Golden("duplicates"), "--to", at("log"))
	require.Zero(t, o.code, o.stderr)
	require.Empty(t, o.stderr)
	require.Contains(t, o.stdout, "done: ")
	require.Equal(t, "a\nb\nc\nd\n", ok(t, "", "read", "--topic", "t", "--dir", at("log")))
	ok(t, "", "verify", "--dir", at("log"))

	o = runMigrate(t, "--reverse", "--from", at("log"), "--to", at("v0"), "--json")
	require.Zero(t, o.code, o.stderr)
	require.EqualValues(t, 4, decode[map[string]any](t, o.stdout)["records"])
	require.FileExists(t, filepath.Join(at("v0"), "t", "0", "wal_0_0.log"))
}

// The keys that scripts depend on.
func TestMigrateJSONKeys(t *testing.T) {
	o := runMigrate(t, "--from", v0Golden("damage"), "--to", filepath.Join(t.TempDir(), "log"), "--json")
	require.Equal(t, 1, o.code)
	report := decode[map[string]json.RawMessage](t, o.stdout)
	require.ElementsMatch(t, strings.Fields("files records bytes duplicates bad_crc torn_tails damage partitions "+
		"dry_run done resumed approximated lost torn ignored"), slices.Collect(maps.Keys(report)))
	for key, want := range map[string]string{
		"damage": "file offset length reason", "partitions": "topic partition first_offset next_offset records bytes duplicates numbered",
	} {
		list := decode[[]map[string]any](t, string(report[key]))
		require.NotEmpty(t, list)
		require.ElementsMatch(t, strings.Fields(want), slices.Collect(maps.Keys(list[0])), key)
	}
	o = runMigrate(t, "--from", v0Golden("v1"), "--to", filepath.Join(t.TempDir(), "log"), "--json")
	require.Zero(t, o.code, o.stderr)
	require.NotContains(t, o.stdout, "null")
}

// Whatever is wrong: the exit status says whose business it is, one line says what, and nothing is there
// that looks like a log.
func TestMigrateErrors(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	require.NoError(t, os.WriteFile(at("file"), nil, 0o600))
	ok(t, "a\n", "append", "--topic", "t", "--dir", at("other"))
	require.NoError(t, os.CopyFS(at("v0"), os.DirFS(v0Golden("v1"))))
	damaged, _, _ := damagedLog(t)
	require.NoError(t, os.Rename(damaged, at("damaged")))
	require.NoError(t, os.WriteFile(at("key"), []byte(strings.Repeat("a", 64)), 0o600))
	ok(t, "a\n", "append", "--topic", "t", "--dir", at("sealed"), "--key-file", at("key"))
	for _, c := range []struct {
		args string
		code int
		want string
	}{
		{"", 2, "give --from DIR and --to DIR"},
		{"--from GOLDEN/v1", 2, "no directory to make: give --to DIR too"},
		{"--to DIR/new", 2, "no directory to read: give --from DIR too"},
		{"--from GOLDEN/v1 --to DIR/new --renumber t", 2, `--renumber "t": it has to be TOPIC/PARTITION`},
		{"--from GOLDEN/v1 --to DIR/new --renumber t/x", 2, `--renumber "t/x": it has to be TOPIC/PARTITION`},
		{"--from GOLDEN/v1 --to DIR/new more", 2, `unknown argument "more"`},
		{"--from GOLDEN/v1 --to DIR/new --nonsense", 2, "unknown flag: --nonsense"},
		{"--from GOLDEN/v1 --to DIR/new --batch x", 2, "a number of bytes"},
		{"--from DIR/none --to DIR/new", 2, "no such file or directory"},
		{"--from DIR/other --to DIR/new", 2, "no v0 data in this directory"},
		{"--from GOLDEN/v1 --to DIR/new --renumber t/9", 2, "renumber t/9: there is no such partition: it has to be TOPIC/PARTITION"},
		{"--from GOLDEN/v1 --to DIR/new --accept-lost", 2, "--accept-lost is for --reverse"},
		{"--from DIR/other --to DIR/new --reverse --accept-bad-crc", 2, "--reverse writes it"},
		{"--from DIR/v0 --to DIR/v0/new", 2, "lie in each other"},
		{"--from DIR/v0 --to DIR", 2, "lie in each other"},
		{"--from GOLDEN/v1 --to DIR/file", 2, "not a directory"},
		{"--from GOLDEN/v1 --to DIR/other", 1, "the target holds something else"},
		{"--from GOLDEN/damage --to DIR/new", 1, "the source is damaged: in 8 places, first "},
		{"--from GOLDEN/bad-crc --to DIR/new", 1, "44 bytes: the CRC is wrong: --accept-bad-crc takes V2 records"},
		{"--from GOLDEN/conflict --to DIR/new", 1, "has already, with other bytes: where records of one offset are normal, --renumber t/0 numbers"},
		{"--from DIR/damaged --to DIR/new --reverse", 1, "chronik-wal verify lists the damage, chronik-wal repair makes the log whole\n"},
		{"--from DIR/sealed --to DIR/new --reverse", 2, "the records are encrypted: give the log's key with --key-file\n"},
		{"--from GOLDEN/v1 --to DIR/new --reverse", 2, "no log in this directory"},
	} {
		args := strings.NewReplacer("GOLDEN", filepath.Dir(v0Golden("x")), "DIR", dir).Replace(c.args)
		o := runMigrate(t, strings.Fields(args)...)
		require.Equal(t, c.code, o.code, "%s: %s", c.args, o.stderr)
		require.Contains(t, o.stderr, c.want, c.args)
		require.Equal(t, 1, strings.Count(o.stderr, "\n"), o.stderr)
		require.NoDirExists(t, at("new"), c.args)
		require.NoDirExists(t, at("new.migrating"), c.args)
	}
	o := runMigrate(t, "--from", v0Golden("bad-crc"), "--to", at("new"), "--accept-bad-crc")
	require.Zero(t, o.code, o.stderr)
	require.Contains(t, o.stdout, "bad_crc       1\n")
	o = runMigrate(t, "--from", v0Golden("renumber"), "--to", at("raft"), "--renumber", "__raft_metadata/0")
	require.Zero(t, o.code, o.stderr)
}

// A source that only flags make whole is damaged for the commands in the v0 layout, which have none. A dry run
// says what to compare with, and what --reverse makes of the log is whole.
func TestMigrateCheckingOfAcceptedSource(t *testing.T) {
	for golden, flags := range map[string]string{"bad-crc": "--accept-bad-crc", "conflict": "--renumber t/0"} {
		t.Setenv("CHRONIK_WAL_LEGACY_FORMAT", "true")
		dir := t.TempDir()
		from, log, back := filepath.Join(dir, "v0"), filepath.Join(dir, "log"), filepath.Join(dir, "back")
		require.NoError(t, os.CopyFS(from, os.DirFS(v0Golden(golden))))
		for _, command := range []string{"ls", "verify", "read --topic t", "append --topic t"} {
			o := run(t, "x\n", append(split(command), "--dir", from)...)
			require.Equal(t, 1, o.code, "%s: %s", command, golden)
			require.Contains(t, o.stderr, "the source is damaged")
		}
		require.Zero(t, runMigrate(t, append(split(flags), "--from", from, "--to", log)...).code)
		o := runMigrate(t, append(split(flags), "--from", from, "--to", log+".none", "--dry-run", "--json")...)
		require.Zero(t, o.code, o.stderr)
		type part struct {
			Topic              string
			Partition, Records int64
			Next               int64 `json:"next_offset"`
		}
		want := decode[struct{ Partitions []part }](t, o.stdout).Partitions
		require.NotEmpty(t, want)
		require.Zero(t, runMigrate(t, "--reverse", "--from", log, "--to", back).code)
		require.Equal(t, want, decode[[]part](t, ok(t, "", "ls", "--dir", back, "--json")), golden)
		ok(t, "", "verify", "--dir", back)
		t.Setenv("CHRONIK_WAL_LEGACY_FORMAT", "")
		require.Equal(t, want, decode[[]part](t, ok(t, "", "ls", "--dir", log, "--json")), golden)
	}
}

// What is done already is not said to be what other flags would have made of it.
func TestMigrateIsThereOtherwise(t *testing.T) {
	key := filepath.Join(t.TempDir(), "key")
	require.NoError(t, os.WriteFile(key, []byte(strings.Repeat("a", 64)), 0o600))
	at := func(name string) string { return filepath.Join(filepath.Dir(key), name) }
	from := at("v0")
	t.Setenv("CHRONIK_WAL_LEGACY_FORMAT", "true")
	ok(t, strings.Repeat("x", 10_000)+"\n", "append", "--dir", from, "--topic", "t")
	for _, c := range []struct{ to, first, then, want string }{
		{"plain", "", "--key-file " + key, "is there already, and not encrypted"},
		{"sealed", "--key-file " + key, "", "is there already, and encrypted"},
		{"cipher", "--key-file " + key, "--cipher chacha20-poly1305 --key-file " + key, "is encrypted with aes-256-gcm, not chacha20-poly1305"},
		{"s2", "--codec s2", "", "is compressed with s2"},
		{"zstd", "--codec zstd:3", "--codec lz4", "is compressed with zstd"},
	} {
		for range 2 {
			o := runMigrate(t, append(split(c.first), "--from", from, "--to", at(c.to))...)
			require.Zero(t, o.code, o.stderr)
			require.Contains(t, o.stdout, "done: ")
		}
		o := runMigrate(t, append(split(c.then), "--from", from, "--to", at(c.to))...)
		require.Equal(t, 1, o.code, c.to)
		require.Contains(t, o.stderr, c.want)
		require.Contains(t, o.stdout, "not done")
	}
}

// On the way back what is encrypted becomes plain: it has to, and it is said.
func TestMigrateReverseIsPlain(t *testing.T) {
	dir := t.TempDir()
	key, log, v0 := filepath.Join(dir, "key"), filepath.Join(dir, "log"), filepath.Join(dir, "v0")
	require.NoError(t, os.WriteFile(key, []byte(strings.Repeat("a", 64)), 0o600))
	ok(t, "my secret\n", "append", "--dir", log, "--topic", "t", "--key-file", key)
	o := runMigrate(t, "--reverse", "--from", log, "--to", v0, "--key-file", key, "--codec", "s2")
	require.Equal(t, 2, o.code)
	require.Contains(t, o.stderr, "--codec: v0 has no compression")
	o = runMigrate(t, "--reverse", "--from", log, "--to", v0, "--key-file", key)
	require.Zero(t, o.code, o.stderr)
	require.Equal(t, "wal-migrate: warning: v0 has no encryption: what is written to "+v0+" is plain\n", o.stderr)
	data, err := os.ReadFile(filepath.Join(v0, "t", "0", "wal_0_0.log"))
	require.NoError(t, err)
	require.Contains(t, string(data), "my secret")
}

// What a repair gave up is left out only if that is accepted, and then it is counted.
func TestMigrateLost(t *testing.T) {
	log, _, values := damagedLog(t)
	dir := t.TempDir()
	v0, again := filepath.Join(dir, "v0"), filepath.Join(dir, "again")
	ok(t, "", "repair", "--dir", log, "--quarantine", filepath.Join(dir, "q"))
	o := runMigrate(t, "--reverse", "--from", log, "--to", v0)
	require.Equal(t, 1, o.code)
	require.Contains(t, o.stderr, "are lost: --accept-lost leaves out")
	require.NoDirExists(t, v0)

	left := 2
	for range strings.Lines(run(t, "", "read", "--dir", log, "--topic", "t", "--skip-damage").stdout) {
		left++
	}
	lost := len(values) + 2 - left
	require.Positive(t, lost)
	for _, flags := range []string{"--dry-run", "", ""} { // the last one finds it done
		o = runMigrate(t, append(split(flags), "--reverse", "--accept-lost", "--from", log, "--to", v0)...)
		require.Zero(t, o.code, o.stderr)
		require.Contains(t, o.stdout, fmt.Sprintf("\nlost          %d\n", lost))
	}
	o = runMigrate(t, "--reverse", "--accept-lost", "--json", "--from", log, "--to", v0)
	report := decode[struct{ Lost, Records int }](t, o.stdout)
	require.Equal(t, [2]int{lost, left}, [2]int{report.Lost, report.Records})

	o = runMigrate(t, "--from", v0, "--to", again, "--json")
	require.Zero(t, o.code, o.stderr)
	report = decode[struct{ Lost, Records int }](t, o.stdout)
	require.Equal(t, [2]int{0, left}, [2]int{report.Lost, report.Records}, "all of the source is there")
}

// Two migrations to one place: the second one waits for nobody.
func TestMigrateLocked(t *testing.T) {
	dir := t.TempDir()
	to := filepath.Join(dir, "log")
	require.NoError(t, os.Mkdir(to+".migrating", 0o700))
	b, _, err := backend.Auto()
	require.NoError(t, err)
	held, err := b.OpenDir(to+".migrating", backend.DirOptions{})
	require.NoError(t, err)
	defer held.Close()
	require.NoError(t, held.Lock())
	o := runMigrate(t, "--from", v0Golden("v1"), "--to", to)
	require.Equal(t, 2, o.code)
	require.Contains(t, o.stderr, "locked")
}
