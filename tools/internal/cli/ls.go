package cli

import (
	"github.com/spf13/cobra"

	wal "github.com/chronik-go/wal/core"
)

func (c *cli) lsCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "ls", Short: "List the partitions", Args: noArguments}
	asJSON := jsonFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if legacy, err := c.readsLegacy(); err != nil {
			return err
		} else if legacy {
			return c.lsLegacy(cmd.Context(), *asJSON)
		}
		return c.withReader(func(m *wal.Manager) error {
			if err := c.printPartitions(m.Partitions(), *asJSON); err != nil {
				return err
			}
			return damageError(m.Damage())
		})
	}
	return cmd
}

func (c *cli) printPartitions(list []wal.PartitionInfo, asJSON bool) error {
	if asJSON {
		return c.printJSON(orEmpty(list))
	}
	var t table
	t.row("TOPIC", "PARTITION", "FIRST", "NEXT", "DURABLE", "RECORDS", "BYTES")
	for _, p := range list {
		t.row(p.Topic, p.Partition, p.FirstOffset, p.NextOffset, p.DurableOffset, p.Records, p.Bytes)
	}
	return c.printTable(&t)
}
