package posix

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/chronik-go/wal/conformance"
	"github.com/chronik-go/wal/core/backend"
)

const traceEnv = "CHRONIK_POSIX_TEST_TRACE_DIR"

// trace runs the child part of the test under strace, with further options of it,
// and returns the calls it made in the directory, by the marks between them.
func trace(t *testing.T, path string, options ...string) (calls map[string][]string, raw string) {
	t.Helper()
	if _, err := exec.LookPath("strace"); err != nil {
		conformance.Missing(t, "strace", err)
	}
	out := filepath.Join(t.TempDir(), "trace")
	args := append([]string{"strace", "-f", "-qq", "-y", "-o", out, "-e",
		"trace=fstat,pwrite64,pwritev2,fdatasync,fsync,fallocate,?fadvise64,?fadvise64_64,?ftruncate,?ftruncate64,mkdirat,?mkdir,?access,faccessat"}, options...)
	cmd := childCommand(t, args...)
	cmd.Env = append(cmd.Env, traceEnv+"="+path)
	text, err := cmd.CombinedOutput()
	require.NoError(t, err, "child process: %s", text)
	data, err := os.ReadFile(out)
	require.NoError(t, err)
	return parseTrace(path, string(data)), string(data)
}

var (
	traceMark = regexp.MustCompile(`access(?:at)?\(.*"/mark/([^"]+)"`)
	traceCall = regexp.MustCompile(`^\d+\s+(fstat|pwrite64|pwritev2|fdatasync|fsync|fallocate|fadvise64|ftruncate|mkdir)\w*\((?:\d+<([^>]+)>|(?:[^"]*"([^"]+)"))(.*)`)
)

// parseTrace reduces each call to its name, its file below path and its flags.
func parseTrace(path, text string) map[string][]string {
	calls := map[string][]string{}
	at := ""
	for line := range strings.Lines(text) {
		if m := traceMark.FindStringSubmatch(line); m != nil {
			at = m[1]
			continue
		}
		m := traceCall.FindStringSubmatch(line)
		if m == nil || !strings.HasPrefix(m[2]+m[3], path) || strings.Contains(m[2], "/#") { // # : the probe's file
			continue
		}
		call := m[1] + " " + strings.TrimPrefix(strings.TrimPrefix(m[2]+m[3], path), "/")
		for _, flag := range []string{"RWF_DSYNC", "POSIX_FADV_DONTNEED"} {
			if strings.Contains(m[4], flag) {
				call += " " + flag
			}
		}
		calls[at] = append(calls[at], call)
	}
	return calls
}

// mark shows up in the trace.
func mark(name string) { _ = unix.Access("/mark/"+name, 0) }

// What a promise rests on is the system calls that are made. A write has no fstat before it:
// that would cost more than the write, see file.size.
func TestSystemCalls(t *testing.T) {
	if isChild(t) {
		runtime.LockOSThread() // one thread, one order of calls
		for name, mode := range map[string]DirectMode{"direct": DirectOn, "buffered": DirectOff} {
			makeTracedCalls(t, New(WithDirect(mode)), filepath.Join(os.Getenv(traceEnv), name), name)
		}
		return
	}
	path := t.TempDir()
	calls, _ := trace(t, path)
	for mark, want := range map[string][]string{
		"mkdir": {"fstat ", "mkdir direct", "fsync direct", "fsync ", "mkdir direct/a", "fsync direct/a", "fsync direct", "fstat direct/a"},
		"again": {"fstat direct/a", "fstat direct", "fsync direct", "fstat ", "fsync ", "fstat direct/a"}, // what is above what is there already

		"direct/create":     {"fstat direct/a/f", "fstat direct/a/f", "fallocate direct/a/f", "fstat direct/a/f", "fstat direct/a/f"},
		"direct/sync":       {"pwritev2 direct/a/f RWF_DSYNC"},
		"direct/no sync":    {"pwrite64 direct/a/f"},
		"direct/adjacent":   {"pwritev2 direct/a/f RWF_DSYNC"},
		"direct/apart":      {"pwrite64 direct/a/f", "pwrite64 direct/a/f", "fdatasync direct/a/f"},
		"direct/two files":  {"pwrite64 direct/a/f", "pwrite64 direct/a/g", "fdatasync direct/a/f", "fdatasync direct/a/g"},
		"direct/one synced": {"pwrite64 direct/a/f", "pwrite64 direct/a/g", "fdatasync direct/a/g"},
		"direct/only sync":  {"fdatasync direct/a/f"},
		"direct/both":       {"pwrite64 direct/a/f", "fdatasync direct/a/f"},
		"direct/file":       {"fdatasync direct/a/f", "fadvise64 direct/a/f POSIX_FADV_DONTNEED"},
		"direct/grow":       {"fstat direct/a/f", "fallocate direct/a/f"},
		"direct/shrink":     {"fstat direct/a/f", "ftruncate direct/a/f"},
		"direct/dir":        {"fsync direct/a"},
		"direct/read-only":  {"fdatasync direct/a/f", "fadvise64 direct/a/f POSIX_FADV_DONTNEED"},

		"buffered/sync":       {"pwrite64 buffered/a/f", "fdatasync buffered/a/f"},
		"buffered/no sync":    {"pwrite64 buffered/a/f"},
		"buffered/adjacent":   {"pwritev2 buffered/a/f", "fdatasync buffered/a/f"},
		"buffered/apart":      {"pwrite64 buffered/a/f", "pwrite64 buffered/a/f", "fdatasync buffered/a/f"},
		"buffered/one synced": {"pwrite64 buffered/a/f", "pwrite64 buffered/a/g", "fdatasync buffered/a/g"},
		"buffered/only sync":  {"fdatasync buffered/a/f"},
		"buffered/file":       {"fdatasync buffered/a/f", "fadvise64 buffered/a/f POSIX_FADV_DONTNEED"},
	} {
		if mark == "mkdir" || mark == "again" {
			mark = "direct/" + mark
		}
		assert.Equal(t, want, calls[mark], mark)
	}
}

