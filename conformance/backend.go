package conformance

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"regexp"

	"github.com/stretchr/testify/require"

	"github.com/chronik-go/wal/core/backend"
)

const groupBackend = "Backend"

func backendChecks() []check {
	return []check{
		{group: groupBackend, name: "NameIsAWord", run: checkName,
			says: "[B1] It is lower-case letters, digits and hyphens, and always the same."},
		{group: groupBackend, name: "ProbeTellsWhatIsMissing", run: checkProbe,
			says: "[B2] Where it cannot, the error wraps errors.ErrUnsupported and names the likely cause."},
		{group: groupBackend, name: "OpenDirNeedsTheDirectory", run: checkOpenMissing,
			says: "[B3] Without Create a missing directory is an error wrapping fs.ErrNotExist."},
		{group: groupBackend, name: "OpenDirMakesAllLevels", run: checkOpenCreate, apart: checkDirModes,
			says: "[B4] With Create it makes a missing directory and those missing above it, of mode 0700 under any umask."},
		{group: groupBackend, name: "OpenDirFollowsLinks", run: checkOpenLink,
			says: "[B6] The path may lead through symbolic links, its last element included."},
		{group: groupBackend, name: "OpenDirRefusesFiles", run: checkOpenFile,
			says: "[B7] A path that leads to something else than a directory is an error."},
		{group: groupBackend, name: "DirSurvivesItsPath", run: checkMovedDir,
			says: "[B8] The Dir stays the directory that was opened, also when its path leads elsewhere by now."},
		{group: groupBackend, name: "ReadOnlyMakesNothing", run: checkReadOnlyCreate,
			says: "[B9] It makes nothing: Create is ignored."},
		{group: groupBackend, name: "ReadOnlyRefusesChanges", run: checkReadOnly, apart: checkReadOnlyOthers,
			says: "[B10] Create, Rename, Remove, Queue and File.Resize fail with an error wrapping fs.ErrPermission; everything else works, and needs no permission to write."},
		{group: groupBackend, name: "ConcurrentUse", run: checkBackendConcurrent,
			says: "[B11] All methods may be called concurrently."},
		durable(groupBackend, "OpenDirIsDurable",
			"[B5] With Create the names of the directory and of all above it, up to the root of their file system, are durable when OpenDir returns, whoever made them."),
	}
}

func checkName(t *T) {
	name := t.Backend.Name()
	require.Regexp(t, regexp.MustCompile(`^[a-z0-9-]+$`), name)
	require.Equal(t, name, t.Backend.Name())
	other, err := t.suite.factory()
	require.NoError(t, err)
	require.Equal(t, name, other.Name())
}

func checkProbe(t *T) {
	if err := t.Backend.Probe(); err != nil {
		require.ErrorIs(t, err, errors.ErrUnsupported)
		require.NotEqual(t, errors.ErrUnsupported.Error(), err.Error(), "an error that names no cause")
	}
}

func checkOpenMissing(t *T) {
	parent := t.TempDir()
	_, err := t.Backend.OpenDir(t.join(parent, "missing"), backend.DirOptions{})
	require.ErrorIs(t, err, fs.ErrNotExist)
	require.Empty(t, t.list(t.readOnly(parent)), "a failed OpenDir leaves something")
}

func checkOpenCreate(t *T) {
	parent := t.TempDir()
	path := t.join(parent, "a", "b", "c")
	for range 2 { // it is made, and then it is there
		d := t.openDir(path, backend.DirOptions{Create: true})
		require.Empty(t, t.list(d), "a new directory is empty")
	}
	if t.onSystem() && hasModes {
		t.demandMode(0o700, parent, "a", "a/b", "a/b/c")
	}
}

// demandMode checks the permissions of what is below a directory.
func (t *T) demandMode(want os.FileMode, dir string, names ...string) {
	t.Helper()
	for _, name := range names {
		require.Equal(t, want, t.mode(t.join(dir, name)), "mode of %s", name)
	}
}

// masks are umasks from none to one that takes everything from everybody.
var masks = []int{0, 0o022, 0o077, 0o277, 0o700, 0o777}

func checkDirModes(t *T) {
	if !hasModes {
		return
	}
	for _, mask := range masks {
		parent := t.TempDir()
		umask(mask)
		t.openDir(t.join(parent, "a", "b"), backend.DirOptions{Create: true})
		umask(0o022)
		t.demandMode(0o700, parent, "a", "a/b")
	}
}

func checkOpenLink(t *T) {
	parent := t.TempDir()
	t.mkdir(t.join(parent, "real"))
	t.mkdir(t.join(parent, "real", "below"))
	t.symlink("real", t.join(parent, "link"))
	for _, o := range []backend.DirOptions{{}, {Create: true}, {ReadOnly: true}} {
		require.Equal(t, []string{"below"}, t.list(t.openDir(t.join(parent, "link"), o)), "through a link, %+v", o)
		t.openDir(t.join(parent, "link", "below"), o)
	}
}

