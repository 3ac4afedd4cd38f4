package repocheck

import (
	"fmt"
	"io/fs"
	"net/url"
	"path"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"
	"unicode"

	"github.com/stretchr/testify/require"
)

var (
	fencePattern      = regexp.MustCompile("(?ms)^ {0,3}(?:```.*?^ {0,3}```|~~~.*?^ {0,3}~~~)[^\n]*$")
	inlineCodePattern = regexp.MustCompile("`[^`\n]*`")
	// ](target), [name]: target, and the attributes of embedded HTML.
	linkPattern = regexp.MustCompile(`(?m)\]\(\s*<?([^)\s>]+)|^ {0,3}\[[^\]]+\]:\s*<?([^\s>]+)|(?:href|src)="([^"]+)"`)
	headPattern = regexp.MustCompile(`(?m)^ {0,3}#{1,6}\s+(.+?)\s*#*\s*$`)
	namePattern = regexp.MustCompile(`(?:id|name)="([^"]+)"`)
	textPattern = regexp.MustCompile(`\[([^\]]*)\]\([^)]*\)`)
)

// anchors returns the fragments that lead somewhere in a Markdown text: its headings,
// spelled the way code hosts do, and the ids of embedded HTML.
func anchors(text string) map[string]bool {
	text = fencePattern.ReplaceAllString(text, "")
	found := map[string]bool{}
	for _, m := range headPattern.FindAllStringSubmatch(text, -1) {
		slug := strings.Map(func(r rune) rune {
			switch {
			case r == ' ':
				return '-'
			case r == '-' || r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r):
				return unicode.ToLower(r)
			}
			return -1
		}, textPattern.ReplaceAllString(m[1], "$1"))
		unique := slug
		for n := 1; found[unique]; n++ {
			unique = fmt.Sprintf("%s-%d", slug, n)
		}
		found[unique] = true
	}
	for _, m := range namePattern.FindAllStringSubmatch(text, -1) {
		found[m[1]] = true
	}
	return found
}

// brokenLinks returns the relative links of the Markdown files among names that lead
// to no file or folder of names, or to no heading of it.
func brokenLinks(fsys fs.FS, names []string) ([]string, error) {
	exists := map[string]bool{".": true}
	for _, name := range names {
		for ; name != "."; name = path.Dir(name) {
			exists[name] = true
		}
	}
	var broken []string
	for _, name := range names {
		if path.Ext(name) != ".md" {
			continue
		}
		text, err := fs.ReadFile(fsys, name)
		if err != nil {
			return nil, err
		}
		prose := inlineCodePattern.ReplaceAllString(fencePattern.ReplaceAllString(string(text), ""), "")
		for _, m := range linkPattern.FindAllStringSubmatch(prose, -1) {
			link := m[1] + m[2] + m[3]
			if why := linkProblem(fsys, exists, name, link); why != "" {
				broken = append(broken, fmt.Sprintf("%s: %s: %s", name, link, why))
			}
		}
	}
	return broken, nil
}

// linkProblem says what is wrong with a link in the file from, "" if nothing is.
func linkProblem(fsys fs.FS, exists map[string]bool, from, link string) string {
	u, err := url.Parse(link)
	switch {
	case err != nil:
		return "no valid link"
	case u.Scheme != "" || u.Host != "":
		return ""
	case path.IsAbs(u.Path):
		return "not relative"
	}
	target := from
	if u.Path != "" {
		target = path.Join(path.Dir(from), u.Path)
	}
	if !exists[target] {
		return "no such file"
	}
	if u.Fragment == "" || path.Ext(target) != ".md" {
		return ""
	}
	text, err := fs.ReadFile(fsys, target)
	if err != nil {
		return err.Error()
	}
	if !anchors(string(text))[u.Fragment] {
		return "no such heading"
	}
	return ""
}

func TestLinksResolve(t *testing.T) {
	broken, err := brokenLinks(repoFS(), repoFiles(t))
	require.NoError(t, err)
	require.Empty(t, broken)
}

func TestBrokenLinks(t *testing.T) {
	others := fstest.MapFS{
		"docs/a b.md": {Data: []byte("# The *torn* tail, `cut`\n## Same\n## Same\n<a id=\"own\"></a>\n" +
			"```\n# In code\n```\n## A [link](a%20b.md)\n")},
		"core/doc.go": {},
	}
	cases := []struct {
		name, text, want string
	}{
		{"file", "[x](docs/a%20b.md \"title\") [y](core/doc.go)", ""},
		{"folder", "[x](core/) [y](core) [z](.)", ""},
		{"elsewhere", "[x](https://example.org/none) [y](mailto:a@example.org)", ""},
		{"code", "`[x](none.md)`\n```go\n[x](none.md)\n```\n~~~\n[x](none.md)\n~~~\n", ""},
		{"headings", "[x](docs/a%20b.md#the-torn-tail-cut) [y](docs/a%20b.md#same-1) [z](docs/a%20b.md#own) " +
			"[l](docs/a%20b.md#a-link) [o](#here)\n# Here", ""},
		{"missing file", "[x](docs/none.md)", "docs/none.md: no such file"},
		{"after code", "```\n[x](none.md)\n```\n[y](docs/none.md)", "docs/none.md: no such file"},
		{"missing folder", "[x](doc)", "doc: no such file"},
		{"image in a link", "[![x](core/doc.go)](none.svg)", "none.svg: no such file"},
		{"missing image", "![x](none.png)", "none.png: no such file"},
		{"definition", "[x][y]\n\n[y]: none.md", "none.md: no such file"},
		{"html", "<img src=\"none.png\">", "none.png: no such file"},
		{"outside", "[x](../README.md)", "../README.md: no such file"},
		{"absolute", "[x](/docs/a%20b.md)", "/docs/a%20b.md: not relative"},
		{"missing heading", "[x](docs/a%20b.md#none)", "docs/a%20b.md#none: no such heading"},
		{"heading in code", "[x](docs/a%20b.md#in-code)", "docs/a%20b.md#in-code: no such heading"},
		{"missing heading here", "# Here\n[x](#there)", "#there: no such heading"},
		{"malformed", "[x](%zz)", "%zz: no valid link"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			fsys := fstest.MapFS{"README.md": {Data: []byte(c.text)}}
			names := []string{"README.md"}
			for name, file := range others {
				fsys[name] = file
				names = append(names, name)
			}
			var want []string
			if c.want != "" {
				want = []string{"README.md: " + c.want}
			}
			broken, err := brokenLinks(fsys, names)
			require.NoError(t, err)
			require.Equal(t, want, broken)
		})
	}
}
