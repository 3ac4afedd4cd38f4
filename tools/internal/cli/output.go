package cli

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"sync"
	"text/tabwriter"
	"time"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	wal "github.com/chronik-go/wal/core"
)

// output is standard output. It remembers the first error, and says of each where it is
// from.
type output struct {
	w   io.Writer
	err error
}

func (o *output) Write(p []byte) (int, error) {
	n, err := o.w.Write(p)
	if err = stdoutError(err); o.err == nil {
		o.err = err
	}
	return n, err
}

// jsonFlag adds --json to a command.
func jsonFlag(cmd *cobra.Command) *bool {
	return cmd.Flags().Bool("json", false, "print JSON")
}

// printJSON prints one value on one line.
func (c *cli) printJSON(v any) error {
	var b bytes.Buffer
	if err := newJSONEncoder(&b).Encode(v); err != nil {
		return fmt.Errorf("cannot encode the output: %w", err)
	}
	return c.write(b.Bytes())
}

// table is lines of cells, printed in columns.
type table struct{ bytes.Buffer }

func (t *table) row(cells ...any) {
	for i, cell := range cells {
		if i > 0 {
			t.WriteByte('\t')
		}
		t.WriteString(fmt.Sprint(cell))
	}
	t.WriteByte('\n')
}

// printTable prints the table, its columns aligned.
func (c *cli) printTable(t *table) error {
	var b bytes.Buffer
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	if _, err := w.Write(t.Bytes()); err != nil {
		return err
	}
	if err := w.Flush(); err != nil {
		return err
	}
	return c.write(b.Bytes())
}

// rangeHelp says, in help texts, how ranges of offsets are to be read.
const rangeHelp = "In JSON the \"to\" of a range of offsets is\nthe first one behind it (0: not known); in text both ends belong to it."

// spans lists ranges of offsets in one line.
func spans(list []wal.PartitionSpan) string {
	text := make([]string, len(list))
	for i, s := range list {
		text[i] = spanText(s)
	}
	return strings.Join(text, ", ")
}

func spanText(s wal.PartitionSpan) string {
	if s.To <= s.From {
		return fmt.Sprintf("%s/%d from offset %d on", s.Topic, s.Partition, s.From)
	}
	return fmt.Sprintf("%s/%d offsets %d to %d", s.Topic, s.Partition, s.From, s.To-1)
}

// orEmpty makes an absent list an empty one, so that JSON says [] and not null.
func orEmpty[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

// progress returns a function that shows how much of some work is done, in bytes: on
// standard error, and only if that is a terminal.
func (c *cli) progress(what string) func(done, total int64) {
	f, ok := isFile(c.Stderr)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return func(int64, int64) {}
	}
	var mu sync.Mutex
	var bar *progressbar.ProgressBar
	return func(done, total int64) {
		mu.Lock()
		defer mu.Unlock()
		if bar == nil {
			bar = progressbar.NewOptions64(total,
				progressbar.OptionSetWriter(c.Stderr),
				progressbar.OptionSetDescription(what),
				progressbar.OptionShowBytes(true),
				progressbar.OptionThrottle(100*time.Millisecond),
				progressbar.OptionClearOnFinish())
		}
		if bar.GetMax64() != total {
			bar.ChangeMax64(total)
		}
		_ = bar.Set64(min(done, total)) // a bar that cannot be drawn is no reason to stop
	}
}
