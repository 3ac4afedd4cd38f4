//go:build !wal_posix && !wal_uring

package mmap

import "github.com/chronik-go/wal/core/backend"

// The build tags wal_posix and wal_uring ask for another backend alone.
func init() { backend.Register(New()) }
