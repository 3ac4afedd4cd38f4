package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	wal "github.com/chronik-go/wal/core"
)

func (c *cli) segmentsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "segments", Short: "List the segments: state, size, codecs, LSN range, partitions", Args: noArguments,
		Long: "List the segments: state, size, LSN range, the codecs of its batches and how much\n" +
			"longer those would be without, and the offsets that each got of its partitions.\n" + rangeHelp,
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
	t.row("SEGMENT", "STATE", "SIZE", "USED", "LSN", "CREATED", "CODECS", "RATIO", "PARTITIONS")
	for _, s := range list {
		t.row(s.Name, s.State, s.Size, s.Bytes, fmt.Sprintf("%d-%d", s.FirstLSN, s.LastLSN),
			timestamp(s.Created), codecsText(&s), ratioText(s.RawBytes, s.StoredBytes), spans(s.Partitions))
	}
	return c.printTable(&t)
}

// codecsText names what the batches of a segment were made with.
func codecsText(s *wal.SegmentInfo) string {
	text := strings.Join(s.Codecs, " ")
	if s.Cipher != "" {
		text += " " + s.Cipher
	}
	return text
}

// ratioText says how many bytes one byte on disk stands for.
func ratioText(raw, stored int64) string {
	if stored == 0 {
		return "-"
	}
	return fmt.Sprintf("%.2f", float64(raw)/float64(stored))
}
