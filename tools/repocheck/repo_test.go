package repocheck

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// root is the repository's folder as seen from this package's.
const root = "../.."

// repoFS reads files of the repository.
func repoFS() fs.FS { return os.DirFS(root) }

// repoFiles lists the files that a commit of everything would hold: those that git
// tracks or would track, and that exist.
func repoFiles(t *testing.T) []string {
	t.Helper()
	out := run(t, root, nil, "git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	var files []string
	for name := range strings.SplitSeq(strings.TrimSuffix(out, "\x00"), "\x00") {
		if _, err := os.Lstat(filepath.Join(root, name)); err == nil {
			files = append(files, name)
		}
	}
	return files
}

// run returns the standard output of a command, which must succeed.
func run(t *testing.T, dir string, env []string, name string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), env...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	require.NoError(t, err, "%v in %s: %s", cmd.Args, dir, stderr.String())
	return string(out)
}

func TestRepoFilesListsTheRepository(t *testing.T) {
	files := repoFiles(t)
	require.Subset(t, files, []string{"Makefile", "go.work", ".ci/run", "core/go.mod", "tools/repocheck/doc.go"})
	for _, name := range files {
		require.False(t, strings.HasPrefix(name, "bin/"), "ignored file %s", name)
	}
}
