package repocheck

import (
	"bytes"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"
)

// forbiddenWords are what a reader of the repository could do nothing with: where and
// how somebody worked on it. A letter in brackets keeps a pattern from matching itself.
var forbiddenWords = []struct {
	what    string
	pattern *regexp.Regexp
}{
	{"path of a workplace", regexp.MustCompile(
		`/wor[k]/|\.librar[y]/|/tmp/spe[c]|\bshare[d]/(design|style|cli|fault-injection|v0-layouts|prototypes|hooks)`)},
	{"host of a package registry", regexp.MustCompile(
		`\b(proxy|sum)\.golang\.org\b|\bregistry\.npmjs\.org\b|\bdeb\.debian\.org\b|\bpypi\.org\b`)},
	{"number in a tracker", regexp.MustCompile(`(?i)\b(issue|ticket|fixes|closes|resolves|see)[: ]*#\d+`)},
	{"writing assistant", regexp.MustCompile(
		`(?i:\b(claud[e]|anthropi[c]|chatgp[t]|opena[i]|copilo[t])\b)|\b(A[I]|LL[M])\b`)},
}

// wordProblems returns where the names or the texts of files hold forbidden words.
// Binary files and checksum lists are passed over.
func wordProblems(fsys fs.FS, names []string) ([]string, error) {
	var problems []string
	look := func(where, text string) {
		for _, w := range forbiddenWords {
			if found := w.pattern.FindString(text); found != "" {
				problems = append(problems, fmt.Sprintf("%s: %s: %q", where, w.what, found))
			}
		}
	}
	for _, name := range names {
		look(name, "/"+name)
		if path.Ext(name) == ".sum" {
			continue
		}
		text, err := fs.ReadFile(fsys, name)
		if err != nil {
			return nil, err
		}
		if bytes.IndexByte(text, 0) >= 0 {
			continue
		}
		for i, line := range strings.Split(string(text), "\n") {
			look(fmt.Sprintf("%s:%d", name, i+1), line)
		}
	}
	return problems, nil
}

func TestNoForbiddenWords(t *testing.T) {
	problems, err := wordProblems(repoFS(), repoFiles(t))
	require.NoError(t, err)
	require.Empty(t, problems)
}

func TestWordProblems(t *testing.T) {
	// Put together here, so that this file does not hold them.
	bad := map[string]string{
		"cd /wor" + "k/main":                "path of a workplace",
		"see shar" + "ed/design.md":         "path of a workplace",
		"https://proxy." + "golang.org/x":   "host of a package registry",
		"GOSUMDB=sum." + "golang.org":       "host of a package registry",
		"Iss" + "ue #12":                    "number in a tracker",
		"fix" + "es #3":                     "number in a tracker",
		"Co-Authored-By: Clau" + "de":       "writing assistant",
		"written by A" + "I, with pleasure": "writing assistant",
	}
	for text, what := range bad {
		t.Run(text, func(t *testing.T) {
			problems, err := wordProblems(fstest.MapFS{"a.md": {Data: []byte("good\n" + text + "\n")}}, []string{"a.md"})
			require.NoError(t, err)
			require.Len(t, problems, 1)
			require.True(t, strings.HasPrefix(problems[0], "a.md:2: "+what), problems[0])
		})
	}
	t.Run("file name", func(t *testing.T) {
		name := "docs/clau" + "de.md"
		problems, err := wordProblems(fstest.MapFS{name: {}}, []string{name})
		require.NoError(t, err)
		require.Len(t, problems, 1)
	})
	for _, good := range []string{"it works/fails", "layout shared/dedicated", "RAID, MAIL, ai",
		"issue 12 syncs, then closes 3 files", "a workload/s", "pkg.go.dev"} {
		t.Run(good, func(t *testing.T) {
			problems, err := wordProblems(fstest.MapFS{"a.md": {Data: []byte(good)}}, []string{"a.md"})
			require.NoError(t, err)
			require.Empty(t, problems)
		})
	}
}

func TestWordProblemsPassesOverBytes(t *testing.T) {
	text := []byte("/wor" + "k/")
	files := fstest.MapFS{
		"go.sum":                {Data: text},
		"testdata/golden/1.seg": {Data: append([]byte{0}, text...)},
	}
	problems, err := wordProblems(files, []string{"go.sum", "testdata/golden/1.seg"})
	require.NoError(t, err)
	require.Empty(t, problems)
}
