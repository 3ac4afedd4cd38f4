//go:build !linux

package conformance

import (
	"errors"
	"os/exec"
)

func isolate(*exec.Cmd) error { return errors.New("only Linux has mount namespaces") }
