package repocheck

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// phonyTargets returns the targets that a makefile declares as .PHONY.
func phonyTargets(makefile string) []string {
	var targets []string
	for line := range strings.Lines(strings.ReplaceAll(makefile, "\\\n", " ")) {
		if names, ok := strings.CutPrefix(line, ".PHONY:"); ok {
			targets = append(targets, strings.Fields(names)...)
		}
	}
	return targets
}

// describedTargets returns the targets that the output of make help describes: an
// indented name, then at least one word.
func describedTargets(help string) []string {
	var targets []string
	for line := range strings.Lines(help) {
		words := strings.Fields(line)
		if strings.HasPrefix(line, " ") && len(words) > 1 {
			targets = append(targets, words[0])
		}
	}
	return targets
}

// helpProblems compares a makefile with the output of its help target.
func helpProblems(makefile, help string) []string {
	phony, described := phonyTargets(makefile), describedTargets(help)
	var problems []string
	for _, target := range phony {
		if !slices.Contains(described, target) {
			problems = append(problems, "make help does not describe "+target)
		}
	}
	for _, target := range described {
		if !slices.Contains(phony, target) {
			problems = append(problems, target+" is not .PHONY")
		}
	}
	return problems
}

func TestMakeHelpListsEveryTarget(t *testing.T) {
	makefile, err := os.ReadFile(root + "/Makefile")
	require.NoError(t, err)
	// A make that runs this test must not pass its own flags on.
	help := run(t, root, []string{"MAKEFLAGS=", "MFLAGS=", "MAKELEVEL="}, "make", "help")
	require.Subset(t, phonyTargets(string(makefile)), []string{"help", "run", "test", "lint"})
	require.Empty(t, helpProblems(string(makefile), help))
}

func TestHelpProblems(t *testing.T) {
	const makefile = ".PHONY: test test-race \\\n\tlint\n.PHONY: run\n"
	const usage = "Usage: make TARGET\n"
	cases := []struct {
		name, help string
		want       []string
	}{
		{"complete", usage + "  test  x\n  test-race  x\n  lint  x\n  run  x\n", nil},
		{"one is a prefix of another", usage + "  test-race  x\n  lint  x\n  run  x\n",
			[]string{"make help does not describe test"}},
		{"continued line", usage + "  test  x\n  test-race  x\n  run  x\n",
			[]string{"make help does not describe lint"}},
		{"no description", usage + "  test  x\n  test-race  x\n  lint  x\n  run\n",
			[]string{"make help does not describe run"}},
		{"not phony", usage + "  test  x\n  test-race  x\n  lint  x\n  run  x\n  docs  x\n",
			[]string{"docs is not .PHONY"}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			require.Equal(t, c.want, helpProblems(makefile, c.help))
		})
	}
}
