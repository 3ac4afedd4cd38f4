package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	wal "github.com/chronik-go/wal/core"
)

func (c *cli) segmentsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "segments", Short: "List the segments: state, size, LSN range, partitions", Args: noArguments,
		Long: "List the segments: state, size, LSN range, and the offsets that each got of its\n" +
			"partitions. " + rangeHelp,
	}
	asJSON := jsonFlag(cmd)
	cmd.RunE = func(*cobra.Command, []string) error {
		return c.withReader(func(m *wal.Manager) error {
			list, err := m.Segments()
			if err == nil {
				err = c.printSegments(list, *asJSON)
			}
			if err != nil {
				return err
			}
			return damageError(m.Damage())
		})
	}
	return cmd
}

func (c *cli) printSegments(list []wal.SegmentInfo, asJSON bool) error {
	if asJSON {
		for i := range list {
			list[i].Partitions = orEmpty(list[i].Partitions)
		}
		return c.printJSON(orEmpty(list))
	}
	var t table
	t.row("SEGMENT", "STATE", "SIZE", "USED", "LSN", "CREATED", "PARTITIONS")
	for _, s := range list {
		t.row(s.Name, s.State, s.Size, s.Bytes, fmt.Sprintf("%d-%d", s.FirstLSN, s.LastLSN),
			timestamp(s.Created), spans(s.Partitions))
	}
	return c.printTable(&t)
}
