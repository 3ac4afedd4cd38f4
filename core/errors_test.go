package wal_test

import (
	"io/fs"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	wal "github.com/chronik-go/wal/core"
	"github.com/chronik-go/wal/core/backend/sim"
)

// A message names the file it is about once, though the backend's error names it too.
func TestErrorsNameFilesOnce(t *testing.T) {
	fails := func(op sim.Op) *sim.Disk {
		disk := newDisk(t, sim.Options{})
		m := open(t, disk)
		appendValues(t, partition(t, m, "t", 0), 1)
		require.NoError(t, m.Close())
		disk.Inject(sim.Fault{Op: op, Err: fs.ErrPermission})
		return disk
	}
	for _, c := range []struct {
		op   sim.Op
		name string
		opts []wal.Option
	}{
		{sim.OpOpenDir, dataDir, nil},
		{sim.OpOpenDir, dataDir, []wal.Option{wal.WithReadOnly()}},
		{sim.OpLock, dataDir, nil},
		{sim.OpOpen, "close.marker", nil},
	} {
		_, err := tryOpen(fails(c.op), c.opts...)
		require.ErrorIs(t, err, fs.ErrPermission, "%v", c.op)
		require.Equal(t, 1, strings.Count(err.Error(), c.name), "%v", err)
	}
	_, err := wal.Verify(bg, dataDir, repairOptions(fails(sim.OpOpenDir))...)
	require.ErrorIs(t, err, fs.ErrPermission)
	require.Equal(t, 1, strings.Count(err.Error(), dataDir), "%v", err)
}
