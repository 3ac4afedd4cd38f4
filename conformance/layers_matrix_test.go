//go:build linux && !386 && !arm

package conformance

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	posix "github.com/chronik-go/wal/backend-posix"

	"github.com/chronik-go/wal/conformance/internal/tables"
)

var flagMatrix = flag.String("conformance.matrix", "", "run each layer on each mutant and write what caught it to `file`, as rows of a table; takes many minutes")

// column is a layer of the matrix, with its checks.
type column struct {
	title string
	has   func(c check) bool
}

var columns = []column{
	{"kill", func(c check) bool { return c.name == "Kill" }},
	{"strace, limits", func(c check) bool { return c.name == "SyscallErrors" || c.name == "FileLimit" }},
	{"shutdown", func(c check) bool { return strings.HasPrefix(c.name, "Shutdown") }},
	{"block", func(c check) bool { return c.group == "Crash" && strings.HasPrefix(c.name, "Block") }},
	{"block, EIO", func(c check) bool { return c.name == "BlockEIO" }},
	{"fuse, crashes", func(c check) bool { return isFuse(c, false) }},
	{"fuse, faults", func(c check) bool { return isFuse(c, true) }},
}

// isFuse says whether a check is one of the layer fuse, with or without faults.
func isFuse(c check, faulty bool) bool {
	if durables[c.name] != nil {
		return !faulty
	}
	return c.group == "Faults" && slices.ContainsFunc(faults, func(f fault) bool {
		return f.name == c.name && (f.rules != nil || f.scene) == faulty
	})
}

// runOn runs one check on a mutant, and returns why it did not run, or what it found.
func runOn(s *suite, c check) (skipped string, caught error) {
	r := newRecorder()
	r.do(func() { s.run(c, r) })
	return r.skipped, r.err()
}

func (m *layerMutant) suite(t *testing.T) *suite {
	s := newSuite(m.factory, nil)
	s.runsIn(t)
	return s
}

// Each mutant is caught by each of the checks that are there for it.
func TestLayersCatchMutants(t *testing.T) {
	if os.Geteuid() != 0 && !isChild() {
		Missing(t, string(layerPrivilege), errors.New("only root can mount"))
	}
	var mu sync.Mutex
	table := map[string]string{}
	if *flagMatrix != "" {
		t.Cleanup(func() {
			require.NoError(t, os.WriteFile(*flagMatrix, []byte(matrix(table)), 0o600))
			t.Log("\n" + matrix(table))
		})
	}
	for _, m := range layerMutants {
		t.Run(m.name, func(t *testing.T) {
			s := m.suite(t)
			if isChild() {
				s.child()
			}
			s.kept = t.TempDir()
			t.Parallel() // each has files and mounts of its own
			if *flagMatrix != "" {
				row := m.row(s)
				mu.Lock()
				table[m.name] = row
				mu.Unlock()
			}
			m.requireCaught(t, s)
		})
	}
}

func (m *layerMutant) requireCaught(t *testing.T, s *suite) {
	for _, name := range m.caughtBy {
		i := slices.IndexFunc(checks(), func(c check) bool { return c.group+"/"+c.name == name })
		require.GreaterOrEqual(t, i, 0, "there is no check %s", name)
		skipped, err := m.runFor(s, checks()[i])
		if skipped != "" {
			t.Log(skipped)
			continue
		}
		require.Error(t, err, "%s is blind to this: %s", name, m.what)
		if testing.Verbose() {
			text := strings.Split(err.Error(), "\n")
			t.Logf("%s: %s", name, strings.Join(text[min(1, len(text)-1):min(3, len(text))], " "))
		}
	}
}

// row runs all layers on a mutant and returns its row of the matrix. The checks that are there
// for the mutant are the first of their layer, and get more time.
func (m *layerMutant) row(s *suite) string {
	cells := []string{m.what}
	for _, col := range columns {
		list := slices.DeleteFunc(checks(), func(c check) bool { return !col.has(c) })
		slices.SortStableFunc(list, func(a, b check) int { return m.meant(b) - m.meant(a) })
		cell := "blind"
		for _, c := range list {
			skipped, err := m.runFor(s, c)
			if err != nil {
				cell = "**" + c.name + "**"
				break
			}
			if skipped != "" {
				cell = "not run"
			}
		}
		cells = append(cells, cell)
	}
	return "| " + strings.Join(cells, " | ") + " |\n"
}

// meant is 1 for a check that is there for the mutant.
func (m *layerMutant) meant(c check) int {
	if slices.Contains(m.caughtBy, c.fullName()) {
		return 1
	}
	return 0
}

