//go:build unix

package cli

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	walv0 "github.com/chronik-go/wal/compat-v0"
	wal "github.com/chronik-go/wal/core"
)

var (
	migrateKills = flag.Int("migrate.kills", 200, "how often to kill a migration, and a quarter of that on the way back")
	migrateSeed  = flag.Uint64("migrate.seed", uint64(time.Now().UnixNano()), "seed of when")
)

// migrateProcess returns wal-migrate as a process of its own.
func migrateProcess(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	cmd := process(t, args...)
	cmd.Env = append(os.Environ(), runAsCommand+"=wal-migrate")
	return cmd
}

// v0Source makes a v0 directory of three partitions: V1 and V2c, gaps, duplicates, a torn tail.
func v0Source(t *testing.T, dir string, records int, seed uint64) {
	t.Helper()
	r := rand.New(rand.NewPCG(seed, 1))
	for part := range int32(3) {
		var b []byte
		offset := int64(0)
		for range records {
			value := bytes.Repeat([]byte{byte(offset)}, r.IntN(600))
			from := len(b)
			var err error
			if last := offset + r.Int64N(4); part == 2 {
				b, err = walv0.AppendV2c(b, "t", part, value, offset, last, 1)
				offset = last
			} else {
				b, err = walv0.AppendV1(b, &wal.Record{Offset: offset, Timestamp: time.UnixMilli(offset), Key: value[:len(value)/2], Value: value})
			}
			require.NoError(t, err)
			if r.IntN(20) == 0 {
				b = append(b, b[from:]...)
			}
			if offset++; r.IntN(50) == 0 {
				offset += 7
			}
		}
		name := filepath.Join(dir, "t", fmt.Sprint(part), "wal_0_0.log")
		require.NoError(t, os.MkdirAll(filepath.Dir(name), 0o700))
		require.NoError(t, os.WriteFile(name, append(b, 0x7E, 0xCA), 0o600))
	}
}

// migrated is a migration that is killed.
type migrated struct {
	args     []string
	to       string
	progress func() int64 // records that the target has so far
	total    int64
}

// logProgress opens what a killed import left, which is a log at any time, and counts its records.
func logProgress(t *testing.T, to string) int64 {
	t.Helper()
	dir := filepath.Join(to+".migrating", "data")
	m, err := wal.Open(dir, wal.WithReadOnly())
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, wal.ErrNotLog) {
		return 0
	}
	require.NoError(t, err)
	defer m.Close()
	var n int64
	for _, p := range m.Partitions() {
		n += p.Records
	}
	return n
}

// v0Progress counts the bytes that a killed export left, in records.
func v0Progress(t *testing.T, to string, size, total int64) (n int64) {
	t.Helper()
	if _, err := os.Stat(to + ".migrating"); err != nil {
		return 0
	}
	for name, text := range readTree(t, to+".migrating") {
		if strings.HasSuffix(name, ".log") {
			n += int64(len(text))
		}
	}
	return n * total / size
}

func readTree(t *testing.T, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	require.NoError(t, filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		text, err := os.ReadFile(path)
		files[path] = string(text)
		return err
	}))
	return files
}

// run runs the migration, which kills itself after some progress or is killed after some time. It
// reports whether it was killed; else it has succeeded.
func (g *migrated) run(t *testing.T, bytesWritten int64, rest, timeout time.Duration) (killed bool) {
	t.Helper()
	cmd := migrateProcess(t, g.args...)
	cmd.Env = append(cmd.Env, fmt.Sprintf("%s=%d %d", killVariable, bytesWritten, rest))
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	require.NoError(t, cmd.Start())
	timer := time.AfterFunc(timeout, func() { _ = cmd.Process.Kill() })
	err := cmd.Wait()
	timer.Stop()
	if status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return true
	}
	require.NoError(t, err, stderr.String())
	return false
}

// kill kills the migration so many times: each run when it has come forward a little, some earlier.
func (g *migrated) kill(t *testing.T, random *rand.Rand, times int) (killed int) {
	t.Helper()
	limit, before := int64(64<<10), int64(0)
	for killed < times {
		timeout := time.Minute
		if random.IntN(5) == 0 {
			timeout = time.Duration(random.Int64N(int64(40 * time.Millisecond)))
		}
		if !g.run(t, random.Int64N(limit), time.Duration(random.Int64N(int64(time.Millisecond))), timeout) {
			return killed
		}
		killed++
		now := g.progress()
		require.GreaterOrEqual(t, now, before, "what was written is lost")
		if before = now; now > g.total*int64(killed)/int64(times+times/4) {
			limit = max(limit*9/10, 1)
		} else {
			limit = limit*11/10 + 1
		}
	}
	return killed
}

