//go:build !386 && !arm

package faultfs

import (
	"context"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// mount serves the tree.
func (f *FS) mount() (err error) {
	// FOPEN_DIRECT_IO is not for the files: no mapping would work, and a write with O_DSYNC
	// would send no sync. The kernel keeps its cache as on a disk, whatever the times say.
	f.server, err = fs.Mount(f.dir, &inode{tree: f.tree, n: f.tree.root}, &fs.Options{MountOptions: fuse.MountOptions{
		DirectMountStrict: true, FsName: "chronik-faults", Name: "chronik", MaxWrite: 1 << 20, DisableXAttrs: true,
		ExplicitDataCacheControl: true,
	}})
	return err
}

// inode is what FUSE sees of a node.
type inode struct {
	fs.Inode
	tree *tree
	n    *node
}

func (i *inode) attr(out *fuse.Attr) {
	out.Ino, out.Mode, out.Nlink, out.Blksize = i.n.ino, i.mode()|0o600, 1, 4096
	if i.n.isDir {
		out.Mode |= 0o100
	}
	out.Size, out.Blocks = uint64(len(i.n.data)), uint64(len(i.n.data)+511)/512
	out.SetTimes(&i.n.mtime, &i.n.mtime, &i.n.mtime)
}

func (i *inode) mode() uint32 {
	if i.n.isDir {
		return syscall.S_IFDIR
	}
	return syscall.S_IFREG
}

func (i *inode) child(ctx context.Context, n *node, out *fuse.EntryOut) *fs.Inode {
	c := &inode{tree: i.tree, n: n}
	c.attr(&out.Attr)
	return i.NewInode(ctx, c, fs.StableAttr{Mode: c.mode(), Ino: n.ino})
}

func (t *tree) add(isDir bool) *node {
	n := &node{ino: t.next, isDir: isDir}
	if isDir {
		n.entries, n.durable = map[string]*node{}, map[string]*node{}
	}
	t.next++
	return n
}

func (i *inode) Lookup(ctx context.Context, name string, out *fuse.EntryOut) (found *fs.Inode, errno syscall.Errno) {
	errno = i.tree.do("lookup", func(*Rule) syscall.Errno {
		n := i.n.entries[name]
		if n == nil {
			return syscall.ENOENT
		}
		found = i.child(ctx, n, out)
		return 0
	})
	return found, errno
}

func (i *inode) Create(ctx context.Context, name string, _, _ uint32, out *fuse.EntryOut) (made *fs.Inode, _ fs.FileHandle, _ uint32, errno syscall.Errno) {
	errno = i.tree.do(OpCreate, func(*Rule) syscall.Errno {
		n := i.tree.add(false)
		i.n.move(move{come: name, node: n})
		made = i.child(ctx, n, out)
		return 0
	})
	return made, nil, fuse.FOPEN_KEEP_CACHE, errno
}

func (i *inode) Tmpfile(ctx context.Context, _, _ uint32, out *fuse.EntryOut) (made *fs.Inode, _ fs.FileHandle, _ uint32, errno syscall.Errno) {
	errno = i.tree.do("tmpfile", func(*Rule) syscall.Errno {
		made = i.child(ctx, i.tree.add(false), out)
		return 0
	})
	return made, nil, 0, errno
}

func (i *inode) Mkdir(ctx context.Context, name string, _ uint32, out *fuse.EntryOut) (made *fs.Inode, errno syscall.Errno) {
	errno = i.tree.do("mkdir", func(*Rule) syscall.Errno {
		n := i.tree.add(true)
		i.n.move(move{come: name, node: n})
		made = i.child(ctx, n, out)
		return 0
	})
	return made, errno
}

func (i *inode) Unlink(_ context.Context, name string) syscall.Errno {
	return i.tree.do(OpRemove, func(*Rule) syscall.Errno {
		i.n.move(move{gone: name})
		return 0
	})
}

func (i *inode) Rmdir(_ context.Context, name string) syscall.Errno {
	return i.tree.do("rmdir", func(*Rule) syscall.Errno {
		if n := i.n.entries[name]; n != nil && len(n.entries) > 0 {
			return syscall.ENOTEMPTY
		}
		i.n.move(move{gone: name})
		return 0
	})
}

// Rename knows the log's renames only: those within a directory.
func (i *inode) Rename(_ context.Context, name string, to fs.InodeEmbedder, newName string, flags uint32) syscall.Errno {
	return i.tree.do(OpRename, func(*Rule) syscall.Errno {
		if to.EmbeddedInode() != i.EmbeddedInode() || flags != 0 {
			return syscall.ENOSYS
		}
		i.n.move(move{gone: name, come: newName, node: i.n.entries[name]})
		return 0
	})
}

func (i *inode) Getattr(_ context.Context, _ fs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	return i.tree.do("stat", func(*Rule) syscall.Errno {
		i.attr(&out.Attr)
		return 0
	})
}

func (i *inode) Setattr(_ context.Context, _ fs.FileHandle, in *fuse.SetAttrIn, out *fuse.AttrOut) syscall.Errno {
	op := "setattr"
	size, resize := in.GetSize()
	if resize {
		op = OpTruncate
	}
	return i.tree.do(op, func(*Rule) syscall.Errno {
		if resize {
			i.n.change(change{off: int64(size)})
		}
		i.attr(&out.Attr)
		return 0
	})
}