func checkOpenFile(t *T) {
	parent := t.TempDir()
	t.writeFile(t.join(parent, "file"), "kept")
	t.symlink("file", t.join(parent, "link"))
	t.fifo(t.join(parent, "fifo"))
	for _, name := range []string{"file", "link", "fifo"} {
		for _, o := range []backend.DirOptions{{}, {Create: true}, {ReadOnly: true}} {
			var err error
			t.soon("OpenDir", func() { _, err = t.Backend.OpenDir(t.join(parent, name), o) })
			require.Error(t, err, "%s, %+v", name, o)
		}
	}
	_, err := t.Backend.OpenDir(t.join(parent, "file", "below"), backend.DirOptions{Create: true})
	require.Error(t, err)
	got, err := t.readFile(t.join(parent, "file"))
	require.NoError(t, err)
	require.Equal(t, "kept", got)
}

func checkMovedDir(t *T) {
	t.needSystem()
	parent := t.TempDir()
	was, is := t.join(parent, "was"), t.join(parent, "is")
	d := t.openDir(was, backend.DirOptions{Create: true})
	if err := os.Rename(was, is); err != nil {
		t.Skipf("this system renames no directory that is open: %v", err)
	}
	t.mkdir(was) // a decoy
	q := t.queue(d, 1)
	content := filled(block, 1)
	t.put(q, t.create(d, "f", block), content)
	require.NoError(t, d.Lock())
	require.NoError(t, d.Rename("f", "g"))
	require.NoError(t, d.Sync())
	t.same(content, t.content(t.open(d, "g")), "a file made after the directory was renamed")
	require.Equal(t, []string{"g"}, t.list(d))
	got, err := t.readFile(t.join(is, "g"))
	require.NoError(t, err, "a file is made in the directory, not at its old path")
	t.same(content, []byte(got), "a file made after the directory was renamed")
	require.NoError(t, d.Remove("g"))
	require.Empty(t, t.list(t.readOnly(is)))
	require.Empty(t, t.list(t.readOnly(was)), "something is made where another directory is now")
	require.NoError(t, t.openDir(was, backend.DirOptions{}).Lock(), "another directory is locked")
}

// checkBackendConcurrent lets several make the same directories.
func checkBackendConcurrent(t *T) {
	parent := t.TempDir()
	open := func(round int) error {
		d, err := t.Backend.OpenDir(t.join(parent, fmt.Sprint(round), "a", "b"), backend.DirOptions{Create: true})
		if err != nil {
			return err
		}
		return errors.Join(t.Backend.Probe(), d.Close())
	}
	t.together("OpenDir of the same new directory", 50, open, open, open, open)
}

func checkReadOnlyCreate(t *T) {
	parent := t.TempDir()
	_, err := t.Backend.OpenDir(t.join(parent, "a"), backend.DirOptions{Create: true, ReadOnly: true})
	require.ErrorIs(t, err, fs.ErrNotExist)
	require.Empty(t, t.list(t.readOnly(parent)), "a read-only OpenDir makes something")
	require.Empty(t, t.list(t.openDir(parent, backend.DirOptions{Create: true, ReadOnly: true})))
}

func checkReadOnly(t *T) { t.demandReadOnly(t.TempDir()) }

// checkReadOnlyOthers is checkReadOnly of a user whom permissions bind.
func checkReadOnlyOthers(t *T) {
	if !hasModes {
		return
	}
	path := t.TempDir()
	require.NoError(t, os.Chdir(path)) // what is above may be closed to the other user
	if err := becomeNobody(path); err != nil {
		t.missing(layerPrivilege, err)
	}
	t.mkdir("kept")
	t.demandReadOnly("kept")
}

// demandReadOnly is for an empty directory.
func (t *T) demandReadOnly(path string) {
	t.Helper()
	content := filled(block, 1)
	t.writeFile(t.join(path, "f"), string(content))
	if t.onSystem() && hasModes { // as if somebody else's
		require.NoError(t, os.Chmod(t.join(path, "f"), 0o400))
		require.NoError(t, os.Chmod(path, 0o500))
		t.Cleanup(func() { require.NoError(t, os.Chmod(path, 0o700)) })
	}
	d := t.readOnly(path)
	f := t.open(d, "f")
	_, createErr := d.Create("new", 0)
	_, queueErr := d.Queue(backend.QueueOptions{Depth: 1})
	for what, err := range map[string]error{
		"Create": createErr, "Queue": queueErr, "Rename": d.Rename("f", "g"), "Remove": d.Remove("f"),
		"File.Resize to less": f.Resize(0), "File.Resize to more": f.Resize(2 * block), "File.Resize to the same": f.Resize(block),
	} {
		require.ErrorIs(t, err, fs.ErrPermission, what)
	}
	require.Equal(t, []string{"f"}, t.list(d))
	t.same(content, t.content(f), "a file of a read-only Dir")
	require.NoError(t, f.Sync())
	require.NoError(t, d.Sync())
	if finder, ok := f.(backend.DataFinder); ok {
		_, err := finder.NextData(0)
		require.NoError(t, err)
	}
	if viewer, ok := f.(backend.Viewer); ok {
		require.NoError(t, viewer.View(0, block, func(data []byte) { t.same(content, data, "a view of it") }))
	}
}
