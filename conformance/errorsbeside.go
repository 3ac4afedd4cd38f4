package conformance

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"runtime"
	"sync"

	"github.com/stretchr/testify/require"

	"github.com/chronik-go/wal/core/backend"
)

// checkCloseDuringCalls closes a file and a directory in the middle of calls, and opens others at
// once: a descriptor that is used after its end is one of theirs.
func checkCloseDuringCalls(t *T) {
	path, other := t.TempDir(), t.TempDir()
	t.writeFile(t.join(other, "two"), "another directory's")
	t.writeFile(t.join(other, "missing"), "in the first one")
	d := t.openDir(path, backend.DirOptions{})
	q := t.queue(d, 1)
	const size = 16 * block
	t.put(q, t.create(d, "one", size), filled(size, 1))
	t.put(q, t.create(d, "two", size), filled(size, 2))
	want := filled(size, 1)
	for range 60 {
		f := t.open(d, "one")
		own, err := t.Backend.OpenDir(path, backend.DirOptions{})
		require.NoError(t, err)
		read := func(p []byte) error {
			_, err := f.ReadAt(p, 0)
			if err == nil && !bytes.Equal(p, want) {
				err = errors.New("the content of another file")
			}
			return err
		}
		list := func([]byte) error {
			names, err := own.List()
			if err == nil && len(names) != 2 {
				err = fmt.Errorf("the names of another directory: %q", names)
			}
			return err
		}
		calls := append(t.changes(own), read, read, list, func([]byte) error { return f.Sync() })
		errs := make([]error, len(calls))
		var wg sync.WaitGroup
		begun := make(chan struct{}, len(errs))
		for i, call := range calls {
			wg.Go(func() {
				p := make([]byte, size)
				for first := true; errs[i] == nil; first = false {
					errs[i] = call(p)
					if first {
						begun <- struct{}{}
					}
					runtime.Gosched()
				}
			})
		}
		for range errs {
			<-begun
		}
		require.NoError(t, f.Close())
		require.NoError(t, own.Close())
		decoy := t.openDir(other, backend.DirOptions{})
		two := t.open(d, "two")
		t.soon("a method of a File or Dir that is closed", wg.Wait)
		require.NoError(t, two.Close())
		for _, err := range errs {
			require.ErrorIs(t, err, backend.ErrClosed)
		}
		require.Equal(t, []string{"missing", "two"}, t.list(decoy), "another directory")
		require.NoError(t, decoy.Close())
	}
}

// changes are calls that look at, or change, the names of a directory with file "one". None of them
// leaves a File, which the caller would have to close before the Dir.
func (t *T) changes(d backend.Dir) []func([]byte) error {
	fails := func(with, err error) error {
		switch {
		case err == nil:
			return errors.New("it is to fail")
		case errors.Is(err, with):
			return nil
		}
		return fmt.Errorf("it is to fail with %w: %w", with, err)
	}
	closing := func(f backend.File, err error) error {
		if err == nil {
			return f.Close()
		}
		return err
	}
	return []func([]byte) error{
		func([]byte) error { return d.Sync() },
		func([]byte) error { return fails(fs.ErrNotExist, closing(d.Open("missing"))) },
		func([]byte) error { return fails(fs.ErrExist, closing(d.Create("one", 0))) },
		func([]byte) error { return d.Rename("one", "one") },
		func([]byte) error { return fails(fs.ErrNotExist, d.Rename("missing", "two")) },
		func([]byte) error { return fails(fs.ErrNotExist, d.Remove("missing")) },
	}
}
