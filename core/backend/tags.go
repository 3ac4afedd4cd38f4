//go:build (wal_posix && wal_uring) || (wal_posix && wal_mmap) || (wal_uring && wal_mmap)

package backend

// Each of the build tags wal_posix, wal_uring and wal_mmap says that it alone is to be linked.
// Two of them at once are a mistake, which the compiler reports by this name.
var _ = only_one_of_the_build_tags_wal_posix_wal_uring_wal_mmap_may_be_set
