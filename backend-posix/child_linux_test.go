package posix

import (
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/chronik-go/wal/conformance"
)

// childEnv holds, in a child process, the name of the test that started it.
const childEnv = "CHRONIK_POSIX_TEST_CHILD"

// isChild says whether this process was started to run this test.
func isChild(t *testing.T) bool { return os.Getenv(childEnv) == t.Name() }

// childCommand runs the current test, which is not a subtest, once more in a process
// of its own: for what would change, or end, this one.
func childCommand(t *testing.T, before ...string) *exec.Cmd {
	t.Helper()
	args := append(before, os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v", "-test.count=1")
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Env = append(os.Environ(), childEnv+"="+t.Name())
	return cmd
}

// runInChild runs the test's child part in a process of its own. It has to pass.
func runInChild(t *testing.T, attr *syscall.SysProcAttr) {
	t.Helper()
	cmd := childCommand(t)
	cmd.SysProcAttr = attr
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "child process: %s", out)
}

// needRoot skips a test that no other user can run.
func needRoot(t *testing.T, why string) {
	t.Helper()
	if os.Geteuid() != 0 {
		conformance.Missing(t, "privilege", fmt.Errorf("%s needs root", why))
	}
}
