//go:build linux

package conformance

import (
	"errors"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/chronik-go/wal/core/backend"
)

// Processes of their own leave no directory behind, whoever they become, and whatever keeps
// their disk busy. The directory above theirs is one that only root can write to.
func TestProcessesLeaveNoDirectory(t *testing.T) {
	if os.Geteuid() != 0 && !isChild() {
		Missing(t, string(layerPrivilege), errors.New("only root can mount"))
	}
	busy := hooks{create: func(d *brokenDir, name string, size int64) (backend.File, error) {
		leakDescriptor(d.path)
		return d.Dir.Create(name, size)
	}}
	for check, m := range map[string]mutant{
		"Errors/CausesAreKept":   {system: true},
		"Dir/CreateReserves":     {system: true, hooks: busy, breaks: "something is still open"},
		"Dir/CreateWithoutSpace": {system: true, hooks: busy, breaks: "something is still open"},
		"File/ResizeReserves":    {system: true, hooks: busy, breaks: "something is still open"},
	} {
		t.Run(check, func(t *testing.T) {
			if isChild() {
				newSuite(m.factory, nil).child()
			}
			before := *flagDir
			defer func() { *flagDir = before }()
			*flagDir = t.TempDir()
			require.NoError(t, os.Chmod(*flagDir, 0o755))
			err := Check(m.factory, func(s *suite) {
				s.only = check
				s.runsIn(t)
			})
			if m.breaks == "" {
				require.NoError(t, err)
			} else {
				require.ErrorContains(t, err, m.breaks)
			}
			left, err := os.ReadDir(*flagDir)
			require.NoError(t, err)
			require.Empty(t, left)
		})
	}
}
