//go:build !386 && !arm

package faultfs

import (
	"bytes"
	"context"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

// Open leaves the kernel its cache: what a sync that failed has lost is still read from there.
func (i *inode) Open(context.Context, uint32) (fs.FileHandle, uint32, syscall.Errno) {
	return nil, fuse.FOPEN_KEEP_CACHE, 0
}

func (i *inode) Read(_ context.Context, _ fs.FileHandle, dest []byte, off int64) (fuse.ReadResult, syscall.Errno) {
	n := 0
	errno := i.tree.do(OpRead, func(*Rule) syscall.Errno {
		n = copy(dest, i.n.data[min(off, int64(len(i.n.data))):])
		return 0
	})
	return fuse.ReadResultData(dest[:n]), errno
}

// writtenBack says whether a write is the kernel's, of pages of its cache, and not that of a
// program: nobody would hear that such a one was short.
func writtenBack(ctx context.Context) bool {
	caller, ok := fuse.FromContext(ctx)
	return ok && caller.Pid == 0
}

func (i *inode) Write(ctx context.Context, _ fs.FileHandle, data []byte, off int64) (uint32, syscall.Errno) {
	errno := i.tree.do(OpWrite, func(r *Rule) syscall.Errno {
		i.tree.wait(r)
		if i.tree.dead {
			return syscall.EIO
		}
		if r.Short && !writtenBack(ctx) {
			data = data[:(len(data)/2+sector-1)/sector*sector]
		}
		if errno := i.space(off, int64(len(data))); errno != 0 {
			return errno
		}
		i.n.change(change{off: off, data: bytes.Clone(data)})
		return 0
	})
	return uint32(len(data)), errno
}

// space takes space for a part of the file, if there is any.
func (i *inode) space(off, size int64) syscall.Errno {
	if !i.n.grows(off, size) {
		return 0
	}
	if r := i.tree.rules.hit(OpGrow); r != nil {
		return r.Errno
	}
	i.n.take(off, size)
	return 0
}

func (i *inode) Allocate(_ context.Context, _ fs.FileHandle, off, size uint64, mode uint32) syscall.Errno {
	return i.tree.do(OpAllocate, func(*Rule) syscall.Errno {
		if mode != 0 {
			return syscall.EOPNOTSUPP
		}
		if errno := i.space(int64(off), int64(size)); errno != 0 {
			return errno
		}
		if end := int64(off + size); end > int64(len(i.n.data)) {
			i.n.change(change{off: end})
		}
		return 0
	})
}

// Lseek knows no holes.
func (i *inode) Lseek(_ context.Context, _ fs.FileHandle, off uint64, whence uint32) (at uint64, errno syscall.Errno) {
	errno = i.tree.do("lseek", func(*Rule) syscall.Errno {
		if off >= uint64(len(i.n.data)) {
			return syscall.ENXIO
		}
		at = off
		if whence == unix.SEEK_HOLE {
			at = uint64(len(i.n.data))
		}
		return 0
	})
	return at, errno
}

// Fsync makes durable what was written before it came. When it fails, the kernel forgets what
// it did not write, and so do we: no later sync brings that back.
func (i *inode) Fsync(context.Context, fs.FileHandle, uint32) syscall.Errno {
	if i.n.isDir {
		return i.syncDir()
	}
	return i.tree.do(OpSync, func(r *Rule) syscall.Errno {
		last := i.n.seq
		i.tree.wait(r)
		switch {
		case i.tree.dead:
			return syscall.EIO
		case r.Lie:
			return 0
		case r.Errno != 0:
			i.n.fail(last, i.tree.rules.random)
			return r.Errno
		}
		i.n.sync(last)
		return 0
	})
}

func (i *inode) syncDir() syscall.Errno {
	return i.tree.do(OpSyncDir, func(r *Rule) syscall.Errno {
		if !r.Lie {
			i.n.syncNames(len(i.n.moves))
		}
		return 0
	})
}

// OpendirHandle opens a directory. Its handle is what is synced.
func (i *inode) OpendirHandle(context.Context, uint32) (fs.FileHandle, uint32, syscall.Errno) {
	var list []fuse.DirEntry
	errno := i.tree.do("opendir", func(*Rule) syscall.Errno {
		for name, n := range i.n.entries {
			e := inode{n: n}
			list = append(list, fuse.DirEntry{Name: name, Mode: e.mode(), Ino: n.ino})
		}
		return 0
	})
	return &dirHandle{DirStream: fs.NewListDirStream(list), dir: i}, 0, errno
}

type dirHandle struct {
	fs.DirStream
	dir *inode
}

func (h *dirHandle) Fsyncdir(context.Context, uint32) syscall.Errno { return h.dir.syncDir() }

// Readdirent is what FUSE reads a directory by.
func (h *dirHandle) Readdirent(context.Context) (*fuse.DirEntry, syscall.Errno) {
	if !h.HasNext() {
		return nil, 0
	}
	var e fuse.DirEntry
	errno := h.dir.tree.do(OpList, func(*Rule) (errno syscall.Errno) {
		e, errno = h.Next()
		return errno
	})
	return &e, errno
}
