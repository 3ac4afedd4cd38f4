// Command wal-migrate makes a v1 log of a v0 data directory, and with --reverse the other way round.
package main

import (
	"os"

	"github.com/chronik-go/wal/tools/internal/cli"
)

func main() { os.Exit(cli.MigrateMain()) }
