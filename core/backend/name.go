package backend

import (
	"fmt"
	"strings"
)

// CheckName returns an error wrapping ErrName for a name that every backend refuses. The rules
// are those of all systems at once: a log written on one is to be opened on another.
func CheckName(names ...string) error {
	for _, n := range names {
		if n == "" || n == "." || n == ".." || strings.ContainsAny(n, "/\\\x00") {
			return fmt.Errorf("%q: %w", n, ErrName)
		}
	}
	return nil
}
