package cli

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	wal "github.com/chronik-go/wal/core"
)

// repairJSON is what repair prints.
type repairJSON struct {
	DryRun  bool                `json:"dry_run"`
	Damage  []wal.Damage        `json:"damage"`
	Actions []string            `json:"actions"`
	Lost    []wal.PartitionSpan `json:"lost"`
	Moved   []string            `json:"moved"`
	// LostEntries were lost and nothing tells which partitions had them.
	LostEntries []wal.LSNSpan `json:"lost_entries"`
}

func (c *cli) repairCommand() *cobra.Command {
	var o wal.RepairOptions
	cmd := &cobra.Command{
		Use:   "repair --quarantine DIR",
		Short: "Make a damaged log openable; moves, never deletes, what it cuts",
		Long: "Make a damaged log openable. Every undamaged record is kept; what is cut is moved\n" +
			"to the quarantine directory, which is made if there is something to move; what was\n" +
			"lost is printed, by partition and offset. Exit status: 0 the log opens; 1 damage is\n" +
			"left, as it is after --dry-run of a damaged log. " + rangeHelp,
		Args: noArguments,
	}
	cmd.Flags().StringVar(&o.Quarantine, "quarantine", "", "`directory` for what is cut")
	cmd.Flags().BoolVar(&o.DryRun, "dry-run", false, "say what would be done and change nothing")
	asJSON := jsonFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return c.repair(cmd.Context(), o, *asJSON) }
	return cmd
}

func (c *cli) repair(ctx context.Context, o wal.RepairOptions, asJSON bool) error {
	if o.Quarantine == "" && !o.DryRun {
		return usagef("no quarantine: give --quarantine DIR, or --dry-run")
	}
	dir, err := c.dataDir()
	if err != nil {
		return err
	}
	if err := checkQuarantine(o.Quarantine, dir); err != nil {
		return err
	}
	opts, err := c.options()
	if err != nil {
		return err
	}
	report, err := wal.Repair(ctx, dir, o, append(opts, wal.WithProgress(c.progress("repairing")))...)
	if err != nil && (report == nil || len(report.Damage) == 0) {
		return err
	}
	// What was found and done is worth knowing also where that was not enough.
	printed := c.printRepair(report, o.DryRun, asJSON, err == nil)
	if err == nil && o.DryRun {
		err = damageError(report.Damage) // as it was, it does not open
	}
	return errorsFirst(err, printed)
}

// checkQuarantine refuses what could never be a quarantine, before anything is read.
func checkQuarantine(quarantine, dir string) error {
	if quarantine == "" {
		return nil
	}
	info, err := os.Stat(quarantine)
	if err == nil && !info.IsDir() {
		return usagef("--quarantine %s: it is not a directory", quarantine)
	}
	if liesIn(quarantine, dir) {
		return usagef("--quarantine %s: it is the log's directory, or lies in it: give one beside it", quarantine)
	}
	return nil
}

// liesIn reports whether a path is a directory or lies in it, links resolved. The path need
// not exist.
func liesIn(path, dir string) bool {
	of, err := os.Stat(dir)
	if err != nil {
		return false
	}
	path, err = filepath.Abs(path)
	if err != nil {
		return false
	}
	for resolved := false; ; path = filepath.Dir(path) {
		if target, err := filepath.EvalSymlinks(path); err == nil && !resolved {
			path, resolved = target, true
		}
		if info, err := os.Stat(path); err == nil && os.SameFile(info, of) {
			return true
		}
		if path == filepath.Dir(path) {
			return false
		}
	}
}

func (c *cli) printRepair(r *wal.RepairReport, dryRun, asJSON, opens bool) error {
	if asJSON {
		return c.printJSON(repairJSON{
			dryRun, damageList(r.Damage), orEmpty(r.Actions), orEmpty(r.Lost), orEmpty(r.Moved), orEmpty(r.LostEntries),
		})
	}
	var t table
	for _, d := range r.Damage {
		t.row("damage", damageText(d))
	}
	for _, a := range r.Actions {
		t.row("action", a)
	}
	for _, s := range r.Lost {
		t.row("lost", spanText(s))
	}
	for _, s := range r.LostEntries {
		t.row("lost", fmt.Sprintf("entries with LSN %v, of partitions that nothing tells", s))
	}
	moved := "moved"
	if dryRun {
		moved = "would move"
	}
	for _, m := range r.Moved {
		t.row(moved, m)
	}
	switch {
	case len(r.Damage) == 0:
		t.row("nothing to repair: the log is not damaged")
	case dryRun:
		t.row("nothing was changed: this was a dry run")
	case opens:
		t.row("the log opens again")
	}
	return c.printTable(&t)
}
