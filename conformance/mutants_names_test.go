package conformance

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/chronik-go/wal/core/backend"
)

func nameMutants() []mutant {
	return []mutant{
		{breaks: "List leaves out an entry", check: "Dir/ListIsComplete", hooks: hooks{
			list: func(d *brokenDir) ([]string, error) {
				names, err := d.Dir.List()
				if len(names) > 500 {
					names = names[:len(names)-1]
				}
				return names, err
			}}},
		{breaks: "List ends after 1,024 names", check: "Dir/ListIsComplete", hooks: hooks{
			list: func(d *brokenDir) ([]string, error) {
				names, err := d.Dir.List()
				return names[:min(len(names), 1024)], err
			}}},
		{breaks: "Create takes a file that is there", check: "Dir/CreateIsExclusive", hooks: hooks{
			create: func(d *brokenDir, name string, size int64) (backend.File, error) {
				f, err := d.Dir.Create(name, size)
				if errors.Is(err, fs.ErrExist) {
					return d.Dir.Open(name)
				}
				return f, err
			}}},
		{breaks: "a new file is longer than asked for", check: "Dir/CreateReadsAsZeros", hooks: hooks{
			create: func(d *brokenDir, name string, size int64) (backend.File, error) { return d.Dir.Create(name, size+1) }}},
		{breaks: "files may be read by everybody", check: "Dir/CreateIsPrivate", system: true, hooks: hooks{
			create: func(d *brokenDir, name string, size int64) (backend.File, error) {
				f, err := d.Dir.Create(name, size)
				if err != nil {
					return nil, err
				}
				return f, os.Chmod(filepath.Join(d.path, name), 0o644)
			}}},
		{breaks: "a file without space stays", check: "Dir/CreateWithoutSpace", hooks: hooks{
			create: func(d *brokenDir, name string, size int64) (backend.File, error) {
				f, err := d.Dir.Create(name, size)
				if err == nil {
					return f, nil
				}
				if left, leftErr := d.Dir.Create(name, 0); leftErr == nil {
					_ = left.Close() // it is there
				}
				return nil, err
			}}},
		{breaks: "lack of space has another error", check: "Dir/CreateWithoutSpace", hooks: hooks{
			create: func(d *brokenDir, name string, size int64) (backend.File, error) {
				f, err := d.Dir.Create(name, size)
				if err != nil && size > 1<<20 {
					err = io.ErrShortWrite
				}
				return f, err
			}}},
		{breaks: "Open follows links", check: "Dir/OpenRefusesOtherKinds", system: true, hooks: hooks{
			open: func(d *brokenDir, name string) (backend.File, error) {
				if to, err := os.Readlink(filepath.Join(d.path, name)); err == nil {
					name = to
				}
				return d.Dir.Open(name)
			}}},
		{breaks: "Open makes what is missing", check: "Dir/OpenGivesTheFile", hooks: hooks{
			open: func(d *brokenDir, name string) (backend.File, error) {
				f, err := d.Dir.Open(name)
				if errors.Is(err, fs.ErrNotExist) {
					return d.Dir.Create(name, 0)
				}
				return f, err
			}}},
		{breaks: "Rename does not replace", check: "Dir/RenameReplaces", hooks: hooks{
			rename: func(d *brokenDir, oldname, newname string) error {
				if f, err := d.Dir.Open(newname); err == nil {
					return errors.Join(fs.ErrExist, f.Close())
				}
				return d.Dir.Rename(oldname, newname)
			}}},
		{breaks: "Rename takes the other file away first", check: "Dir/RenameIsAtomic", hooks: removeMutant()},
		{breaks: "Rename cuts the file that it replaces", check: "Dir/RenameKeepsFilesOpen", hooks: hooks{
			rename: func(d *brokenDir, oldname, newname string) error {
				return errors.Join(cut(d, newname), d.Dir.Rename(oldname, newname))
			}}},
		{breaks: "Remove of what is missing succeeds", check: "Dir/RemoveFreesTheName", hooks: hooks{
			remove: func(d *brokenDir, name string) error {
				if err := d.Dir.Remove(name); !errors.Is(err, fs.ErrNotExist) {
					return err
				}
				return nil
			}}},
		{breaks: "Remove cuts the file", check: "Dir/RemoveKeepsFilesOpen", hooks: hooks{
			remove: func(d *brokenDir, name string) error { return errors.Join(cut(d, name), d.Dir.Remove(name)) }}},
		{breaks: "a backslash is taken for something else", check: "Errors/Names", hooks: hooks{
			create: func(d *brokenDir, name string, size int64) (backend.File, error) {
				return d.Dir.Create(strings.ReplaceAll(name, `\`, "_"), size)
			}}},
		{breaks: "errors lose their cause", check: "Errors/CausesAreKept", hooks: hooks{
			remove: func(d *brokenDir, name string) error {
				if err := d.Dir.Remove(name); err != nil {
					return errors.New(err.Error())
				}
				return nil
			}}},
		{breaks: "a negative size is taken for none", check: "Errors/NegativeNumbers", hooks: hooks{
			create: func(d *brokenDir, name string, size int64) (backend.File, error) {
				return d.Dir.Create(name, max(size, 0))
			}}},
	}
}

// removeMutant has a Rename in two steps.
func removeMutant() hooks {
	var o overlap
	return hooks{
		rename: func(d *brokenDir, oldname, newname string) error {
			if err := d.Dir.Remove(newname); err != nil {
				return err
			}
			o.begin()
			defer o.end()
			return d.Dir.Rename(oldname, newname)
		},
		open: func(d *brokenDir, name string) (backend.File, error) {
			defer o.meets()
			return d.Dir.Open(name)
		},
	}
}

// cut makes a file empty, if there is one.
func cut(d *brokenDir, name string) error {
	f, err := d.Dir.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return errors.Join(f.Resize(0), f.Close())
}
