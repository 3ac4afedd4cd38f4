package repocheck

import (
	"io/fs"
	"path"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"
)

var codePattern = regexp.MustCompile("`([a-z*]+\\.go)`")

// unmapped returns the files of core that no row of the architecture's map has, and the
// patterns of the map that no file has.
func unmapped(architecture string, files []string) (problems []string) {
	used := map[string]bool{}
	patterns := codePattern.FindAllStringSubmatch(section(architecture, "Map"), -1)
	for _, file := range files {
		found := false
		for _, p := range patterns {
			if ok, err := path.Match(p[1], file); err == nil && ok {
				found, used[p[1]] = true, true
			}
		}
		if !found {
			problems = append(problems, file+" is not in the map")
		}
	}
	for _, p := range patterns {
		if !used[p[1]] {
			problems = append(problems, p[1]+" is no file")
		}
	}
	return problems
}

// section returns the text below a heading of the second level.
func section(text, heading string) string {
	_, text, _ = strings.Cut(text, "\n## "+heading+"\n")
	text, _, _ = strings.Cut(text, "\n## ")
	return text
}

// sources are the files of a folder that are built, tests not included.
func sources(fsys fs.FS, folder string) (files []string, err error) {
	list, err := fs.Glob(fsys, folder+"/*.go")
	for _, name := range list {
		if !strings.HasSuffix(name, "_test.go") {
			files = append(files, path.Base(name))
		}
	}
	return files, err
}

func TestArchitectureMapsCore(t *testing.T) {
	text, err := fs.ReadFile(repoFS(), "docs/architecture.md")
	require.NoError(t, err)
	files, err := sources(repoFS(), "core")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	require.Empty(t, unmapped(string(text), files))
}

func TestUnmapped(t *testing.T) {
	fsys := fstest.MapFS{"core/a.go": {}, "core/a_test.go": {}, "core/b.go": {}, "core/bb.go": {}, "core/sub/d.go": {}}
	files, err := sources(fsys, "core")
	require.NoError(t, err)
	require.Equal(t, []string{"a.go", "b.go", "bb.go"}, files)
	require.Empty(t, unmapped("\n## Map\n`a.go`, `b*.go`\n## Way\n", files))
	require.Equal(t, []string{"bb.go is not in the map", "c.go is no file"},
		unmapped("\n## Map\n`a.go`, `b.go`, `c.go`\n## Way\n`bb.go`", files))
}
