//go:build !linux || 386 || arm

package conformance

import "errors"

type serveTask struct{}

func serve(*serveTask) error { return errors.New("only 64-bit Linux serves FUSE here") }
