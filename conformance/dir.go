package conformance

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/stretchr/testify/require"

	"github.com/chronik-go/wal/core/backend"
)

const groupDir = "Dir"

func dirChecks() []check {
	return []check{
		{group: groupDir, name: "ConcurrentUse", run: checkDirConcurrent,
			says: "[D1] Its methods may be called concurrently."},
		{group: groupDir, name: "LockExcludes", run: checkLockExcludes,
			says: "[D2] It does not wait: it fails with an error wrapping ErrLocked if another open Dir, of this or another process, holds the lock."},
		{group: groupDir, name: "LockAgain", run: checkLockAgain,
			says: "[D3] A Dir that holds the lock may take it again; that changes nothing."},
		{group: groupDir, name: "LockEnds", run: checkLockEnds,
			says: "[D4] The lock ends with Close or with the process, however it ends."},
		{group: groupDir, name: "LockHindersNobody", run: checkLockHinders,
			says: "[D5] The lock shows in no List, and hinders nothing but other Locks."},
		{group: groupDir, name: "ListIsComplete", run: checkList, fuse: true,
			says: `[D6] It returns every entry once, directories, links and what else there is included, but not "." and "..".`},
		{group: groupDir, name: "CreateIsExclusive", run: checkCreateExclusive,
			says: "[D7] An existing name, a link to nowhere too, is an error wrapping fs.ErrExist, and what it leads to is left as it was."},
		{group: groupDir, name: "CreateReadsAsZeros", run: checkCreateZeros,
			says: "[D8] The file is empty up to its size: it reads as zeros."},
		{group: groupDir, name: "CreateIsPrivate", run: checkCreateMode, apart: checkCreateUmask,
			says: "[D9] Its mode is 0600 under any umask."},
		{group: groupDir, name: "CreateReserves", run: checkCreateReserves, apart: checkCreateReserves, fuse: true,
			says: "[D10] Its space is reserved: a later write inside its size does not fail for lack of space."},
		{group: groupDir, name: "CreateWithoutSpace", run: checkCreateNoSpace, apart: checkCreateNoSpace,
			says: "[D11] If space cannot be reserved the file is gone again, and the error wraps syscall.ENOSPC, EDQUOT or EFBIG."},
		{group: groupDir, name: "OpenGivesTheFile", run: checkOpen,
			says: "[D12] It gives what the name leads to now; a missing name is an error wrapping fs.ErrNotExist."},
		{group: groupDir, name: "OpenRefusesOtherKinds", run: checkOpenKinds,
			says: "[D13] It follows no link and waits for nobody: what is not a regular file is an error wrapping ErrNotRegular."},
		{group: groupDir, name: "RenameReplaces", run: checkRename,
			says: "[D14] It replaces the file of the new name if there is one, and takes the old name away; a missing old name is an error wrapping fs.ErrNotExist."},
		{group: groupDir, name: "RenameIsAtomic", run: checkRenameAtomic,
			says: "[D15] It is atomic: at every moment the new name leads to the one file or to the other."},
		{group: groupDir, name: "RenameKeepsFilesOpen", run: checkRenameOpen,
			says: "[D16] Files that are open under the old name, or were under the new one, stay usable."},
		{group: groupDir, name: "RemoveFreesTheName", run: checkRemove,
			says: "[D17] The name is free again; a missing one is an error wrapping fs.ErrNotExist."},
		{group: groupDir, name: "RemoveKeepsFilesOpen", run: checkRemoveOpen,
			says: "[D18] Files that are open under the name stay usable."},
		{group: groupDir, name: "ReadOnlySync", run: checkDirSyncReadOnly, fuse: true,
			says: "[D20] It works on a read-only Dir."},
		{group: groupDir, name: "QueuesAreIndependent", run: checkQueuesApart,
			says: "[D21] A Dir can have several, which know nothing of each other."},
		durable(groupDir, "SyncFailsForGood",
			"[D22] After it failed it fails until the Dir is closed: another call could succeed without what the first one lost."),
		durable(groupDir, "SyncKeepsNames",
			"[D19] Every Create, Rename and Remove that returned before it began is durable when it returns nil; of others each survives a crash as a whole or not at all."),
	}
}

