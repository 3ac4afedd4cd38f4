//go:build !wal_uring && !wal_mmap

package posix

import "github.com/chronik-go/wal/core/backend"

// The build tags wal_uring and wal_mmap ask for another backend alone.
func init() { backend.Register(New()) }
