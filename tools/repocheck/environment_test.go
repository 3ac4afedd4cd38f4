package repocheck

import (
	"io/fs"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	wal "github.com/chronik-go/wal/core"
)

// The README's table of variables says what the log itself says of them.
func TestReadmeVariables(t *testing.T) {
	text, err := fs.ReadFile(repoFS(), "README.md")
	require.NoError(t, err)
	var rows [][]string
	for line := range strings.Lines(section(string(text), "Configuration")) {
		if strings.HasPrefix(line, "| CHRONIK_WAL_") {
			cells := strings.Split(strings.Trim(strings.ReplaceAll(line, "`", ""), "| \n"), " | ")
			rows = append(rows, cells)
			t.Setenv(cells[0], "") // as good as not set
		}
	}
	settings, err := wal.Environment()
	require.NoError(t, err)
	var want [][]string
	for _, s := range settings {
		if s.Value == "" {
			s.Value = "–"
		}
		want = append(want, []string{s.Variable, s.Value, s.Values, s.Meaning})
	}
	require.Equal(t, want, rows)
}
