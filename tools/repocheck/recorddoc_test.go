package repocheck

import (
	"go/ast"
	"go/parser"
	"go/token"
	"reflect"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"

	wal "github.com/chronik-go/wal/core"
)

// The types of core that are another one's show their fields where users look: in its doc.
func TestDocListsFields(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), root+"/core/manager.go", nil, parser.ParseComments)
	require.NoError(t, err)
	docs := map[string]string{}
	for _, d := range file.Decls {
		if g, ok := d.(*ast.GenDecl); ok && g.Tok == token.TYPE {
			docs[g.Specs[0].(*ast.TypeSpec).Name.Name] = g.Doc.Text()
		}
	}
	for _, of := range []reflect.Type{reflect.TypeFor[wal.Record](), reflect.TypeFor[wal.Header]()} {
		listed := regexp.MustCompile(`(?m)^\t(\w+) +(\S+)`).FindAllStringSubmatch(docs[of.Name()], -1)
		require.Len(t, listed, of.NumField(), of.Name())
		for i, l := range listed {
			f := of.Field(i)
			typ := regexp.MustCompile(`\w+\.`).ReplaceAllString(f.Type.String(), "")
			require.Equal(t, f.Name, l[1])
			require.Equal(t, regexp.MustCompile(`uint8`).ReplaceAllString(typ, "byte"), regexp.MustCompile(`\w+\.`).ReplaceAllString(l[2], ""))
		}
	}
}
