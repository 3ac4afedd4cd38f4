package metrics_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/chronik-go/wal/metrics"
)

// The table of docs/operations.md is that of the metrics: what this prints is what belongs there.
func TestTableIsThatOfTheDocs(t *testing.T) {
	data, err := os.ReadFile("../docs/operations.md")
	require.NoError(t, err)
	var have, want []string
	for line := range strings.Lines(string(data)) {
		if strings.HasPrefix(line, "| `chronik_wal_") {
			have = append(have, strings.TrimSpace(line))
		}
	}
	for _, r := range metrics.Table() {
		labels := strings.Join(r.Labels, ", ")
		if labels == "" {
			labels = "–"
		}
		want = append(want, fmt.Sprintf("| `%s` | %s | %s | %s |", r.Name, r.Kind, labels, r.Help))
	}
	require.Equal(t, want, have, "the table should be:\n%s", strings.Join(want, "\n"))
	require.Contains(t, string(data), fmt.Sprintf("%d by default", metrics.DefaultPartitions))
}
