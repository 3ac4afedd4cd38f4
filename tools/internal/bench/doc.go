// Package bench measures a log on the machine it runs on.
//
// Every benchmark works in a fresh directory that it removes again. Latency is from the
// call of an append to its ack; every record counts. Megabytes are 10^6 bytes of values.
package bench

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// Scratch makes a fresh directory below dir. What it returns removes it.
func Scratch(dir string) (path string, remove func() error, err error) {
	path, err = os.MkdirTemp(dir, "bench-")
	if err != nil {
		var named *fs.PathError
		if errors.As(err, &named) {
			err = named.Err // the path is one that was made up
		}
		return "", nil, fmt.Errorf("cannot make a directory for the benchmark in %s: %w", dir, err)
	}
	return path, func() error { return os.RemoveAll(path) }, nil
}
