package conformance

import (
	"fmt"
	"io/fs"
	"math"
	"os"
	"syscall"

	"github.com/stretchr/testify/require"

	"github.com/chronik-go/wal/core/backend"
)

const groupErrors = "Errors"

func errorChecks() []check {
	return []check{
		{group: groupErrors, name: "Names", run: checkNames,
			says: `[E1] A name is one path element: an error wrapping [ErrName] refuses one that is empty, "." or "..", or holds a slash, a backslash or NUL.`},
		{group: groupErrors, name: "CausesAreKept", run: checkCauses, apart: checkPermission,
			says: "[E2] Errors keep their cause: errors.Is(err, fs.ErrNotExist), fs.ErrExist, fs.ErrPermission, syscall.ENOSPC and the like hold where they apply."},
		{group: groupErrors, name: "FailuresLeaveNothing", run: checkFailuresLeaveNothing,
			says: "[E3] A method that fails changes nothing, and leaves no goroutine, descriptor or mapping behind."},
		{group: groupErrors, name: "CloseLeavesNothing", run: checkCloseLeavesNothing,
			says: "[E4] Close leaves none behind either, whatever was done before."},
		{group: groupErrors, name: "ClosedIsClosed", run: checkClosed,
			says: "[E5] After Close every method that returns an error returns one wrapping [ErrClosed], a second Close too."},
		{group: groupErrors, name: "CloseDuringCalls", run: checkCloseDuringCalls,
			says: "[E6] Close may be called while other methods of the same Dir or File run: each of them does its work on that Dir or File, or fails wrapping [ErrClosed]."},
		{group: groupErrors, name: "NegativeNumbers", run: checkNegative,
			says: "[E7] A negative size or offset is an error."},
		{group: groupErrors, name: "CallsDoNotWaitForClose", run: checkCallsBesideClose,
			says: "[E8] Close may wait for calls that run and batches in flight. Calls that come meanwhile do not wait for it."},
	}
}

