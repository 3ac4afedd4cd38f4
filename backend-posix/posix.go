// Package posix is the IO backend that works everywhere: plain system calls, one
// per group commit in the common case, no goroutine between the caller and the
// disk.
//
// # How a write becomes durable
//
// On Linux, where the file system takes it, files are written through an O_DIRECT
// descriptor and a write with Sync carries RWF_DSYNC: one system call moves the
// data and makes it durable, past the page cache. Elsewhere, or with
// WithDirect(DirectOff), a write goes through the page cache and is followed by
// fdatasync (fsync with F_FULLFSYNC on macOS, FlushFileBuffers on Windows).
// Both keep the same promises; see [WithDirect] for what they cost.
//
// # What it assumes of the device
//
// With direct writes the alignment is 4096 bytes, and a block that was synced is
// never sent to the device again. With buffered writes the alignment is 512 bytes,
// and the kernel rewrites a whole block when a neighbouring sector of it changes.
// That is safe if a device that loses power while it rewrites a sector with the
// bytes it already held leaves those bytes: true of devices that write whole
// sectors, not guaranteed by one with 4096-byte sectors that emulates 512 without
// power-loss protection. Such a device wants direct writes.
//
// # Failure
//
// A file whose sync failed stays failed: each later Sync, and each write with Sync,
// reports the first failure and asks the device for nothing. The kernel reports a
// lost page once and then forgets it, so a second try would return success without
// the data (known as fsyncgate). So does each write with Sync through another File
// of the same file, until all are closed that were open then; its Sync may succeed, and
// it then reads what the device kept. A sync, or a write that is its own, is reported
// after the syncs of the file that are in progress: one of them may be told for all.
// A directory whose sync failed stays failed too, until it is closed.
// Lack of space (ENOSPC, EDQUOT, EFBIG) reported by a write loses nothing that was
// written before, and does not do this.
//
// # Limits
//
// A directory on NFS may refuse the lock of Dir.Lock, which is flock on the
// directory itself. Windows has no such lock: there the lock is a file named
// .chronik-lock that Windows deletes with the handle, however the process ends.
package posix

import (
	"fmt"

	"github.com/chronik-go/wal/core/backend"
	"github.com/chronik-go/wal/core/backend/osdir"
)

// DirectMode says whether files are written past the page cache.
type DirectMode int

const (
	// DirectAuto writes directly where a trial write in the directory succeeds.
	DirectAuto DirectMode = iota
	// DirectOn makes OpenDir fail, with an error wrapping errors.ErrUnsupported,
	// where a directory cannot be written directly.
	DirectOn
	// DirectOff writes through the page cache.
	DirectOff
)

// Option changes a Backend made by New.
type Option func(*Backend)

// WithDirect chooses between direct and buffered writes; the default is DirectAuto.
// Which of them a directory got is what fmt.Sprint of its Dir says.
func WithDirect(m DirectMode) Option { return func(b *Backend) { b.direct = m } }

// Backend makes directories accessible by plain system calls. It holds no state
// but its options; all methods may be called concurrently.
type Backend struct {
	direct DirectMode
}

var _ backend.Backend = (*Backend)(nil)

// New returns a Backend. The one registered under the name "posix" has no options.
func New(opts ...Option) *Backend {
	b := &Backend{}
	for _, o := range opts {
		o(b)
	}
	return b
}

// Name returns "posix".
func (*Backend) Name() string { return "posix" }

// Probe returns nil: what this backend needs, every supported system has.
func (*Backend) Probe() error { return nil }

// OpenDir opens a directory as [backend.Backend] describes. With o.Create and
// without o.ReadOnly it also syncs what is above an existing directory, up to the root
// of its file system: a process that died after making one may not have come to it.
func (b *Backend) OpenDir(path string, o backend.DirOptions) (backend.Dir, error) {
	if !o.Create || o.ReadOnly {
		return b.openDir(path, o)
	}
	unmake, err := osdir.Make(path)
	if err != nil {
		return nil, err
	}
	d, err := b.openDir(path, o)
	if err != nil {
		unmake()
	}
	return d, err
}

// openDir opens a directory that is there.
func (b *Backend) openDir(path string, o backend.DirOptions) (backend.Dir, error) {
	h, err := openDirHandle(path)
	if err != nil {
		return nil, err
	}
	d := &dir{h: h, path: path, readOnly: o.ReadOnly, alignment: sectorSize}
	if o.ReadOnly || b.direct == DirectOff {
		return d, nil
	}
	d.noDirect = probeDirect(h)
	switch {
	case d.noDirect == nil:
		d.direct, d.alignment = true, directAlignment
	case b.direct == DirectOn:
		_ = h.close()
		return nil, fmt.Errorf("direct writes in %s: %w", path, d.noDirect)
	}
	return d, nil
}

const (
	// sectorSize is the smallest unit a device writes as a whole.
	sectorSize = 512
	// directAlignment is the block size of direct writes: the largest physical
	// sector in use, so that no device has to read and rewrite one that it already
	// acknowledged.
	directAlignment = 4096
)
