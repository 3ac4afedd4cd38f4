package mmap_test

import (
	"testing"

	"go.uber.org/goleak"

	mmap "github.com/chronik-go/wal/backend-mmap"
	posix "github.com/chronik-go/wal/backend-posix"
	"github.com/chronik-go/wal/conformance"
	"github.com/chronik-go/wal/core/backend"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestConformance(t *testing.T) {
	conformance.Run(t, func() (backend.Backend, error) { return mmap.New(), nil },
		conformance.With(func() (backend.Backend, error) { return posix.New(), nil }),
		conformance.Skip("Faults/WriteShort", "the kernel writes mapped pages back, and takes a short write of a FUSE file system for a whole one"))
}
