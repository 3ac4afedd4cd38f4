package crash

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/chronik-go/wal/conformance/internal/tables"
)

var flagMutants = flag.String("crash.mutants", "", "build the mutants of the engine whose name matches, and run the suite on each")

var flagMatrix = flag.String("crash.matrix", "", "write the mutants and the checks that failed to `file`, as a table")

// source is the engine's source, by path.
func source(t *testing.T) map[string]string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join("..", "..", "core", "*.go"))
	require.NoError(t, err)
	files := map[string]string{}
	for _, p := range paths {
		if strings.HasSuffix(p, "_test.go") {
			continue
		}
		b, err := os.ReadFile(p)
		require.NoError(t, err)
		abs, err := filepath.Abs(p)
		require.NoError(t, err)
		files[abs] = string(b)
	}
	return files
}

// mutate returns the changed files of a mutant.
func (m mutant) mutate(files map[string]string) (map[string]string, error) {
	changed := map[string]string{}
	for _, p := range m.patches {
		var found []string
		n := 0
		for path, text := range files {
			if c, ok := changed[path]; ok {
				text = c
			}
			if k := strings.Count(text, p.old); k > 0 {
				n += k
				found = append(found, path)
			}
		}
		if n != 1 {
			return nil, fmt.Errorf("mutant %q: the text to replace stands %d times in the engine, must be once:\n%s", m.name, n, p.old)
		}
		text, ok := changed[found[0]]
		if !ok {
			text = files[found[0]]
		}
		changed[found[0]] = strings.Replace(text, p.old, p.new, 1)
	}
	return changed, nil
}

// TestMutantsApply keeps the mutants in step with the engine's source.
func TestMutantsApply(t *testing.T) {
	files := source(t)
	for _, m := range mutants {
		_, err := m.mutate(files)
		if err != nil {
			t.Error(err)
		}
	}
}

var checkName = regexp.MustCompile(`(?m)\b(G\d+ [a-z0-9-]+|backend contract): `)

// TestMutants builds mutants of the engine, runs the suite on each, and demands that a
// check that is meant for its mistake fails. It prints which checks did.
func TestMutants(t *testing.T) {
	if *flagMutants == "" {
		return // it takes some seconds for each: only when asked for
	}
	pattern, err := regexp.Compile(*flagMutants)
	require.NoError(t, err)
	files := source(t)
	var table, rows strings.Builder
	for _, m := range mutants {
		if !pattern.MatchString(m.name) {
			continue
		}
		start := time.Now()
		failed, out := m.run(t, files)
		checks := slices.Sorted(maps.Keys(failed))
		verdict := "killed"
		if !m.killedBy(failed) {
			verdict = "SURVIVED"
			if len(checks) > 0 {
				verdict = "killed by chance"
			}
			t.Errorf("mutant %q: %s; checks that failed: %v\n%s", m.name, verdict, failed, tail(out))
		}
		line := fmt.Sprintf("%-55s %-8s %4.1fs ", m.name, verdict, time.Since(start).Seconds())
		for _, c := range checks {
			line += fmt.Sprintf(" %s ×%d,", c, failed[c])
		}
		fmt.Println(strings.TrimSuffix(line, ","))
		table.WriteString(line + "\n")
		fmt.Fprintf(&rows, "| %s | %s |\n", m.name, joinChecks(checks))
	}
	t.Logf("mutant, verdict, checks that failed:\n%s", table.String())
	if *flagMatrix != "" {
		require.NoError(t, os.WriteFile(*flagMatrix, []byte("| mistake of the engine | checks that fail |\n|---|---|\n"+rows.String()), 0o600))
	}
}

// The table of docs/conformance.md is of these mutants, each killed by a check meant for it.
func TestTableIsOfTheseMutants(t *testing.T) {
	rows, err := tables.Rows("../../docs/conformance.md", "engine")
	require.NoError(t, err)
	require.Equal(t, len(mutants), len(rows), "make kill-matrix writes the table")
	for i, m := range mutants {
		require.Equal(t, m.name, rows[i][0], "make kill-matrix writes the table")
		require.NotContains(t, rows[i][1], "panic", "%s: the suite has to find it, not to trip over it", m.name)
		failed := map[Check]int{}
		for c := range strings.SplitSeq(rows[i][1], ", ") {
			failed[Check(c)]++
		}
		require.True(t, m.killedBy(failed), "%s: %v", m.name, rows[i][1])
	}
}

// A mutant gets rounds of the suite, each with other seeds and twice the states of the one
// before, until a check that is meant for it fails. How soon that is depends on its mistake
// and on the scheduler: most take one round, and the rarest is met once in 400,000 states.
const (
	firstRound = 12_000 // states
	rounds     = 9      // six million states in all
	roundSeeds = 1_000_000
)

// run builds the suite on a mutant and runs it, up to its last round. It returns how often
// each check failed, and what the last run printed.
func (m mutant) run(t *testing.T, files map[string]string) (failed map[Check]int, out string) {
	t.Helper()
	binary := m.build(t, files)
	failed = map[Check]int{}
	for round := range rounds {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
		b, _ := exec.CommandContext(ctx, binary, "-test.run", "^(TestCrashStates|TestFaults|TestDamage|TestOneWriter|TestBounded|TestNotRegular|TestSealed)$",
			"-test.timeout=9m", "-crash.seed="+strconv.Itoa(1+round*roundSeeds), "-crash.states="+strconv.Itoa(firstRound<<round),
			"-crash.violations=4", "-crash.faults="+strconv.Itoa(min(3<<round, 100)), "-crash.damages=40").CombinedOutput() // it fails: that is what it is run for
		cancel()
		out = string(b)
		for _, x := range checkName.FindAllStringSubmatch(out, -1) {
			failed[Check(x[1])]++
		}
		if strings.Contains(out, "panic: ") {
			failed["panic"]++
		}
		if m.killedBy(failed) {
			break
		}
	}
	return failed, out
}

// killedBy reports whether a check that is meant for the mutant failed.
func (m mutant) killedBy(failed map[Check]int) bool {
	return slices.ContainsFunc(m.killers, func(c Check) bool { return failed[c] > 0 })
}

// build builds the suite on a mutant, by an overlay, and returns the test binary.
func (m mutant) build(t *testing.T, files map[string]string) (binary string) {
	t.Helper()
	changed, err := m.mutate(files)
	require.NoError(t, err)
	tmp := t.TempDir()
	overlay := map[string]map[string]string{"Replace": {}}
	for path, text := range changed {
		to := filepath.Join(tmp, filepath.Base(path))
		require.NoError(t, os.WriteFile(to, []byte(text), 0o600))
		overlay["Replace"][path] = to
	}
	list, err := json.Marshal(overlay)
	require.NoError(t, err)
	listPath := filepath.Join(tmp, "overlay.json")
	binary = filepath.Join(tmp, "mutant.test")
	require.NoError(t, os.WriteFile(listPath, list, 0o600))
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	if b, err := exec.CommandContext(ctx, "go", "test", "-c", "-o", binary, "-overlay", listPath, ".").CombinedOutput(); err != nil {
		t.Fatalf("mutant %q does not build: %v\n%s", m.name, err, b)
	}
	return binary
}

func joinChecks(checks []Check) string {
	names := make([]string, len(checks))
	for i, c := range checks {
		names[i] = string(c)
	}
	return strings.Join(names, ", ")
}

func tail(s string) string {
	if len(s) > 2000 {
		return "..." + s[len(s)-2000:]
	}
	return s
}
