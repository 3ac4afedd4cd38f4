package repocheck

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// The quick start of the README, saved anywhere and run in the clone, prints what the README
// says.
func TestQuickStart(t *testing.T) {
	readme, err := os.ReadFile(filepath.Join("..", "..", "README.md"))
	require.NoError(t, err)
	program := fenced(t, string(readme), "go")
	want := fenced(t, string(readme), "text")

	file := filepath.Join(t.TempDir(), "main.go")
	require.NoError(t, os.WriteFile(file, []byte(program), 0o600))
	cmd := exec.Command("go", "run", file)
	cmd.Dir = root
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	require.NoError(t, err)
	require.Equal(t, want, string(out))
}

// The lines that a module outside the clone needs name all modules that those for users require.
func TestReplaceLines(t *testing.T) {
	readme, err := os.ReadFile(filepath.Join(root, "README.md"))
	require.NoError(t, err)
	listed := map[string]bool{}
	for _, l := range regexp.MustCompile(`-replace github.com/chronik-go/wal/([\w-]+)=CLONE/([\w-]+)`).FindAllStringSubmatch(string(readme), -1) {
		require.Equal(t, l[1], l[2])
		listed[l[1]] = true
	}
	needed := map[string]bool{}
	var need func(module string)
	need = func(module string) {
		if needed[module] {
			return
		}
		needed[module] = true
		mod, err := os.ReadFile(filepath.Join(root, module, "go.mod"))
		require.NoError(t, err)
		for _, l := range regexp.MustCompile(`github.com/chronik-go/wal/([\w-]+) v0.0.0`).FindAllStringSubmatch(string(mod), -1) {
			need(l[1])
		}
	}
	for _, module := range []string{"core", "codec", "backend-posix", "backend-uring", "backend-mmap"} {
		need(module)
	}
	require.Equal(t, needed, listed)
}

// fenced returns the first code block of a language.
func fenced(t *testing.T, text, language string) string {
	t.Helper()
	_, rest, ok := strings.Cut(text, "\n```"+language+"\n")
	require.True(t, ok, "no block of %s", language)
	block, _, ok := strings.Cut(rest, "```")
	require.True(t, ok, "block of %s does not end", language)
	return block
}
