//go:build !linux

package uring

import (
	"errors"
	"fmt"

	"github.com/chronik-go/wal/core/backend"
)

// Probe returns an error that wraps errors.ErrUnsupported: io_uring is a thing of Linux.
func (*Backend) Probe() error {
	return fmt.Errorf("io_uring exists on Linux only: %w", errors.ErrUnsupported)
}

// Queue fails as Probe does.
func (d *dir) Queue(backend.QueueOptions) (backend.Queue, error) { return nil, d.backend.Probe() }

// hub is for Linux.
type hub struct{}

func onFUSE(string) bool { return false }
