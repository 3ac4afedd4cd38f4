//go:build !386 && !arm

package blockdisk

import (
	"context"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

// File is the name of the disk in the directory that serves it.
const File = "disk.img"

// Mount serves the disk as a file in a directory.
func (d *Disk) Mount(dir string) error {
	root := &root{disk: d}
	_, err := fs.Mount(dir, root, &fs.Options{MountOptions: fuse.MountOptions{
		DirectMountStrict: true,
		FsName:            "chronik-disk",
		Name:              "chronik",
		MaxWrite:          1 << 20,
		DisableXAttrs:     true,
		// Without it the loop device has one write in flight, and no flush overtakes one.
		ExtraCapabilities: fuse.CAP_ASYNC_DIO,
	}})
	return err
}

// Settle waits until nobody has the file open any more, for a while: whoever ends before the
// file system on the disk is unmounted makes it write into the void.
func (d *Disk) Settle() {
	closed := make(chan struct{})
	go func() {
		d.open.Wait()
		close(closed)
	}()
	select {
	case <-closed:
	case <-time.After(5 * time.Second):
	}
}

type root struct {
	fs.Inode
	disk *Disk
}

func (r *root) OnAdd(ctx context.Context) {
	r.AddChild(File, r.NewPersistentInode(ctx, &file{disk: r.disk}, fs.StableAttr{Mode: syscall.S_IFREG}), true)
}

type file struct {
	fs.Inode
	disk *Disk
}

func (f *file) Open(context.Context, uint32) (fs.FileHandle, uint32, syscall.Errno) {
	f.disk.open.Add(1)
	return &handle{f.disk}, fuse.FOPEN_DIRECT_IO, 0
}

// handle is there to be released.
type handle struct{ disk *Disk }

func (h *handle) Release(context.Context) syscall.Errno {
	h.disk.open.Done()
	return 0
}

func (f *file) Getattr(_ context.Context, _ fs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	out.Mode, out.Size, out.Blksize = syscall.S_IFREG|0o600, uint64(f.disk.image.size), blockSize
	return 0
}

func (f *file) Setattr(ctx context.Context, h fs.FileHandle, _ *fuse.SetAttrIn, out *fuse.AttrOut) syscall.Errno {
	return f.Getattr(ctx, h, out)
}

func (f *file) Read(_ context.Context, _ fs.FileHandle, dest []byte, off int64) (fuse.ReadResult, syscall.Errno) {
	return fuse.ReadResultData(dest[:f.disk.read(dest, off)]), 0
}

func (f *file) Write(_ context.Context, _ fs.FileHandle, data []byte, off int64) (uint32, syscall.Errno) {
	if err := f.disk.write(off, append([]byte(nil), data...)); err != nil {
		return 0, fs.ToErrno(err)
	}
	return uint32(len(data)), 0
}

func (f *file) Fsync(context.Context, fs.FileHandle, uint32) syscall.Errno {
	return fs.ToErrno(f.disk.flush())
}

// Allocate is what the loop device makes of a discard.
func (f *file) Allocate(_ context.Context, _ fs.FileHandle, off, size uint64, mode uint32) syscall.Errno {
	if mode&(unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_ZERO_RANGE) == 0 {
		return syscall.EOPNOTSUPP
	}
	return fs.ToErrno(f.disk.write(int64(off), make([]byte, size)))
}