// A migration that is killed again and again, at any time, goes on where it was, and ends with the very
// records that one has which is never killed. So does the way back.
func TestMigrateKilled(t *testing.T) {
	t.Logf("-migrate.seed=%d", *migrateSeed)
	random := rand.New(rand.NewPCG(*migrateSeed, 2))
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	const records = 6000
	v0Source(t, at("v0"), records, *migrateSeed)
	_, err := walv0.Import(t.Context(), at("v0"), at("whole"), walv0.Options{})
	require.NoError(t, err)
	_, err = walv0.Export(t.Context(), at("whole"), at("wholev0"), walv0.Options{})
	require.NoError(t, err)
	size := v0Size(t, at("wholev0"))

	there := &migrated{
		args: []string{"--batch", "8192", "--from", at("v0"), "--to", at("log")}, to: at("log"), total: 3 * records,
		progress: func() int64 { return logProgress(t, at("log")) },
	}
	back := &migrated{
		args: []string{"--reverse", "--batch", "8192", "--from", at("whole"), "--to", at("back")}, to: at("back"), total: 3 * records,
		progress: func() int64 { return v0Progress(t, at("back"), size, 3*records) },
	}
	for _, g := range []*migrated{there, back} {
		times := *migrateKills
		if g == back {
			times /= 4
		}
		killed := g.kill(t, random, times)
		t.Logf("%v: killed %d times, with %d of %d records there", g.args, killed, g.progress(), g.total)
		// The end is the shortest part: it is killed again and again from here.
		ends := 0
		for range times / 40 {
			left := at("left")
			require.NoError(t, os.RemoveAll(left))
			if _, err := os.Stat(g.to + ".migrating"); err != nil {
				break
			}
			require.NoError(t, os.CopyFS(left, os.DirFS(g.to+".migrating")))
			ends += g.killEnd(t, random)
			require.NoError(t, os.RemoveAll(g.to))
			require.NoError(t, os.RemoveAll(g.to+".migrating"))
			require.NoError(t, os.Rename(left, g.to+".migrating"))
		}
		t.Logf("killed %d times in the rest", ends)
		out, err := migrateProcess(t, g.args...).CombinedOutput()
		require.NoError(t, err, "%s", out)
		require.NoDirExists(t, g.to+".migrating")
	}
	require.Equal(t, everything(t, at("whole")), everything(t, at("log")))
	_, err = walv0.Import(t.Context(), at("back"), at("again"), walv0.Options{})
	require.NoError(t, err)
	require.Equal(t, everything(t, at("whole")), everything(t, at("again")))
}

// killEnd kills what is left of a migration, at random, until it ends.
func (g *migrated) killEnd(t *testing.T, random *rand.Rand) (killed int) {
	t.Helper()
	for limit := 60 * time.Millisecond; g.run(t, math.MaxInt64, 0, time.Duration(random.Int64N(int64(limit)))); killed++ {
		limit = limit * 5 / 4
	}
	return killed
}

// Memory does not grow with what is migrated: 280 MB of records, more than what may be in memory.
func TestMigrateMemory(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("other systems count in other units")
	}
	dir := t.TempDir()
	name := filepath.Join(dir, "v0", "t", "0", "wal_0_0.log")
	require.NoError(t, os.MkdirAll(filepath.Dir(name), 0o700))
	f, err := os.Create(name)
	require.NoError(t, err)
	var b []byte
	for i := range int64(700_000) {
		b, err = walv0.AppendV1(b, &wal.Record{Offset: i, Timestamp: time.UnixMilli(i), Value: make([]byte, 360)})
		require.NoError(t, err)
		if len(b) > 1<<20 {
			_, err = f.Write(b)
			require.NoError(t, err)
			b = b[:0]
		}
	}
	_, err = f.Write(b)
	require.NoError(t, err)
	require.NoError(t, f.Close())
	for _, args := range []string{"--from DIR/v0 --to DIR/log", "--reverse --from DIR/log --to DIR/back"} {
		cmd := migrateProcess(t, split(strings.ReplaceAll(args, "DIR", dir))...)
		status := filepath.Join(dir, "status")
		cmd.Env = append(cmd.Env, "CHRONIK_WAL_SEGMENT_SIZE=", runAndTellMemory+"="+status)
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s", out)
		require.Contains(t, string(out), "records       700000\n")
		most := highWater(t, status)
		require.Less(t, most, int64(256_000_000), args)
		t.Logf("%s: %d MB", args, most/1e6)
	}
}

// highWater is the most memory that a process had, bytes, by its status. The Rusage of a process
// counts the memory of the one that started it, too.
func highWater(t *testing.T, status string) int64 {
	t.Helper()
	b, err := os.ReadFile(status)
	require.NoError(t, err)
	_, rest, ok := strings.Cut(string(b), "\nVmHWM:")
	require.True(t, ok, "%s", b)
	var kib int64
	_, err = fmt.Sscan(rest, &kib)
	require.NoError(t, err)
	return kib * 1024
}

func v0Size(t *testing.T, dir string) (n int64) {
	t.Helper()
	s, err := walv0.Scan(t.Context(), dir, walv0.Options{})
	require.NoError(t, err)
	defer s.Close()
	return s.Report().Bytes
}

// everything lists all records of a log, and its next offsets.
func everything(t *testing.T, dir string) (list []string) {
	t.Helper()
	m, err := wal.Open(dir, wal.WithReadOnly())
	require.NoError(t, err)
	defer m.Close()
	for _, info := range m.Partitions() {
		list = append(list, fmt.Sprint(info.Topic, info.Partition, info.NextOffset, info.Records))
		p, err := m.Lookup(info.Topic, info.Partition)
		require.NoError(t, err)
		for r, err := range p.Read(t.Context(), 0) {
			require.NoError(t, err)
			list = append(list, fmt.Sprint(r.Offset, r.Timestamp.UnixNano(), r.Key, r.Value, r.Headers))
		}
	}
	return list
}
