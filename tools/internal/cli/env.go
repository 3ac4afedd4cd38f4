package cli

import (
	"github.com/spf13/cobra"

	wal "github.com/chronik-go/wal/core"
)

func (c *cli) envCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "env", Short: "Show the configuration in force and where each value came from", Args: noArguments,
	}
	asJSON := jsonFlag(cmd)
	cmd.RunE = func(*cobra.Command, []string) error {
		opts, err := c.options()
		if err != nil {
			return err
		}
		settings, err := wal.Environment(opts...)
		if err != nil {
			return err
		}
		for i := range settings {
			if s := &settings[i]; s.Variable == "CHRONIK_WAL_DATA_DIR" && c.flags.dir != "" {
				s.Value, s.Source = c.flags.dir, "option"
			}
		}
		if *asJSON {
			return c.printJSON(settings)
		}
		var t table
		t.row("VARIABLE", "VALUE", "FROM", "MEANING")
		for _, s := range settings {
			t.row(s.Variable, s.Value, s.Source, s.Meaning)
		}
		return c.printTable(&t)
	}
	return cmd
}
