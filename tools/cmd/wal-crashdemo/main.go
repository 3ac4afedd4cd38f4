// Command wal-crashdemo kills a process that appends to a log and shows that everything
// that was acknowledged is still there.
package main

import (
	"os"

	"github.com/chronik-go/wal/tools/internal/crashdemo"
)

func main() { os.Exit(crashdemo.Main(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) }
