package repocheck

import (
	"os"
	"os/exec"
	"path/filepath"
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

// fenced returns the first code block of a language.
func fenced(t *testing.T, text, language string) string {
	t.Helper()
	_, rest, ok := strings.Cut(text, "\n```"+language+"\n")
	require.True(t, ok, "no block of %s", language)
	block, _, ok := strings.Cut(rest, "```")
	require.True(t, ok, "block of %s does not end", language)
	return block
}
