package bench

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// What a benchmark of reading finds in the page cache: everything, or nothing. A writer says nothing
// about it: some of what it wrote went past the cache, some of it the backend drops.
const (
	PageCacheWarm = "warm"
	PageCacheCold = "cold"
)

// bring makes the page cache hold all files below dir, or none of them.
func bring(dir, cache string) error {
	return filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		if cache == PageCacheCold {
			err = dropPages(f)
		} else {
			_, err = io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{f}, make([]byte, 1<<20))
		}
		return errors.Join(err, f.Close())
	})
}
