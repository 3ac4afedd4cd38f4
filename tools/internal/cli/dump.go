package cli

import "github.com/spf13/cobra"

func (c *cli) dumpCommand() *cobra.Command { return &cobra.Command{Use: "dump"} }
