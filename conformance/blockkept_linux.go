//go:build !386 && !arm

package conformance

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/chronik-go/wal/conformance/internal/blockdisk"
)

// keep leaves the disk of a failure, and what it was told, in a directory of its own, which the
// error names: the run that met it may not come again. c is the crash that made the state, nil:
// it is what the writers left.
func (b *diskLayer) keep(ctx context.Context, failure error, c *blockdisk.Crash) error {
	if ctx.Err() != nil { // nobody is there to be told
		return failure
	}
	dir, err := os.MkdirTemp(b.kept, "chronik-wal-disk-")
	if err != nil {
		return errors.Join(failure, fmt.Errorf("keep the disk: %w", err))
	}
	if err := b.disk.Call("Server.Keep", blockdisk.Keep{Dir: dir, Crash: c}, &nothing); err != nil {
		return errors.Join(failure, fmt.Errorf("keep the disk: %w", err), os.RemoveAll(dir))
	}
	return fmt.Errorf("%w\nthe disk is kept in %s", failure, dir)
}
