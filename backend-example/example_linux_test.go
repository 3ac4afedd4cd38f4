package example_test

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	example "github.com/chronik-go/wal/backend-example"
	"github.com/chronik-go/wal/conformance"
	"github.com/chronik-go/wal/core/backend"
)

func TestConformance(t *testing.T) {
	conformance.Run(t, func() (backend.Backend, error) { return example.Backend{}, nil })
}

// A backend is no more than this: lines of code, without blank ones and comments.
func TestLessThan200Lines(t *testing.T) {
	text, err := os.ReadFile("backend_linux.go")
	require.NoError(t, err)
	lines := 0
	for line := range strings.Lines(string(text)) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "//") {
			lines++
		}
	}
	t.Logf("%d lines", lines)
	require.Less(t, lines, 200)
}
