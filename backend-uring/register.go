//go:build !wal_posix && !wal_mmap

package uring

import "github.com/chronik-go/wal/core/backend"

// The build tags wal_posix and wal_mmap ask for another backend alone.
func init() { backend.Register(New()) }
