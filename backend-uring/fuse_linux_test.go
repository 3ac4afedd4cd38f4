//go:build !386 && !arm

package uring_test

import (
	"errors"
	"fmt"
	"os"
	"testing"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
	"github.com/stretchr/testify/require"

	uring "github.com/chronik-go/wal/backend-uring"
	"github.com/chronik-go/wal/conformance"
	"github.com/chronik-go/wal/core/backend"
)

// No ring writes to FUSE unless that was asked for: see the package's documentation.
func TestFUSEIsWrittenAsByPosix(t *testing.T) {
	if os.Geteuid() != 0 {
		conformance.Missing(t, "privilege", errors.New("only root can mount"))
	}
	root, err := fs.NewLoopbackRoot(t.TempDir())
	require.NoError(t, err)
	mounted := t.TempDir()
	server, err := fs.Mount(mounted, root, &fs.Options{MountOptions: fuse.MountOptions{DirectMountStrict: true}})
	require.NoError(t, err)
	defer func() { require.NoError(t, server.Unmount()) }()

	ring := "io_uring"
	require.Contains(t, opened(t, uring.New(), t.TempDir()), ring)
	require.NotContains(t, opened(t, uring.New(), mounted), ring)
	require.Contains(t, opened(t, uring.New(uring.WithFUSE()), mounted), ring)
}

// opened is how a directory is written.
func opened(t *testing.T, b backend.Backend, path string) string {
	t.Helper()
	d, err := b.OpenDir(path, backend.DirOptions{})
	require.NoError(t, err)
	defer func() { require.NoError(t, d.Close()) }()
	return fmt.Sprint(d)
}
