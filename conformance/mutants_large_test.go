package conformance

import (
	"errors"
	"os"
	"path/filepath"

	posix "github.com/chronik-go/wal/backend-posix"
	"github.com/chronik-go/wal/core/backend"
)

// low is what an offset becomes where somebody counts with 32 bits.
func low(offset int64) int64 {
	if offset < 0 {
		return offset
	}
	return offset & 0xFFFFFFFF
}

// hasRoom says whether there is room for a large file where the mutants are tried.
func hasRoom() bool {
	path, err := os.MkdirTemp("", "")
	if err != nil {
		return false
	}
	defer os.RemoveAll(path)
	d, err := posix.New().OpenDir(path, backend.DirOptions{})
	if err != nil {
		return false
	}
	large, err := d.Create("large", largeSize)
	if err == nil {
		err = large.Close()
	}
	return errors.Join(err, d.Close()) == nil
}

// largeMutants are right in files of less than 4 GiB.
func largeMutants() []mutant {
	if reservesAtOnce(os.TempDir()) != nil || !hasRoom() {
		return nil
	}
	return []mutant{
		{breaks: "offsets of writes have 32 bits", check: "Queue/WritesMatchModel", system: true, hooks: altered(
			func(_ *brokenQueue, ws []backend.Write) []backend.Write {
				for i := range ws {
					ws[i].Offset = low(ws[i].Offset)
				}
				return ws
			})},
		{breaks: "offsets of writes have 31 bits", check: "Queue/WritesMatchModel", system: true, hooks: altered(
			func(_ *brokenQueue, ws []backend.Write) []backend.Write {
				for i := range ws {
					ws[i].Offset &= 1<<31 - 1
				}
				return ws
			})},
		{breaks: "of a large file a part is reserved", check: "Queue/WritesMatchModel", system: true, hooks: hooks{
			create: func(d *brokenDir, name string, size int64) (backend.File, error) {
				f, err := d.Dir.Create(name, min(size, 1<<31))
				if err == nil && size > 1<<31 {
					err = os.Truncate(filepath.Join(d.path, name), size)
				}
				return f, err
			}}},
		{breaks: "offsets of reads have 32 bits", check: "Queue/WritesMatchModel", system: true, hooks: hooks{
			readAt: func(f *brokenFile, p []byte, off int64) (int, error) { return f.File.ReadAt(p, low(off)) }}},
		{breaks: "sizes have 32 bits", check: "File/ResizeCutsAndZeros", system: true, hooks: hooks{
			resize: func(f *brokenFile, size int64) error {
				if size >= 1<<50 {
					return f.File.Resize(size)
				}
				return f.File.Resize(low(size))
			}}},
		{breaks: "NextData counts with 32 bits", check: "File/NextDataPassesZeros", system: true, hooks: hooks{
			nextData: func(f *brokenFile, off int64) (int64, error) {
				n, err := f.File.(backend.DataFinder).NextData(low(off))
				return n + off - low(off), err
			}}},
	}
}
