package uring

import "golang.org/x/sys/unix"

// onFUSE reports whether a path is on a FUSE file system. Where that cannot be told it is taken
// for none: then nothing can be read there either.
func onFUSE(path string) bool {
	var s unix.Statfs_t
	return unix.Statfs(path, &s) == nil && int64(s.Type) == unix.FUSE_SUPER_MAGIC
}