func makeTracedCalls(t *testing.T, b *Backend, path, section string) {
	step := func(name string, do func() error) {
		mark(section + "/" + name)
		err := do()
		mark("end")
		require.NoError(t, err, name)
	}
	var d backend.Dir
	open := func() (err error) {
		d, err = b.OpenDir(filepath.Join(path, "a"), backend.DirOptions{Create: true})
		return err
	}
	step("mkdir", open)
	require.NoError(t, d.Close())
	step("again", open)
	var f backend.File
	step("create", func() (err error) { f, err = d.Create("f", 1<<20); return err })
	g := create(t, d, "g", 1<<20)
	q := openQueue(t, d)
	buf := buffer(t, q, 1<<16)
	w := func(f backend.File, block int, sync bool) backend.Write {
		return backend.Write{File: f, Offset: int64(block * 4096), Data: buf.Bytes[:4096], Buffer: buf, Sync: sync}
	}
	for name, writes := range map[string][]backend.Write{
		"sync":       {w(f, 0, true)},
		"no sync":    {w(f, 1, false)},
		"adjacent":   {w(f, 3, false), w(f, 4, true)},
		"apart":      {w(f, 3, true), w(f, 7, true)},
		"two files":  {w(f, 3, true), w(g, 4, true)},
		"one synced": {w(f, 3, false), w(g, 4, true)},
		"only sync":  {{File: f, Sync: true}},
		"both":       {w(f, 3, false), {File: f, Sync: true}},
	} {
		batch := &backend.Batch{Writes: writes}
		step(name, func() error {
			if err := q.Submit(batch); err != nil {
				return err
			}
			_, err := q.Wait()
			return err
		})
		require.NoError(t, batch.Failed())
	}
	step("file", f.Sync)
	step("grow", func() error { return f.Resize(2 << 20) })
	step("shrink", func() error { return f.Resize(1 << 20) })
	step("dir", d.Sync)
	require.NoError(t, f.Close())
	reader := openDir(t, b, filepath.Join(path, "a"), backend.DirOptions{ReadOnly: true})
	step("read-only", openFile(t, reader, "f").Sync)
}

// "Interrupted" and "try again" are not errors.
func TestRetries(t *testing.T) {
	if isChild(t) {
		runtime.LockOSThread()
		writeTraced(t, func(err error) { assert.NoError(t, err) })
		return
	}
	for _, errno := range []string{"EINTR", "EAGAIN"} {
		calls := "pwritev2,pwrite64"
		if errno == "EINTR" {
			calls += ",fdatasync,fallocate,openat"
		}
		path := t.TempDir()
		_, raw := trace(t, path, "-e", "inject="+calls+":error="+errno+":when=2+2", "-P", path, "-P", path+"/f")
		assert.Contains(t, raw, "INJECTED")
	}
}

