//go:build !linux

package posix

import (
	"errors"
	"os"
)

// reserve leaves it to writeZeros: there is no portable call.
func reserve(*os.File, int64, int64) error { return errors.ErrUnsupported }

// datasync is fsync; package os makes it F_FULLFSYNC on macOS, where fsync stops
// at the device's cache, and FlushFileBuffers on Windows.
func datasync(f *os.File) error { return f.Sync() }

// dropCache has nothing to call. FreeBSD keeps a page that failed to be written
// dirty, so that its cache is not wrong; on the others a page that failed to be
// written in an earlier process can be read until it leaves the cache.
func dropCache(*os.File) error { return nil }
