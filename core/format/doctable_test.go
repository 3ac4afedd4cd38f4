package format

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const docPath = "../../docs/format.md"

// table is a table of docs/format.md: the cells of its rows, without markup.
type docTable struct {
	name string // the heading it stands under
	head []string
	rows [][]string
}

// docTables reads the tables of a Markdown text.
func docTables(text string) []docTable {
	var tables []docTable
	heading, inTable := "", false
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if h := strings.TrimLeft(line, "#"); h != line {
			heading = strings.TrimSpace(h)
		}
		if !strings.HasPrefix(line, "|") {
			inTable = false
			continue
		}
		cells := strings.Split(strings.Trim(line, "|"), "|")
		for i := range cells {
			cells[i] = strings.Trim(strings.TrimSpace(cells[i]), "`")
		}
		switch {
		case !inTable:
			tables = append(tables, docTable{name: heading, head: cells})
			inTable = true
		case strings.Trim(strings.Join(cells, ""), "-:") == "": // the rule below the head
		default:
			t := &tables[len(tables)-1]
			t.rows = append(t.rows, cells)
		}
	}
	return tables
}

func readDoc(t *testing.T) []docTable {
	t.Helper()
	text, err := os.ReadFile(docPath)
	require.NoError(t, err)
	return docTables(string(text))
}

// field is what a golden structure holds under a field's name.
type field struct {
	name  string
	value []byte
}

// structure is a structure in a golden file and the fields it must have there.
type structure struct {
	bytes  []byte
	fields []field
}

// checkTable compares a byte table with a structure: the table names each of its fields,
// in the order they stand in, at the offset and with the size they have.
func checkTable(tab docTable, s structure) error {
	if len(tab.rows) != len(s.fields) {
		return fmt.Errorf("%s: %d rows for %d fields", tab.name, len(tab.rows), len(s.fields))
	}
	at := 0
	for i, row := range tab.rows {
		f := s.fields[i]
		if row[2] != f.name {
			return fmt.Errorf("%s: row %d is %q, should be %q", tab.name, i, row[2], f.name)
		}
		if err := checkRow(row, at, len(f.value)); err != nil {
			return fmt.Errorf("%s: %s: %w", tab.name, f.name, err)
		}
		if got := string(s.bytes[at : at+len(f.value)]); got != string(f.value) {
			return fmt.Errorf("%s: %s: the golden file has % x at %d, expected % x", tab.name, f.name, got, at, f.value)
		}
		at += len(f.value)
	}
	if at != len(s.bytes) {
		return fmt.Errorf("%s: the table ends at %d, the structure at %d", tab.name, at, len(s.bytes))
	}
	return nil
}

// checkRow checks a row's offset and size, where it states them as numbers.
func checkRow(row []string, at, size int) error {
	if row[0] != "…" && row[0] != strconv.Itoa(at) {
		return fmt.Errorf("stands at %d, the table says %s", at, row[0])
	}
	if !strings.HasPrefix(row[1], "*") && row[1] != strconv.Itoa(size) {
		return fmt.Errorf("takes %d bytes, the table says %s", size, row[1])
	}
	return nil
}

func TestDocumentedLayoutIsThatOfTheGoldenFiles(t *testing.T) {
	want := goldenStructures(t)
	seen := map[string]bool{}
	for _, tab := range readDoc(t) {
		if tab.head[0] != "Offset" {
			continue
		}
		require.Contains(t, want, tab.name, "a byte table that nothing checks")
		require.NoError(t, checkTable(tab, want[tab.name]))
		seen[tab.name] = true
	}
	require.Len(t, seen, len(want), "every structure has a byte table")
}

// A table in which anything drifted fails: each offset and size moved, and each two rows
// that have the same size exchanged. The exceptions cannot be told apart: rows that are
// both zero, and the trailer's version and flags, which are both 1.
func TestDriftedTablesFail(t *testing.T) {
	want := goldenStructures(t)
	for _, tab := range readDoc(t) {
		if tab.head[0] != "Offset" {
			continue
		}
		s := want[tab.name]
		for i := range tab.rows {
			for column := range 2 {
				n, err := strconv.Atoi(tab.rows[i][column])
				if err != nil {
					continue
				}
				require.Error(t, checkTable(tab.with(i, column, strconv.Itoa(n+1)), s), "%s: row %d", tab.name, i)
			}
			require.Error(t, checkTable(tab.with(i, 2, "other"), s))
			for j := range i {
				// As if both table and test named them in the wrong order.
				a, b := s.fields[i], s.fields[j]
				same := allZero(a.value) && allZero(b.value) || b.name == "version" && a.name == "flags"
				if len(a.value) != len(b.value) || same {
					continue
				}
				swapped := structure{bytes: s.bytes, fields: append([]field(nil), s.fields...)}
				swapped.fields[i], swapped.fields[j] = b, a
				table := tab.with(i, 2, b.name).with(j, 2, a.name)
				require.Error(t, checkTable(table, swapped), "%s: %s and %s", tab.name, a.name, b.name)
			}
		}
	}
}

// with returns the table with one cell changed.
func (tab docTable) with(row, column int, cell string) docTable {
	rows := append([][]string(nil), tab.rows...)
	rows[row] = append([]string(nil), rows[row]...)
	rows[row][column] = cell
	tab.rows = rows
	return tab
}

func TestDocumentedKinds(t *testing.T) {
	for _, tab := range readDoc(t) {
		if tab.head[0] != "Kind" {
			continue
		}
		require.Len(t, tab.rows, int(KindProducer))
		for i, row := range tab.rows {
			k := Kind(i + 1)
			require.Equal(t, strconv.Itoa(int(k)), row[0])
			require.Equal(t, k.String(), row[1])
			require.Equal(t, map[bool]string{true: "yes", false: "no"}[k.HasLSN()], row[2], row[1])
		}
		return
	}
	t.Fatal("no table of kinds")
}

func TestDocumentedLimits(t *testing.T) {
	want := map[string]int{
		"header block": HeaderSize, "smallest alignment": MinAlignment, "largest alignment": MaxAlignment,
		"frame header": FrameHeaderSize, "directory entry": EntrySize, "longest frame": MaxFrame,
		"longest topic": MaxTopic, "longest wrapped key": MaxWrappedKey, "longest dictionary": MaxDictionary, "trailer": TrailerSize, "close marker": MarkerSize,
		"member file": MemberSize,
	}
	got := map[string]int{}
	for _, tab := range readDoc(t) {
		if tab.head[0] != "Limit" {
			continue
		}
		for _, row := range tab.rows {
			n, err := strconv.Atoi(row[1])
			require.NoError(t, err)
			got[row[0]] = n
		}
	}
	require.Equal(t, want, got)
}
