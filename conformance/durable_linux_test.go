//go:build linux && !386 && !arm

package conformance

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// A check whose layer nobody wrote, or whose name is not that of its layer, is no check that cannot
// run on this machine: it fails.
func TestMissingLayerFails(t *testing.T) {
	s := newSuite(layerMutants[0].real, nil)
	s.runsIn(t)
	for _, c := range []check{
		durable(groupDir, "NobodyWroteThis", "[D1]"),
		{group: groupDir, name: "NobodyWroteThis", fuse: true},
	} {
		skipped, err := runOn(s, c)
		require.Empty(t, skipped)
		require.ErrorContains(t, err, `there is no layer "NobodyWroteThis"`)
	}
}

// Every part of a check that has a file system of its own is there, also where it cannot run.
func TestLayersOfChecksExist(t *testing.T) {
	for _, c := range checks() {
		if c.fuse {
			require.Contains(t, layers, c.name, c.fullName())
		}
	}
}
