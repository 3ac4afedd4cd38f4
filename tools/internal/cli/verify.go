package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	wal "github.com/chronik-go/wal/core"
)

// reportJSON is what verify prints.
type reportJSON struct {
	OK            bool         `json:"ok"`
	Segments      int          `json:"segments"`
	Records       int64        `json:"records"`
	Bytes         int64        `json:"bytes"`
	TornTailBytes int64        `json:"torn_tail_bytes"`
	Damage        []wal.Damage `json:"damage"`
	// DeclaredLost is what a repair gave up.
	DeclaredLost []wal.PartitionSpan `json:"declared_lost"`
	// UncheckedBatches are those whose contents could not be looked at.
	UncheckedBatches int64 `json:"unchecked_batches"`
	// MissingCopies are files of dictionaries that the next open for writing makes anew.
	MissingCopies []string `json:"missing_copies"`
}

func (c *cli) verifyCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "verify", Short: "Read everything and check it; changes nothing", Args: noArguments,
		Long: "Read everything in a log and check it. Changes nothing and works beside a running\n" +
			"writer. declared_lost is what an earlier repair gave up: read says so at that place,\n" +
			"and it is no damage any more. Without a key it checks everything of encrypted records but\n" +
			"what is in them; a key that is given and does not fit is an error. " + rangeHelp,
	}
	asJSON := jsonFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return c.verify(cmd.Context(), *asJSON) }
	return cmd
}

func (c *cli) verify(ctx context.Context, asJSON bool) error {
	if legacy, err := c.readsLegacy(); err != nil {
		return err
	} else if legacy {
		return c.verifyLegacy(ctx, asJSON)
	}
	dir, err := c.dataDir()
	if err != nil {
		return err
	}
	opts, err := c.options()
	if err != nil {
		return err
	}
	report, err := wal.Verify(ctx, dir, append(opts, wal.WithProgress(c.progress("verifying")))...)
	if report == nil {
		return err
	}
	return errorsFirst(damageError(report.Damage), err, c.printReport(report, asJSON))
}

func (c *cli) printReport(r *wal.Report, asJSON bool) error {
	if asJSON {
		return c.printJSON(reportJSON{
			r.OK, r.Segments, r.Records, r.Bytes, r.TornTailBytes, damageList(r.Damage), orEmpty(r.DeclaredLost),
			r.UncheckedBatches, orEmpty(r.MissingCopies),
		})
	}
	var t table
	t.row("ok", r.OK)
	t.row("segments", r.Segments)
	t.row("records", r.Records)
	t.row("bytes", r.Bytes)
	t.row("torn_tail_bytes", r.TornTailBytes)
	if r.UncheckedBatches > 0 {
		t.row("unchecked_batches", r.UncheckedBatches)
	}
	for _, d := range r.Damage {
		t.row("damage", damageText(d))
	}
	for _, file := range r.MissingCopies {
		t.row("missing_copy", file+": the other copy is sound, the next append makes it anew")
	}
	for _, s := range r.DeclaredLost {
		t.row("declared_lost", spanText(s))
	}
	return c.printTable(&t)
}

// damageList is list with [] in place of what is absent.
func damageList(list []wal.Damage) []wal.Damage {
	out := make([]wal.Damage, len(list))
	for i, d := range list {
		d.Partitions = orEmpty(d.Partitions)
		out[i] = d
	}
	return out
}

func damageText(d wal.Damage) string {
	text := fmt.Sprintf("%s at byte %d, %d bytes: %s", d.Segment, d.Offset, d.Length, d.Reason)
	if len(d.Partitions) > 0 {
		text += "; lost: " + spans(d.Partitions)
	}
	return text
}
