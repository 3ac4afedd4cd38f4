package uring_test

import (
	"testing"

	posix "github.com/chronik-go/wal/backend-posix"
	uring "github.com/chronik-go/wal/backend-uring"
	"github.com/chronik-go/wal/conformance"
	"github.com/chronik-go/wal/core/backend"
)

func TestConformance(t *testing.T) {
	for name, mode := range map[string]posix.DirectMode{"direct": posix.DirectOn, "buffered": posix.DirectOff} {
		t.Run(name, func(t *testing.T) {
			conformance.Run(t, func() (backend.Backend, error) { return uring.New(uring.WithDirect(mode)), nil },
				conformance.With(func() (backend.Backend, error) { return posix.New(), nil }))
		})
	}
}