func checkNames(t *T) {
	path := t.TempDir()
	t.mkdir(t.join(path, "sub"))
	d := t.openDir(path, backend.DirOptions{})
	require.NoError(t, t.create(d, "good", block).Close())
	readOnly := t.readOnly(path)
	for _, bad := range []string{"", ".", "..", "a/b", "/a", "a/", "sub/x", `a\b`, `\`, "a\x00b", "\x00", "../good", "./good"} {
		what := fmt.Sprintf("name %q", bad)
		_, err := d.Create(bad, 0)
		require.ErrorIs(t, err, backend.ErrName, what)
		_, err = d.Open(bad)
		require.ErrorIs(t, err, backend.ErrName, what)
		_, err = readOnly.Open(bad)
		require.ErrorIs(t, err, backend.ErrName, what)
		require.ErrorIs(t, d.Remove(bad), backend.ErrName, what)
		require.ErrorIs(t, d.Rename(bad, "x"), backend.ErrName, what)
		require.ErrorIs(t, d.Rename("good", bad), backend.ErrName, what)
	}
	require.Equal(t, []string{"good", "sub"}, t.list(d))
	for _, good := range []string{"a", ".a", "a.b", "...", "a b", "-a", "a-1.seg", "é"} {
		require.NoError(t, t.create(d, good, 0).Close(), "name %q", good)
		require.NoError(t, d.Remove(good))
	}
}

// failing is a call that fails, and the cause that it is to have; nil: any.
type failing struct {
	what  string
	cause error
	call  func() error
}

// failures are calls on a directory with file f, of one block, and directory sub, that fail.
func (t *T) failures(path string, d backend.Dir, f backend.File, q backend.Queue) []failing {
	t.Helper()
	opened := func(err error, c interface{ Close() error }) error {
		if err == nil {
			_ = c.Close() // the check fails anyway
		}
		return err
	}
	create := func(name string, size int64) func() error {
		return func() error { g, err := d.Create(name, size); return opened(err, g) }
	}
	openDir := func(o backend.DirOptions, elements ...string) func() error {
		return func() error {
			d, err := t.Backend.OpenDir(t.join(append([]string{path}, elements...)...), o)
			return opened(err, d)
		}
	}
	open := func(name string) func() error {
		return func() error { g, err := d.Open(name); return opened(err, g) }
	}
	return []failing{
		{"OpenDir of a missing directory", fs.ErrNotExist, openDir(backend.DirOptions{}, "missing")},
		{"OpenDir of a file", nil, openDir(backend.DirOptions{}, "f")},
		{"OpenDir below a file", nil, openDir(backend.DirOptions{Create: true}, "f", "a")},
		{"Create of a name that exists", fs.ErrExist, create("f", block)},
		{"Create of the name of a directory", fs.ErrExist, create("sub", block)},
		{"Create of 2^60 bytes", nil, create("new", 1<<60)},
		{"Create of a name that is too long", nil, create(string(filledName(300)), block)},
		{"Open of a missing name", fs.ErrNotExist, open("missing")},
		{"Open of a directory", backend.ErrNotRegular, open("sub")},
		{"Remove of a missing name", fs.ErrNotExist, func() error { return d.Remove("missing") }},
		{"Rename of a missing name", fs.ErrNotExist, func() error { return d.Rename("missing", "f") }},
		{"Resize to 2^60 bytes", nil, func() error { return f.Resize(1 << 60) }},
		{"a buffer of all the memory that there is", nil, func() error { _, err := q.Buffer(math.MaxInt); return err }},
		{"a batch outside its file", nil, func() error {
			b, err := q.Buffer(block)
			if err != nil {
				return nil
			}
			defer q.Release(b)
			return q.Submit(&backend.Batch{Writes: []backend.Write{{File: f, Offset: block, Data: b.Bytes[:block], Buffer: b}}})
		}},
	}
}

func filledName(n int) []byte {
	p := make([]byte, n)
	for i := range p {
		p[i] = 'n'
	}
	return p
}

func checkCauses(t *T) {
	path := t.TempDir()
	t.mkdir(t.join(path, "sub"))
	d := t.openDir(path, backend.DirOptions{})
	f, q := t.create(d, "f", block), t.queue(d, 1)
	for _, c := range t.failures(path, d, f, q) {
		if err := c.call(); c.cause != nil {
			require.ErrorIs(t, err, c.cause, c.what)
		}
	}
	_, err := d.Create("f", 0)
	require.NotErrorIs(t, err, fs.ErrNotExist)
	_, err = d.Open("missing")
	require.NotErrorIs(t, err, fs.ErrExist)
	require.NotErrorIs(t, err, backend.ErrNotRegular)
}

// checkPermission is a user's who may not do everything.
func checkPermission(t *T) {
	if !hasModes {
		return
	}
	path := t.TempDir()
	require.NoError(t, os.Chdir(path)) // what is above may be closed to the other user
	if err := becomeNobody(path); err != nil {
		t.missing(layerPrivilege, err)
	}
	t.mkdir("closed")
	d := t.openDir("closed", backend.DirOptions{})
	require.NoError(t, t.create(d, "f", block).Close())
	require.NoError(t, os.Chmod("closed/f", 0))
	_, err := d.Open("f")
	require.ErrorIs(t, err, fs.ErrPermission, "Open of a file without permissions")
	require.NoError(t, os.Chmod("closed", 0o500))
	_, err = d.Create("g", block)
	require.ErrorIs(t, err, fs.ErrPermission, "Create in a directory without permission to write")
	require.ErrorIs(t, err, syscall.EACCES)
	require.ErrorIs(t, d.Rename("f", "g"), fs.ErrPermission)
	require.ErrorIs(t, d.Remove("f"), fs.ErrPermission)
	_, err = t.Backend.OpenDir("closed/below", backend.DirOptions{Create: true})
	require.ErrorIs(t, err, fs.ErrPermission)
	require.NoError(t, os.Chmod("closed", 0o700))
}

func checkNegative(t *T) {
	d := t.newDir()
	f, q := t.create(d, "f", 2*block), t.queue(d, 1)
	content := filled(2*block, 1)
	t.put(q, f, content)
	buf := t.buffer(q, block, 2)
	for _, n := range []int64{-1, -block, math.MinInt64} {
		_, err := d.Create("negative", n)
		require.Error(t, err, "Create, size %d", n)
		require.Error(t, f.Resize(n), "Resize to %d", n)
		got, err := f.ReadAt(make([]byte, 10), n)
		require.Error(t, err, "ReadAt %d", n)
		require.Zero(t, got, "ReadAt %d", n)
		require.Error(t, q.Submit(&backend.Batch{Writes: []backend.Write{{File: f, Offset: n, Data: buf.Bytes[:block], Buffer: buf}}}), "a write at %d", n)
	}
	require.Equal(t, []string{"f"}, t.list(d))
	t.same(content, t.content(f), "a file after calls that failed")
}
