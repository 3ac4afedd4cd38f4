//go:build unix

package conformance

import (
	"net"
	"os"
	"path/filepath"
	"syscall"

	"github.com/stretchr/testify/require"
)

// hasModes: files have permissions and there are FIFOs.
const hasModes = true

func mkfifo(path string) error { return syscall.Mkfifo(path, 0o600) }

// umask sets the process's umask.
func umask(mask int) { syscall.Umask(mask) }

// nobody is a user without rights.
const nobody = 65534

// becomeNobody gives a directory to a user without rights and becomes that user, for good.
func becomeNobody(dir string) error {
	if os.Geteuid() != 0 {
		return nil
	}
	if err := os.Chown(dir, nobody, nobody); err != nil {
		return err
	}
	return syscall.Setuid(nobody)
}

// listen makes a socket in a directory until the end of the check.
func listen(t *T, dir, name string) (made bool) {
	path := filepath.Join(dir, name)
	if len(path) > 100 { // the system takes no longer ones
		return false
	}
	l, err := net.Listen("unix", path)
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	return true
}
