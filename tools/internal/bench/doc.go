// Package bench measures a log on the machine it runs on.
//
// Every benchmark works in a fresh directory that it removes again. Latency is from the
// call of an append to its ack; every record counts. Megabytes are 10^6 bytes of values.
package bench

import (
	"fmt"
	"os"
	"path/filepath"
)

// Scratch makes a fresh directory below dir, and dir too if it is missing. What it returns
// removes what it made.
func Scratch(dir string) (path string, remove func() error, err error) {
	made := os.Mkdir(dir, 0o700) == nil
	path, err = os.MkdirTemp(dir, "bench-")
	if err != nil {
		return "", nil, fmt.Errorf("cannot make a directory for the benchmark: %w", err)
	}
	if made {
		return path, func() error { return os.RemoveAll(filepath.Clean(dir)) }, nil
	}
	return path, func() error { return os.RemoveAll(path) }, nil
}
