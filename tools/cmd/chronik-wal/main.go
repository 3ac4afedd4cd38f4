// Command chronik-wal appends to, reads, checks, mends and measures a write-ahead log.
package main

import (
	"os"

	"github.com/chronik-go/wal/tools/internal/cli"
)

func main() { os.Exit(cli.Main()) }
