package repocheck

import (
	"encoding/json"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// modulePrefix begins the path of each module of this repository; its folder follows.
const modulePrefix = "github.com/chronik-go/wal/"

// heavyModule matches module paths that core must not reach, not even by a test of a
// dependency: metrics, consensus and file systems are other modules' business.
var heavyModule = regexp.MustCompile(`^github\.com/prometheus/|(^|/)raft([-/]|$)|fuse`)

// moduleGraph returns the paths of all modules that the module in dir depends on.
func moduleGraph(t *testing.T, dir string) []string {
	t.Helper()
	out := run(t, dir, []string{"GOWORK=off"}, "go", "list", "-m", "-f", "{{.Path}}", "all")
	return strings.Fields(out)
}

// coreProblems returns the modules of core's graph that must not be there.
func coreProblems(graph []string) []string {
	var problems []string
	for _, module := range graph {
		sibling := strings.HasPrefix(module, modulePrefix) && module != modulePrefix+"core"
		if sibling || heavyModule.MatchString(module) {
			problems = append(problems, module)
		}
	}
	return problems
}

func TestCoreModuleGraphIsLight(t *testing.T) {
	graph := moduleGraph(t, root+"/core")
	require.Contains(t, graph, modulePrefix+"core")
	require.Empty(t, coreProblems(graph))
}

func TestCoreProblems(t *testing.T) {
	require.Empty(t, coreProblems([]string{
		modulePrefix + "core", "golang.org/x/sys", "github.com/hashicorp/go-hclog", "example.org/craft",
	}))
	bad := []string{
		modulePrefix + "backend-posix", "github.com/prometheus/client_golang", "github.com/hashicorp/raft",
		"go.etcd.io/raft/v3", "github.com/hashicorp/raft-wal", "bazil.org/fuse", "github.com/hanwen/go-fuse/v2",
	}
	require.Equal(t, bad, coreProblems(bad))
}

func TestModuleGraphShowsWhatADependencyNeeds(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		name = filepath.Join(dir, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(name), 0o700))
		require.NoError(t, os.WriteFile(name, []byte(text), 0o600))
	}
	write("core/go.mod", "module "+modulePrefix+"core\ngo 1.26\nrequire example.org/lib v1.0.0\n"+
		"replace example.org/lib => ../lib\nreplace github.com/prometheus/common => ../prometheus\n")
	write("lib/go.mod", "module example.org/lib\ngo 1.26\nrequire github.com/prometheus/common v1.0.0\n")
	write("prometheus/go.mod", "module github.com/prometheus/common\ngo 1.26\n")
	graph := moduleGraph(t, filepath.Join(dir, "core"))
	require.Equal(t, []string{"github.com/prometheus/common"}, coreProblems(graph))
}

// module and replacement are entries of go.mod and go.work as the go command prints them.
type module struct{ Path, Version string }
type replacement struct{ Old module }

// modFile is what go mod edit -json prints.
type modFile struct {
	Require []module
	Replace []replacement
}

// workFile is what go work edit -json prints.
type workFile struct {
	Use     []struct{ DiskPath string }
	Replace []replacement
}

// workProblems checks go.work against the go.mod of every folder that has one.
func workProblems(work workFile, mods map[string]modFile) []string {
	var problems []string
	for dir, mod := range mods {
		used := slices.ContainsFunc(work.Use, func(u struct{ DiskPath string }) bool {
			return path.Clean(u.DiskPath) == dir
		})
		if !used {
			problems = append(problems, dir+" is not in go.work: nothing tests it")
		}
		if dir == "tools" && len(mod.Replace) > 0 {
			problems = append(problems, "tools has replace lines: go install refuses it")
		}
		for _, need := range mod.Require {
			finds := func(r replacement) bool {
				return r.Old.Path == need.Path && (r.Old.Version == "" || r.Old.Version == need.Version)
			}
			if strings.HasPrefix(need.Path, modulePrefix) &&
				!slices.ContainsFunc(mod.Replace, finds) && !slices.ContainsFunc(work.Replace, finds) {
				problems = append(problems, dir+" needs a replace line in go.work for "+need.Path+" "+need.Version)
			}
		}
	}
	slices.Sort(problems)
	return problems
}

func TestEveryModuleIsInTheWorkspace(t *testing.T) {
	var work workFile
	require.NoError(t, json.Unmarshal([]byte(run(t, root, nil, "go", "work", "edit", "-json")), &work))
	mods := map[string]modFile{}
	for _, name := range repoFiles(t) {
		if path.Base(name) != "go.mod" || strings.Contains(name, "testdata/") {
			continue
		}
		var mod modFile
		require.NoError(t, json.Unmarshal([]byte(run(t, root, nil, "go", "mod", "edit", "-json", name)), &mod))
		mods[path.Dir(name)] = mod
	}
	require.Contains(t, mods, "core")
	require.Empty(t, workProblems(work, mods))
}

func TestWorkProblems(t *testing.T) {
	core := module{modulePrefix + "core", "v0.0.0"}
	use := []struct{ DiskPath string }{{"./core"}, {"./tools"}}
	needs := modFile{Require: []module{core, {"example.org/lib", "v1.0.0"}}}
	cases := []struct {
		name string
		work workFile
		mods map[string]modFile
		want []string
	}{
		{"good", workFile{use, []replacement{{core}}}, map[string]modFile{"core": {}, "tools": needs}, nil},
		{"own replace line", workFile{use, nil},
			map[string]modFile{"core": {Require: needs.Require, Replace: []replacement{{module{core.Path, ""}}}}}, nil},
		{"not used", workFile{use[:1], nil}, map[string]modFile{"core": {}, "tools": {}},
			[]string{"tools is not in go.work: nothing tests it"}},
		{"tools replaces", workFile{use, []replacement{{core}}},
			map[string]modFile{"tools": {Require: needs.Require, Replace: []replacement{{core}}}},
			[]string{"tools has replace lines: go install refuses it"}},
		{"not found", workFile{use, nil}, map[string]modFile{"tools": needs},
			[]string{"tools needs a replace line in go.work for " + core.Path + " v0.0.0"}},
		{"other version", workFile{use, []replacement{{module{core.Path, "v1.0.0"}}}}, map[string]modFile{"tools": needs},
			[]string{"tools needs a replace line in go.work for " + core.Path + " v0.0.0"}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			require.Equal(t, c.want, workProblems(c.work, c.mods))
		})
	}
}