// checkDirConcurrent lets goroutines work on names of their own.
func checkDirConcurrent(t *T) {
	d := t.newDir()
	var work []func(int) error
	for i := range 4 {
		work = append(work, func(int) error { return useDir(d, i) })
	}
	t.together("concurrent work on a Dir", 30, work...)
	require.Empty(t, t.list(d))
}

// useDir calls every method on names that are the worker's own.
func useDir(d backend.Dir, worker int) error {
	a, b := fmt.Sprint("a", worker), fmt.Sprint("b", worker)
	f, err := d.Create(a, int64(worker+1)*block)
	if err != nil {
		return err
	}
	names, err := d.List()
	if err != nil {
		return err
	}
	if !slices.Contains(names, a) {
		return fmt.Errorf("List without the %s that was made before: %q", a, names)
	}
	if err := d.Rename(a, b); err != nil {
		return err
	}
	g, err := d.Open(b)
	if err != nil {
		return err
	}
	size, err := g.Size()
	if err == nil && size != int64(worker+1)*block {
		err = fmt.Errorf("%s has %d bytes: it is another file", b, size)
	}
	if _, missing := d.Open(a); !errors.Is(missing, fs.ErrNotExist) {
		err = errors.Join(err, fmt.Errorf("Open of the old name says: %v", missing)) //nolint:errorlint // it is no cause
	}
	return errors.Join(err, d.Sync(), f.Close(), g.Close(), d.Remove(b))
}

func checkList(t *T) {
	path := t.TempDir()
	d := t.openDir(path, backend.DirOptions{})
	require.Empty(t, t.list(d))
	want := []string{"sub", ".hidden", "with blanks", "link"}
	t.mkdir(t.join(path, "sub"))
	t.mkdir(t.join(path, "sub", "below"))
	t.writeFile(t.join(path, ".hidden"), "")
	t.writeFile(t.join(path, "with blanks"), "x")
	t.symlink("nowhere", t.join(path, "link"))
	if t.fifo(t.join(path, "fifo")) {
		want = append(want, "fifo")
	}
	many := 5000 // more than one system call returns
	if !t.onSystem() {
		many = 1200 // there are no such calls
	}
	for i := range many {
		name := fmt.Sprintf("a-rather-long-name-of-an-entry-number-%04d", i)
		t.nameFile(t.join(path, name), t.join(path, ".hidden"))
		want = append(want, name)
	}
	slices.Sort(want)
	for range 2 {
		require.Equal(t, want, t.list(d))
	}
	require.Equal(t, want, t.list(t.readOnly(path)))
}

func checkOpen(t *T) {
	path := t.TempDir()
	d := t.openDir(path, backend.DirOptions{})
	_, err := d.Open("f")
	require.ErrorIs(t, err, fs.ErrNotExist)
	content := filled(2*block, 1)
	t.writeFile(t.join(path, "f"), string(content)) // not by the backend
	f := t.open(d, "f")
	t.same(content, t.content(f), "a file that somebody else wrote")
	q := t.queue(d, 1)
	fill(content[:block], 2)
	t.put(q, f, content[:block])
	t.same(content, t.content(t.open(d, "f")), "a file that was opened and written")
	t.same(content, t.content(t.open(t.readOnly(path), "f")), "a file of a read-only Dir")
	require.NoError(t, d.Remove("f"))
	t.create(d, "f", block)
	t.zeros(t.content(t.open(d, "f")), "a file made under the name of one that was removed")
}

func checkOpenKinds(t *T) {
	path := t.TempDir()
	t.writeFile(t.join(path, "real"), "kept")
	t.symlink("real", t.join(path, "link"))
	t.symlink("nowhere", t.join(path, "dangling"))
	t.mkdir(t.join(path, "directory"))
	kinds := []string{"link", "dangling", "directory"}
	if t.fifo(t.join(path, "fifo")) {
		kinds = append(kinds, "fifo")
	}
	if t.onSystem() && listen(t, path, "socket") {
		kinds = append(kinds, "socket")
	}
	for _, o := range []backend.DirOptions{{}, {ReadOnly: true}} {
		d := t.openDir(path, o)
		for _, name := range kinds {
			var err error
			t.soon("Open of a "+name, func() { _, err = d.Open(name) })
			require.ErrorIs(t, err, backend.ErrNotRegular, "%s, %+v", name, o)
		}
		t.open(d, "real")
	}
}
