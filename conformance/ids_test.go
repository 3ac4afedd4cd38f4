package conformance

import (
	"go/parser"
	"go/token"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// promise is a number in the contract, in brackets.
var promise = regexp.MustCompile(`\[([A-Z][0-9]+)\]`)

// groupOf is where the checks of a letter are.
var groupOf = map[string]string{
	"A": groupAlloc, "B": groupBackend, "D": groupDir, "E": groupErrors, "F": groupFile, "Q": groupQueue,
}

// contract returns the comments of package backend with single spaces, and how often each
// number stands in them.
func contract(t *testing.T) (text string, ids map[string]int) {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "../core/backend/backend.go", nil, parser.ParseComments)
	require.NoError(t, err)
	var comments strings.Builder
	for _, c := range file.Comments {
		comments.WriteString(c.Text())
	}
	text = strings.Join(strings.Fields(comments.String()), " ")
	ids = map[string]int{}
	for _, m := range promise.FindAllStringSubmatch(text, -1) {
		ids[m[1]]++
	}
	return text, ids
}

// Every promise of the contract has a number and one check, which quotes it.
func TestEveryPromiseHasItsCheck(t *testing.T) {
	text, ids := contract(t)
	require.Greater(t, len(ids), 60)
	covered := map[string]string{}
	for _, c := range checks() {
		m := promise.FindAllStringSubmatch(c.says, -1)
		if groupOf[promiseLetter(m)] == "" {
			continue // a check of the engine or of a crash
		}
		id := m[0][1]
		assert.Equal(t, groupOf[promiseLetter(m)], c.group, c.fullName())
		assert.True(t, strings.HasPrefix(c.says, "["+id+"] "), "%s does not begin with its number", c.fullName())
		assert.Contains(t, text, c.says, "%s does not say what the contract says", c.fullName())
		assert.Empty(t, covered[id], "%s has a second check, %s", id, c.fullName())
		covered[id] = c.fullName()
		assert.False(t, c.run == nil && c.apart == nil, "%s does nothing", c.fullName())
	}
	for id, n := range ids {
		assert.Equal(t, 1, n, "[%s] stands more than once in the contract", id)
		assert.NotEmpty(t, covered[id], "[%s] has no check", id)
	}
	for id, name := range covered {
		assert.NotZero(t, ids[id], "%s checks [%s], which is not in the contract", name, id)
	}
}

// promiseLetter is the letter of the only number in a check's sentence.
func promiseLetter(m [][]string) string {
	if len(m) != 1 {
		return ""
	}
	return m[0][1][:1]
}

// Checks have names of their own, in CamelCase.
func TestCheckNames(t *testing.T) {
	seen := map[string]bool{}
	for _, c := range checks() {
		assert.Regexp(t, `^[A-Z][A-Za-z]+/[A-Z][A-Za-z0-9]+$`, c.fullName())
		assert.False(t, seen[c.fullName()], "two checks are called %s", c.fullName())
		assert.NotEmpty(t, c.says, c.fullName())
		seen[c.fullName()] = true
	}
}

// The page for authors of backends speaks of promises that there are.
func TestDocumentedPromisesExist(t *testing.T) {
	_, ids := contract(t)
	page, err := os.ReadFile("../docs/backends.md")
	require.NoError(t, err)
	found := regexp.MustCompile(`\b[ABDEFQ][0-9]+\b`).FindAllString(string(page), -1)
	require.NotEmpty(t, found)
	for _, id := range found {
		assert.NotZero(t, ids[id], "docs/backends.md speaks of %s", id)
	}
}
