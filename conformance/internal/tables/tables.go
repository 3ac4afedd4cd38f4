// Package tables reads the tables that scripts/kill-matrix writes into docs/conformance.md.
package tables

import (
	"fmt"
	"os"
	"strings"
)

// Rows returns the cells of a table's rows, without its head. The page is at path, and the table
// between the comments that name it.
func Rows(path, name string) (rows [][]string, err error) {
	page, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	_, rest, begun := strings.Cut(string(page), "<!-- begin "+name+" -->\n")
	table, _, ended := strings.Cut(rest, "<!-- end "+name+" -->")
	if !begun || !ended {
		return nil, fmt.Errorf("%s has no table %s", path, name)
	}
	for n, line := range strings.Split(strings.TrimSuffix(table, "\n"), "\n") {
		text, isRow := strings.CutPrefix(line, "| ")
		if n == 1 && strings.HasPrefix(line, "|---") {
			continue
		}
		text, ends := strings.CutSuffix(text, " |")
		if !isRow || !ends {
			return nil, fmt.Errorf("%s, table %s: no row of a table: %q; run make kill-matrix", path, name, line)
		}
		if n > 0 {
			rows = append(rows, strings.Split(text, " | "))
		}
	}
	return rows, nil
}
