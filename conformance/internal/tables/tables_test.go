package tables

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// Only what is a table counts as one.
func TestRows(t *testing.T) {
	for name, c := range map[string]struct {
		page  string
		rows  [][]string
		fails string
	}{
		"table":       {"x\n<!-- begin t -->\n| a | b |\n|---|---|\n| 1 | 2 |\n| 3 | 4, 5 |\n<!-- end t -->\n", [][]string{{"1", "2"}, {"3", "4, 5"}}, ""},
		"not written": {"<!-- begin t -->\nNot written yet.\n<!-- end t -->\n", nil, "make kill-matrix"},
		"none":        {"<!-- begin u -->\n| a |\n<!-- end u -->\n", nil, "has no table t"},
		"endless":     {"<!-- begin t -->\n| a |\n", nil, "has no table t"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "page.md")
			require.NoError(t, os.WriteFile(path, []byte(c.page), 0o600))
			rows, err := Rows(path, "t")
			if c.fails != "" {
				require.ErrorContains(t, err, c.fails)
				return
			}
			require.NoError(t, err)
			require.Equal(t, c.rows, rows)
		})
	}
}
