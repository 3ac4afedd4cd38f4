package repocheck

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"
)

// sleepProblems returns the calls of time.Sleep in test files that stand outside a
// synctest.Test: there they wait by a real clock, which is too long on a fast machine
// and too short on a slow one.
func sleepProblems(fsys fs.FS, names []string) ([]string, error) {
	var problems []string
	for _, name := range names {
		if !strings.HasSuffix(name, "_test.go") {
			continue
		}
		source, err := fs.ReadFile(fsys, name)
		if err != nil {
			return nil, err
		}
		fset := token.NewFileSet()
		file, err := parser.ParseFile(fset, name, source, parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if isCall(n, "synctest", "Test") {
				return false
			}
			if isCall(n, "time", "Sleep") {
				problems = append(problems, fmt.Sprintf("%s: time.Sleep by a real clock", fset.Position(n.Pos())))
			}
			return true
		})
	}
	return problems, nil
}

// isCall reports whether n is a call of pkg.name.
func isCall(n ast.Node, pkg, name string) bool {
	call, ok := n.(*ast.CallExpr)
	if !ok {
		return false
	}
	fun, ok := call.Fun.(*ast.SelectorExpr)
	if !ok {
		return false
	}
	x, ok := fun.X.(*ast.Ident)
	return ok && x.Name == pkg && fun.Sel.Name == name
}

func TestNoTestSleepsByARealClock(t *testing.T) {
	problems, err := sleepProblems(repoFS(), repoFiles(t))
	require.NoError(t, err)
	require.Empty(t, problems)
}

func TestSleepProblems(t *testing.T) {
	const inside = "package a\n\nfunc TestA(t *testing.T) {\n\tsynctest.Test(t, func(t *testing.T) { time.Sleep(1) })\n"
	files := fstest.MapFS{
		"good_test.go": {Data: []byte(inside + "}\n")},
		"bad_test.go":  {Data: []byte(inside + "\ttime.Sleep(2)\n}\n")},
		"product.go":   {Data: []byte("package a\n\nfunc a() { time.Sleep(1) }\n")},
	}
	problems, err := sleepProblems(files, []string{"good_test.go", "bad_test.go", "product.go"})
	require.NoError(t, err)
	require.Equal(t, []string{"bad_test.go:5:2: time.Sleep by a real clock"}, problems)
}
