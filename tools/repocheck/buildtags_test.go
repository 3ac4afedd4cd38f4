package repocheck

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// A build tag links one backend alone, and that is the one that is taken.
func TestBuildTagLinksOneBackend(t *testing.T) {
	for _, name := range []string{"posix", "uring", "mmap"} {
		program := filepath.Join(t.TempDir(), "chronik-wal")
		out, err := goIn(t, "build", "-tags", "wal_"+name, "-o", program, "./tools/cmd/chronik-wal").CombinedOutput()
		require.NoError(t, err, "%s", out)
		cmd := exec.Command(program, "backends", "--json")
		cmd.Env = append(os.Environ(), "CHRONIK_WAL_DISABLE_IO_URING=false") // whatever it is around this test
		out, err = cmd.Output()
		require.NoError(t, err)
		var linked, auto []string
		var list []struct {
			Name                 string
			Linked, Usable, Auto bool
		}
		require.NoError(t, json.Unmarshal(out, &list))
		for _, b := range list {
			if b.Linked {
				linked = append(linked, b.Name)
			}
			if b.Auto {
				auto = append(auto, b.Name)
			}
			if b.Linked && !b.Usable {
				auto = append(auto, name) // it cannot be taken here
			}
		}
		require.Equal(t, []string{name}, linked)
		require.Equal(t, []string{name}, auto)
	}
}

// Two of the tags at once do not compile, and the compiler says why.
func TestTwoBuildTags(t *testing.T) {
	for _, tags := range []string{"wal_posix,wal_uring", "wal_posix,wal_mmap", "wal_uring,wal_mmap", "wal_posix,wal_uring,wal_mmap"} {
		out, err := goIn(t, "build", "-tags", tags, "./core").CombinedOutput()
		require.Error(t, err, tags)
		require.Contains(t, string(out), "only_one_of_the_build_tags_wal_posix_wal_uring_wal_mmap_may_be_set")
	}
}

func goIn(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", args...)
	cmd.Dir = root
	return cmd
}