// A kernel that never stops saying so must not hang the log, in whichever call.
func TestRetriesEnd(t *testing.T) {
	const errnoEnv = "CHRONIK_POSIX_TEST_ERRNO"
	errnos := map[string]syscall.Errno{"EAGAIN": syscall.EAGAIN, "EINTR": syscall.EINTR}
	if isChild(t) {
		runtime.LockOSThread()
		writeTraced(t, func(err error) { assert.ErrorIs(t, err, errnos[os.Getenv(errnoEnv)]) })
		return
	}
	for errno, calls := range map[string][]string{"EAGAIN": {"pwritev2,pwrite64"}, "EINTR": {"pwritev2,pwrite64", "pwritev2,fdatasync"}} {
		for _, injected := range calls {
			t.Setenv(errnoEnv, errno)
			path := t.TempDir()
			_, raw := trace(t, path, "-e", "inject="+injected+":error="+errno, "-P", path+"/f")
			assert.Contains(t, raw, "INJECTED", "%s of %s", errno, injected)
		}
	}
}

// After a failed sync the device is not asked again.
func TestNoSyncAfterFailure(t *testing.T) {
	if isChild(t) {
		runtime.LockOSThread()
		writeTraced(t, func(err error) { assert.ErrorIs(t, err, syscall.EIO) })
		return
	}
	path := t.TempDir()
	calls, _ := trace(t, path, "-e", "inject=fdatasync:error=EIO", "-e", "inject=pwritev2:error=EIO",
		"-P", path+"/f", "-P", "/mark/direct", "-P", "/mark/buffered", "-P", "/mark/end")
	assert.Equal(t, []string{"pwritev2 f RWF_DSYNC"}, calls["direct"])
	assert.Equal(t, []string{"pwrite64 f", "fdatasync f", "pwrite64 f", "pwrite64 f"}, calls["buffered"])
}

// A short write is finished, from the right place of the right piece on, and what
// finishes it is as durable as it.
func TestShortWrites(t *testing.T) {
	if isChild(t) {
		runtime.LockOSThread()
		for i, name := range []string{"direct", "buffered"} { // in this order, for when=1+2
			mode := []DirectMode{DirectOn, DirectOff}[i]
			d := openDir(t, New(WithDirect(mode)), os.Getenv(traceEnv), backend.DirOptions{})
			f, q := create(t, d, "f", 1<<16), openQueue(t, d)
			buf := buffer(t, q, 24576)
			mark(name)
			require.NoError(t, carryOut(t, q,
				backend.Write{File: f, Data: buf.Bytes[:8192], Buffer: buf, Sync: true},
				backend.Write{File: f, Offset: 8192, Data: buf.Bytes[8192:24576], Buffer: buf, Sync: true}).Failed())
			mark("end")
			assert.Equal(t, buf.Bytes[12288:24576], content(t, f)[12288:24576])
			require.NoError(t, f.Close())
			require.NoError(t, d.Remove("f"))
		}
		return
	}
	// The kernel says that it wrote 12288 bytes (and did not): the second piece is half done.
	path := t.TempDir()
	calls, _ := trace(t, path, "-e", "inject=pwritev2:retval=12288:when=1+2",
		"-P", path+"/f", "-P", "/mark/direct", "-P", "/mark/buffered", "-P", "/mark/end")
	assert.Equal(t, []string{"pwritev2 f RWF_DSYNC", "pwritev2 f RWF_DSYNC"}, calls["direct"])
	assert.Equal(t, []string{"pwritev2 f", "pwrite64 f", "fdatasync f"}, calls["buffered"])
}

// A write that the direct descriptor refuses goes through the cache, and is synced.
func TestDirectRefused(t *testing.T) {
	if isChild(t) {
		runtime.LockOSThread()
		writeTraced(t, func(err error) { assert.NoError(t, err) })
		return
	}
	path := t.TempDir()
	calls, _ := trace(t, path, "-e", "inject=pwritev2:error=EINVAL",
		"-P", path+"/f", "-P", "/mark/direct", "-P", "/mark/buffered", "-P", "/mark/end")
	one := []string{"pwritev2 f RWF_DSYNC", "pwrite64 f", "fdatasync f"}
	assert.Equal(t, slices.Concat(one, one, one), calls["direct"])
}

// writeTraced writes three batches, the last two after what became of the first.
func writeTraced(t *testing.T, check func(error)) {
	path := os.Getenv(traceEnv)
	for name, mode := range map[string]DirectMode{"direct": DirectOn, "buffered": DirectOff} {
		d := openDir(t, New(WithDirect(mode)), path, backend.DirOptions{})
		f, q := create(t, d, "f", 1<<16), openQueue(t, d)
		buf := buffer(t, q, 4096)
		mark(name)
		for i := range 3 {
			b := carryOut(t, q, backend.Write{File: f, Offset: int64(i) * 4096, Data: buf.Bytes[:4096], Buffer: buf, Sync: true})
			check(b.Failed())
		}
		mark("end")
		require.NoError(t, f.Close())
		require.NoError(t, d.Remove("f"))
	}
}
