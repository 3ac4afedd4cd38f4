// Package uring is the IO backend for Linux that writes by io_uring: a ring of its own on raw
// system calls, without cgo.
//
// # How a write becomes durable
//
// A write goes past the page cache (O_DIRECT) from registered memory and carries RWF_DSYNC: it
// is durable when it completes. Several batches may be in flight; one system call submits what
// there is and waits for the next completion.
//
// A sync without data is no request of the ring: a goroutine, which ends with it, calls fdatasync.
// A group of writes with Sync needs none, but while the file is being synced otherwise: the result
// of that is waited for by a goroutine too, so that a ring goes on with other files.
//
// A directory on a file system that takes no such writes is written as by package posix: the
// kernel hands buffered writes and syncs of a ring over to threads of its own, which is slower,
// and has been seen to lose one; see docs/performance.md.
//
// So is a directory on FUSE. Where such a file system takes only a part of a direct write, the
// kernel itself goes on with the rest of a ring's request, and (seen in Linux 6.18) may skip some
// of the data and report what it put at the wrong place as written. pwrite does not.
//
// # Built on backend-posix
//
// Directories, names, locks and reads are those of package posix, and so are the assumptions
// about devices. Only the queue is different.
//
// # Failure
//
// As in package posix: a file whose sync failed stays failed. A write that completes short is
// finished, and synced again as a whole.
//
// # Kernels
//
// Linux 5.1 or newer. What a kernel lacks is gone without, one by one: registered buffers, files and
// rings, and the flags that save interrupts (see Feature). Linked operations are not used: a sync is
// part of its write, and one by itself waits for nothing. Probe tells why io_uring cannot be used at all: a kernel
// that is too old, the sysctl kernel.io_uring_disabled, or a seccomp filter, which is what the
// default profiles of container runtimes have.
package uring

import (
	"fmt"
	"sync"

	posix "github.com/chronik-go/wal/backend-posix"
	"github.com/chronik-go/wal/core/backend"
)

// Backend writes by io_uring. All methods may be called concurrently.
type Backend struct {
	files *posix.Backend
	// without are features that are not used, whatever the kernel has.
	without Feature
	fuse    bool // the ring writes to FUSE file systems too

	hubMu sync.Mutex
	hub   *hub // the one that new queues share, while there are any
}

var _ backend.Backend = (*Backend)(nil)

// Option changes a Backend made by New.
type Option func(*Backend)

// WithDirect chooses between writes past the page cache and through it, as
// posix.WithDirect does.
func WithDirect(m posix.DirectMode) Option {
	return func(b *Backend) { b.files = posix.New(posix.WithDirect(m)) }
}

// WithFUSE has the ring write to FUSE file systems too. A file system that takes only a part of
// a write is safe with it only on a kernel in which that has been mended; see the package's
// documentation.
func WithFUSE() Option { return func(b *Backend) { b.fuse = true } }

// Without goes without some features, as on a kernel that lacks them.
func Without(f Feature) Option { return func(b *Backend) { b.without |= f } }

// New returns a Backend. The one registered under the name "uring" has no options.
func New(opts ...Option) *Backend {
	b := &Backend{files: posix.New()}
	for _, o := range opts {
		o(b)
	}
	return b
}

// Name returns "uring".
func (*Backend) Name() string { return "uring" }

// OpenDir opens a directory as [backend.Backend] describes.
func (b *Backend) OpenDir(path string, o backend.DirOptions) (backend.Dir, error) {
	d, err := b.files.OpenDir(path, o)
	if err != nil {
		return nil, err
	}
	base, ok := d.(posix.Dir)
	if !ok {
		return nil, fmt.Errorf("open %s: %T is no directory of package posix", path, d)
	}
	if !base.Direct() || !b.fuse && onFUSE(path) {
		return base, nil
	}
	return &dir{Dir: base, backend: b}, nil
}

// Feature is something that not every kernel has.
type Feature uint32

// The features.
const (
	// RegisteredBuffers saves looking up and pinning a write's memory (5.13; 5.19 to add some
	// later).
	RegisteredBuffers Feature = 1 << iota
	// RegisteredFiles saves looking up a write's file (5.5).
	RegisteredFiles
	// CoopTaskrun saves an interrupt for a completion (5.19).
	CoopTaskrun
	// SubmitAll goes on submitting behind a request that is refused (5.18).
	SubmitAll
	// SingleIssuer tells the kernel that one thread alone uses the ring, as it is with the ring
	// that many queues share (6.0).
	SingleIssuer
	// DeferTaskrun has that ring's completions wait until it asks for them (6.1). It takes
	// SingleIssuer.
	DeferTaskrun
	// RegisteredRing saves looking up that ring at each call (5.18).
	RegisteredRing
	// PlainWrite is a write of one piece of memory; without it a vector of one is written
	// (5.6).
	PlainWrite
)
