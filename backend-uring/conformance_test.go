package uring_test

import (
	"testing"

	posix "github.com/chronik-go/wal/backend-posix"
	uring "github.com/chronik-go/wal/backend-uring"
	"github.com/chronik-go/wal/conformance"
	"github.com/chronik-go/wal/core/backend"
)

func TestConformance(t *testing.T) {
	onPosix := conformance.With(func() (backend.Backend, error) { return posix.New(), nil })
	t.Run("direct", func(t *testing.T) {
		conformance.Run(t, func() (backend.Backend, error) {
			return uring.New(uring.WithDirect(posix.DirectOn), uring.WithFUSE()), nil
		},
			onPosix,
			conformance.Skip("Faults/WriteShort", "a kernel's mistake with short writes of FUSE file systems: what WithFUSE warns of"))
	})
	t.Run("as posix", func(t *testing.T) {
		conformance.Run(t, func() (backend.Backend, error) { return uring.New(uring.WithDirect(posix.DirectOff)), nil }, onPosix)
	})
}
