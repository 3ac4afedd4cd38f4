//go:build linux && !386 && !arm

package conformance

import (
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/chronik-go/wal/conformance/internal/blockdisk"
)

// runBlock runs the layer block on a mutant, in directories of the test, and returns where it keeps
// a failing disk and what it found.
func runBlock(t *testing.T, f Factory) (kept string, found error) {
	t.Helper()
	if os.Geteuid() != 0 && !isChild() {
		Missing(t, string(layerPrivilege), errors.New("only root can mount"))
	}
	before := *flagDir
	defer func() { *flagDir = before }()
	if !isChild() {
		*flagDir = t.TempDir()
	}
	s := newSuite(f, nil)
	s.runsIn(t)
	if isChild() {
		s.child()
	}
	s.kept = t.TempDir()
	i := slices.IndexFunc(checks(), func(c check) bool { return c.fullName() == "Crash/BlockExt4" })
	skipped, found := runOn(s, checks()[i])
	if skipped != "" {
		t.Skip(skipped)
	}
	left, err := os.ReadDir(*flagDir)
	require.NoError(t, err)
	require.Empty(t, left, "what the layer worked in stays")
	return s.kept, found
}

// A failure leaves the disk that shows it, with all that the disk was told, and nothing else.
func TestFailingDiskIsKept(t *testing.T) {
	m := layerMutants[slices.IndexFunc(layerMutants, func(m layerMutant) bool { return m.name == "SyncDropped" })]
	kept, found := runBlock(t, m.factory)
	require.Error(t, found)
	named := regexp.MustCompile(`the disk is kept in (\S+)`).FindAllStringSubmatch(found.Error(), -1)
	require.Len(t, named, 1, "%v", found)
	dir := named[0][1]
	list, err := os.ReadDir(kept)
	require.NoError(t, err)
	require.Len(t, list, 1)
	require.Equal(t, filepath.Join(kept, list[0].Name()), dir)

	var stat unix.Stat_t
	require.NoError(t, unix.Stat(filepath.Join(dir, blockdisk.KeptImage), &stat))
	require.Equal(t, diskSize["ext4"], stat.Size)
	require.Less(t, stat.Blocks*512, stat.Size/2, "the image has no holes")
	image, err := os.ReadFile(filepath.Join(dir, blockdisk.KeptImage))
	require.NoError(t, err)
	require.Equal(t, uint16(0xef53), binary.LittleEndian.Uint16(image[1024+56:]), "it is no ext4")

	events, err := os.ReadFile(filepath.Join(dir, blockdisk.KeptEvents))
	require.NoError(t, err)
	for _, part := range []string{" arrives: ", " is complete", "crash before event "} {
		require.Contains(t, string(events), part)
	}
	crash := regexp.MustCompile(`crash before event .*`).FindString(string(events))
	require.Contains(t, found.Error(), crash, "the failure and the list speak of the same state")
	require.True(t, strings.HasPrefix(string(events), "# event, phase"))
}

// A layer that finds nothing keeps nothing.
func TestSoundDiskIsNotKept(t *testing.T) {
	states := *flagStates
	defer func() { *flagStates = states }()
	*flagStates = 8
	kept, found := runBlock(t, layerMutants[0].real)
	require.NoError(t, found)
	list, err := os.ReadDir(kept)
	require.NoError(t, err)
	require.Empty(t, list)
}
