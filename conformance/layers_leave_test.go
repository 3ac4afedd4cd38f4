//go:build linux && !386 && !arm

package conformance

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A layer leaves nothing behind, neither when its host is killed nor when the test that
// started it is: no process, no loop device, and with them no mount, since those are in
// namespaces of their own.
func TestLayersLeaveNothing(t *testing.T) {
	if os.Geteuid() != 0 && !isChild() {
		Missing(t, string(layerPrivilege), errors.New("only root can mount"))
	}
	for _, layer := range []string{"ShutdownExt4", "BlockExt4", "UnsyncedLost"} {
		for end, f := range map[string]func(*hostProcess) error{
			"killed":   func(h *hostProcess) error { return h.cmd.Process.Kill() },
			"orphaned": func(h *hostProcess) error { return h.in.Close() },
		} {
			t.Run(layer+"-"+end, func(t *testing.T) {
				s := newSuite(layerMutants[0].real, nil)
				before := *flagDir
				if !isChild() {
					*flagDir = t.TempDir()
				}
				defer func() { *flagDir = before }()
				s.runsIn(t)
				if isChild() {
					s.child()
				}
				h := startHost(t, s, layer)
				require.Eventually(t, func() bool { return len(traces(t)) > 1 }, 20*time.Second, 5*time.Millisecond)
				require.NoError(t, f(h))
				_ = h.cmd.Wait() // it was killed, or says what it found so far
				require.Eventually(t, func() bool { return len(traces(t)) == 0 }, 20*time.Second, 10*time.Millisecond,
					"%v", traces(t))
			})
		}
	}
}

type hostProcess struct {
	cmd *exec.Cmd
	in  io.Closer
}

func startHost(t *testing.T, s *suite, layer string) *hostProcess {
	t.Helper()
	cmd, stderr, err := s.process(t.Context(), task{Host: &hostTask{Layer: layer, Seed: 1, States: 1 << 30}})
	require.NoError(t, err)
	require.NoError(t, isolate(cmd))
	in, err := cmd.StdinPipe()
	require.NoError(t, err)
	var out strings.Builder
	cmd.Stdout = &out
	require.NoError(t, cmd.Start())
	t.Cleanup(func() { t.Logf("%s%s", stderr, &out) })
	return &hostProcess{cmd, in}
}

// traces are the processes and loop devices that have to do with the directory of the test.
func traces(t *testing.T) (list []string) {
	t.Helper()
	for _, pattern := range []string{"/proc/[0-9]*/cmdline", "/sys/block/loop*/loop/backing_file"} {
		names, err := filepath.Glob(pattern)
		require.NoError(t, err)
		for _, name := range names {
			text, err := os.ReadFile(name)
			if err == nil && strings.Contains(string(text), filepath.Base(filepath.Dir(*flagDir))) {
				list = append(list, name)
			}
		}
	}
	return list
}