// runFor runs a check, a long time if it is there for the mutant: a layer that is not blind
// stops long before.
func (m *layerMutant) runFor(s *suite, c check) (skipped string, caught error) {
	states := *flagStates
	defer func() { *flagStates = states }()
	if m.meant(c) > 0 {
		*flagStates = 2000
	}
	return runOn(s, c)
}

// A mutant is found by its mistake alone: what mutants are made of is found by nothing, whether
// the real queue writes or descriptors of their own do.
func TestMutantsWithoutMistakePass(t *testing.T) {
	states := *flagStates
	t.Cleanup(func() { *flagStates = states })
	*flagStates = 40
	for _, m := range []layerMutant{
		{name: "Direct", direct: posix.DirectOn},
		{name: "Buffered", direct: posix.DirectOff},
		{name: "Own", direct: posix.DirectOff, bug: bug{queue: queueForgivingNothing}},
	} {
		t.Run(m.name, func(t *testing.T) {
			s := m.suite(t)
			if isChild() {
				s.child()
			}
			s.kept = t.TempDir()
			t.Parallel()
			for _, c := range checks() {
				if !slices.ContainsFunc(columns, func(col column) bool { return col.has(c) }) && c.fullName() != "Backend/DirSurvivesItsPath" {
					continue
				}
				skipped, err := runOn(s, c)
				require.NoError(t, err, c.fullName())
				if skipped != "" {
					t.Log(c.fullName(), skipped)
				}
			}
		})
	}
}

// The table of docs/conformance.md is of these mutants, and in each layer with a check meant for one
// it is such a check that found it.
func TestLayersTableIsOfTheseMutants(t *testing.T) {
	rows, err := tables.Rows("../docs/conformance.md", "layers")
	require.NoError(t, err)
	require.Equal(t, len(layerMutants), len(rows), "make kill-matrix writes the table")
	for i, m := range layerMutants {
		require.Equal(t, m.what, rows[i][0], "make kill-matrix writes the table")
		require.Len(t, rows[i], 1+len(columns), m.what)
		found := 0
		for n, col := range columns {
			var meant []string
			for _, c := range checks() {
				if col.has(c) && m.meant(c) > 0 {
					meant = append(meant, "**"+c.name+"**")
				}
			}
			if cell := rows[i][1+n]; meant != nil {
				found++
				require.Contains(t, meant, cell, "%s, %s", m.what, col.title)
			} else {
				require.True(t, cell == "blind" || strings.HasPrefix(cell, "**"), "%s, %s: %s", m.what, col.title, cell)
			}
		}
		require.Positive(t, found, m.what)
	}
}

// matrix returns the rows as a table: which check of which layer caught which mutant first.
func matrix(rows map[string]string) string {
	var b strings.Builder
	b.WriteString("| mistake of the backend |")
	for _, col := range columns {
		fmt.Fprintf(&b, " %s |", col.title)
	}
	b.WriteString("\n|" + strings.Repeat("---|", len(columns)+1) + "\n")
	for _, m := range layerMutants {
		b.WriteString(rows[m.name])
	}
	return b.String()
}

// A disk that is never told to flush keeps no promise: the layer must see that flushes are
// missing, else it would not see either when a backend asks for none.
func TestBlockLayerSeesMissingFlushes(t *testing.T) {
	s := newSuite(layerMutants[0].real, nil)
	s.runsIn(t)
	if isChild() {
		s.child()
	}
	s.kept = t.TempDir()
	r := newRecorder()
	r.do(func() {
		s.run(check{name: "NoBarrier", run: func(t *T) { t.runLayer("block", "BlockExt4NoBarrier", 500) }}, r)
	})
	if r.skipped != "" {
		t.Skip(r.skipped)
	}
	// What is met first is a record that is gone, or a file that is another one's: that is told as damage.
	require.Error(t, r.err())
	require.Regexp(t, `G1 acked-durable|G6 torn-is-not-damage`, r.err().Error())
	t.Log(r.err())
}

// A layer checks something however few states there are to share.
func TestFewStates(t *testing.T) {
	s := newSuite(layerMutants[0].real, nil)
	s.runsIn(t)
	if isChild() {
		s.child()
	}
	states := *flagStates
	defer func() { *flagStates = states }()
	*flagStates = 1
	for _, c := range checks() {
		if c.group != groupCrash && c.name != "BlockEIO" {
			continue
		}
		skipped, err := runOn(s, c)
		require.NoError(t, err, c.fullName())
		if skipped != "" {
			t.Logf("%s: %s", c.fullName(), skipped)
		}
	}
}
