package conformance

import (
	"flag"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	posix "github.com/chronik-go/wal/backend-posix"
	"github.com/chronik-go/wal/core/backend"
	"github.com/chronik-go/wal/core/backend/sim"

	"github.com/chronik-go/wal/conformance/internal/tables"
)

// mutant is a backend that breaks one promise, and the check that has to find it.
type mutant struct {
	breaks string
	check  string
	// system: it is made of the backend for files, not of the simulated disk.
	system bool
	hooks  hooks
}

// simulated is a broken backend on the simulated machine.
type simulated struct {
	backend.Backend
	Machine
}

// factory makes the mutant.
func (m *mutant) factory() (backend.Backend, error) {
	b := &brokenBackend{h: m.hooks, files: map[backend.File]*brokenFile{}}
	if m.system {
		b.Backend = posix.New()
		return b, nil
	}
	disk := sim.New(sim.Options{NoTrace: true, Depth: 2, Seed: *flagSeed})
	b.Backend = disk
	return simulated{b, disk}, nil
}

func mutants() []mutant {
	return slices.Concat(dirMutants(), fileMutants(), viewMutants(), largeMutants(), mappingMutants(), besideMutants(), queueMutants(), apartMutants(), fuseMutants())
}

// impatient makes a mutant that hangs be found soon; a slow machine only adds to what is found.
func impatient(s *suite) { s.patience = 3 * time.Second }

var flagContract = flag.String("conformance.contract", "", "write the mutants and the checks that find them to `file`, as a table")

// Every mutant is found by the check meant for it.
func TestBackendMutants(t *testing.T) {
	if *flagContract != "" {
		rows := "| mistake of the backend | found by |\n|---|---|\n"
		for _, m := range mutants() {
			rows += "| " + m.breaks + " | " + m.check + " |\n"
		}
		require.NoError(t, os.WriteFile(*flagContract, []byte(rows), 0o600))
	}
	for _, m := range mutants() {
		t.Run(m.breaks, func(t *testing.T) {
			if isChild() {
				newSuite(m.factory, []Option{impatient}).child()
			}
			err := Check(m.factory, impatient, func(s *suite) {
				s.only = m.check
				s.runsIn(t)
			})
			require.Error(t, err, "%s does not notice: %s", m.check, m.breaks)
			assert.Contains(t, err.Error(), m.check+": it says: ", "something else was found")
			assert.Contains(t, err.Error(), "repeat with: go test -run '"+exactly(t.Name()+"/"+m.check)+"' -conformance.seed=1")
		})
	}
}

// The table of docs/conformance.md is of these mutants.
func TestContractTableIsOfTheseMutants(t *testing.T) {
	rows, err := tables.Rows("../docs/conformance.md", "contract")
	require.NoError(t, err)
	var want [][]string
	for _, m := range mutants() {
		want = append(want, []string{m.breaks, m.check})
	}
	if runtime.GOOS == "linux" { // elsewhere there are fewer mutants
		require.Equal(t, want, rows, "write the table: scripts/kill-matrix contract")
	}
}

// What finds the mutants finds nothing where the same backends are whole.
func TestWholeBackendsPass(t *testing.T) {
	for _, m := range []mutant{{}, {system: true}} {
		// What they are wrapped in remembers every file, so a log on them does not get by
		// without leaving memory behind.
		require.NoError(t, Check(m.factory, Skip("Log", "it is not about the contract")))
	}
}

// shownByLayers are the checks that have to find a mutant of TestLayersCatchMutants.
var shownByLayers []string

// Every check of the contract finds a mutant, but for the few named here.
func TestEveryCheckFindsAMutant(t *testing.T) {
	without := []string{
		"Backend/NameIsAWord", "Backend/ProbeTellsWhatIsMissing", // they compare words
	}
	for _, c := range checks() {
		if groupOf[strings.TrimLeft(c.says, "[")[:1]] != c.group || slices.Contains(without, c.fullName()) {
			continue
		}
		found := slices.ContainsFunc(mutants(), func(m mutant) bool { return m.check == c.fullName() }) ||
			slices.Contains(shownByLayers, c.fullName()) || len(layers) == 0 // on a system without them
		assert.True(t, found, "no mutant shows that %s finds anything", c.fullName())
	}
}
